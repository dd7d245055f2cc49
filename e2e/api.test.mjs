// The HTTP API for backends: any node answers for the whole cluster.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { shown } from "./support/notifications.mjs";
import { TIMESTAMP, join, newRoom, onEachNode, startRooms } from "./support/rooms.mjs";
import { inParallel, until } from "./support/until.mjs";

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

describe("the API for backends", OWN, () => {
  let cluster, apis;
  before(async () => {
    cluster = await startRooms({ set: { "session.policy": "multi" } });
    apis = [0, 1, 2].map((node) => new Api(cluster, node));
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("emit to a user reaches every socket of the user, in both namespaces, and no other", async () => {
    const user = cluster.user();
    const mine = await Promise.all(cluster.urls.map((url) => signedIn(url, user)));
    const chat = await signedIn(cluster.urls[1], user, { namespace: "/chat" });
    const other = await signedIn(cluster.urls[0], cluster.user());
    const data = { type: "order", data: { id: 7, text: "ñ \"quoted\" 👋" } };
    for (const [node, api] of apis.entries()) {
      const event = `data:updated-${node}`;
      const { status, body } = await api.post("/emit", { event, data, to: { user: user.id } });
      assert.deepEqual({ status, body }, { status: 202, body: { delivered: 4 } });
      for (const client of [...mine, chat]) {
        const { timestamp, ...received } = await client.waitFor(event);
        assert.deepEqual(received, data);
        assert.match(timestamp, TIMESTAMP);
      }
    }
    await apis[0].post("/emit", { event: "last", to: { everyone: true } });
    await other.waitFor("last");
    assert.deepEqual(other.events.filter(({ name }) => name.startsWith("data:updated")), []);
  });

  test("emit to users, to a room, and to everyone in a namespace", async () => {
    const users = [cluster.user(), cluster.user(), cluster.user()];
    const clients = await Promise.all(users.map((user, node) => signedIn(cluster.urls[node], user)));
    const chat = await signedIn(cluster.urls[0], cluster.user(), { namespace: "/chat" });
    const room = newRoom();
    await join(clients[0], room);
    await join(clients[2], room);

    const ids = [users[0].id, users[1].id, users[0].id, "nobody", randomUUID()];
    const many = await apis[2].post("/emit", { event: "for-two", data: {}, to: { users: ids } });
    assert.deepEqual([many.status, many.body], [202, { delivered: 2 }]);
    for (const client of clients.slice(0, 2)) await client.waitFor("for-two");

    assert.deepEqual((await apis[1].post("/emit", { event: "in-room", data: { n: 1 }, to: { room } })).body, {});
    for (const client of [clients[0], clients[2]]) assert.equal((await client.waitFor("in-room")).n, 1);

    await apis[0].post("/emit", { event: "for-all", data: { n: 2 }, to: { everyone: true } });
    for (const client of clients) assert.equal((await client.waitFor("for-all")).n, 2);
    await apis[0].post("/emit", { event: "for-chat", data: { n: 3 }, to: { everyone: true, namespace: "/chat" } });
    assert.equal((await chat.waitFor("for-chat")).n, 3);

    // After all of it, one more event for the whole of each namespace.
    await apis[0].post("/emit", { event: "last", to: { everyone: true } });
    await apis[0].post("/emit", { event: "last", to: { everyone: true, namespace: "/chat" } });
    for (const client of [...clients, chat]) await client.waitFor("last");
    assert.equal(clients[2].all("for-two").length, 0);
    assert.equal(clients[1].all("in-room").length, 0);
    assert.equal(chat.all("for-all").length, 0);
    assert.equal(clients[0].all("for-chat").length, 0);
    assert.equal(clients[0].all("for-two").length, 1);
  });

  test("presence: from any node, of one user and of many; disconnecting a user", async () => {
    const user = cluster.user();
    assert.deepEqual((await apis[0].get(`/users/${user.id}`)).body, {
      userId: user.id, online: false, sockets: 0, since: null,
    });
    const begun = Date.now();
    const devices = [await signedIn(cluster.urls[0], user)];
    const here = Date.now();
    devices.push(await signedIn(cluster.urls[1], user));
    for (const api of apis) {
      const { online, sockets, since } = (await api.get(`/users/${user.id}`)).body;
      assert.deepEqual({ online, sockets }, { online: true, sockets: 2 });
      assert.ok(begun <= Date.parse(since) && Date.parse(since) <= here, `${since}: since the first of them`);
    }
    const { users } = (await apis[2].post("/users/status", { userIds: ["nobody", user.id] })).body;
    assert.deepEqual(users.map(({ userId, sockets }) => [userId, sockets]), [["nobody", 0], [user.id, 2]]);

    const ended = await apis[2].post(`/users/${user.id}/disconnect`, { reason: "enough" });
    assert.deepEqual([ended.status, ended.body], [202, { sessions: 2 }]);
    for (const device of devices) {
      const { reason, at } = await device.waitFor("session:ended");
      assert.equal(reason, "enough");
      assert.match(at, TIMESTAMP);
      await until("disconnected for good", () => device.disconnects.at(-1) === "io server disconnect" && !device.willReconnect);
    }
    await until("no session is left", async () => (await apis[0].read(`/users/${user.id}`)).sockets === 0);
  });

  test("rooms: messages of the system, once per Idempotency-Key on any node; history; members", async () => {
    const clients = await onEachNode(cluster);
    const room = newRoom();
    for (const client of clients) await join(client, room);
    const headers = { "idempotency-key": randomUUID() };
    const answers = [];
    for (const api of [...apis, ...apis]) answers.push(await api.post(`/rooms/${room}/messages`, { content: "hi" }, headers));
    const [{ status, body }] = answers;
    assert.equal(status, 201);
    for (const answer of answers) assert.deepEqual([answer.status, answer.body], [201, body]);
    assert.equal(answers[0].headers.get("idempotency-replayed"), null);
    assert.equal(answers[1].headers.get("idempotency-replayed"), "true");
    for (const client of clients) {
      const received = await client.waitFor("new-message");
      assert.deepEqual({ ...received, timestamp: "" }, {
        id: body.messageId, room, content: "hi", sender: { id: "system", name: "System" }, timestamp: "",
      });
    }
    const other = await apis[0].post(`/rooms/${room}/messages`, { content: "other" }, headers);
    assert.deepEqual([other.status, other.body.code], [422, "idempotency_key_reused"]);

    const second = await apis[1].post(`/rooms/${room}/messages`, { content: "second" });
    const history = await apis[2].get(`/rooms/${room}/messages`);
    assert.deepEqual(history.body.messages.map(({ id }) => id), [body.messageId, second.body.messageId]);
    const before = await apis[2].get(`/rooms/${room}/messages?limit=1&before=${second.body.messageId}`);
    assert.deepEqual(before.body.messages.map(({ content }) => content), ["hi"]);
    const members = (await apis[0].get(`/rooms/${room}/members`)).body;
    assert.equal(members.count, 3);
    assert.equal(members.members.length, 3);
    for (const client of clients) {
      await client.waitFor("new-message", ({ content }) => content === "second");
      assert.equal(client.all("new-message").length, 2);
    }
  });

  test("a refused call leaves its Idempotency-Key free for the corrected call, on any node", async () => {
    const headers = { "idempotency-key": randomUUID() };
    const room = newRoom();
    const wrong = await apis[0].post(`/rooms/${room}/messages`, { content: "" }, headers);
    assert.deepEqual([wrong.status, wrong.body.code], [400, "validation_failed"]);
    const right = await apis[1].post(`/rooms/${room}/messages`, { content: "hi" }, headers);
    assert.equal(right.status, 201, JSON.stringify(right.body));
    const again = await apis[2].post(`/rooms/${room}/messages`, { content: "hi" }, headers);
    assert.deepEqual([again.status, again.body], [201, right.body]);
  });

  test("JSON with more than 64 levels, which client libraries cannot parse, is refused", async () => {
    const nested = (levels) => `${"[".repeat(levels)}1${"]".repeat(levels)}`;
    const notification = (data) => `{"title":"t","message":"m","type":"info","data":${data}}`;
    const user = `/users/${randomUUID()}/notifications`;
    assert.equal((await apis[0].post(user, notification(nested(63)))).status, 201);
    for (const levels of [64, 8_000]) {
      for (const [path, body] of [
        [user, notification(nested(levels))],
        ["/feeds/productos", `{"type":"CREATE","data":${nested(levels)}}`],
        ["/emit", `{"event":"x","data":{"a":${nested(levels)}},"to":{"everyone":true}}`],
      ]) {
        const { status, body: { code, message } } = await apis[0].post(path, body);
        assert.deepEqual([status, code], [400, "validation_failed"], path);
        assert.match(String(message), /64 levels/);
      }
    }
  });

  test("of many simultaneous calls with one Idempotency-Key, one is executed", async () => {
    const [client] = await onEachNode(cluster);
    const room = newRoom();
    await join(client, room);
    const headers = { "idempotency-key": `k-${randomUUID()}` };
    const call = (_, n) => apis[n % 3].post("/emit", { event: "once", to: { room } }, headers);
    const answers = await Promise.all(Array.from({ length: 30 }, call));
    for (const { status, body } of answers) assert.ok(status === 202 || body.code === "in_progress", `${status}`);
    await apis[1].post("/emit", { event: "last", to: { room } });
    await client.waitFor("last");
    assert.equal(client.all("once").length, 1);
  });

  test("notifications: stored, counted, listed, deleted; the same for many", async () => {
    const user = cluster.user();
    const device = await signedIn(cluster.urls[2], user);
    const wanted = { title: "Order", message: "It is on its way", type: "info", data: { id: 7 } };
    const headers = { "idempotency-key": randomUUID() };
    const first = await apis[0].post(`/users/${user.id}/notifications`, wanted, headers);
    assert.deepEqual([first.status, first.body.unreadCount, first.body.delivered], [201, 1, 1]);
    assert.deepEqual((await apis[1].post(`/users/${user.id}/notifications`, wanted, headers)).body, first.body);
    const { notification, timestamp } = await device.waitFor("notification:new");
    assert.deepEqual(notification, { id: first.body.notificationId, ...wanted });
    assert.match(timestamp, TIMESTAMP);
    await until("it is counted", () => shown(device) === 1);

    const many = await apis[1].post("/users/notifications", { userIds: [user.id, "somebody-else"], ...wanted, data: undefined });
    assert.deepEqual([many.status, many.body.users], [201, 2]);
    const { notifications, unreadCount, more } = (await apis[2].get(`/users/${user.id}/notifications`)).body;
    assert.deepEqual([notifications.map(({ id }) => id), unreadCount, more], [[many.body.notificationId, first.body.notificationId], 2, false]);
    assert.deepEqual((await apis[0].get("/users/somebody-else/notifications")).body.unreadCount, 1);

    const path = `/users/${user.id}/notifications/${first.body.notificationId}`;
    assert.equal((await apis[2].delete(path)).status, 204);
    assert.equal((await apis[2].delete(path)).status, 404);
    await device.waitFor("notification:deleted", ({ notificationId }) => notificationId === first.body.notificationId);
    const counts = () => device.all("notification:unread_count").map(({ unreadCount }) => unreadCount);
    await until("the counts on the way", () => assert.deepEqual(counts(), [0, 1, 2, 1]) ?? true);
  });

  test("nodes and their sockets", async () => {
    const clients = await onEachNode(cluster);
    const room = newRoom();
    for (const client of clients.slice(0, 2)) await join(client, room);
    const nodes = await until("each node has reported its sockets", async () => {
      const { nodes } = await apis[1].read("/nodes");
      return nodes.length === 3 && nodes.every(({ sockets }) => sockets === 1) && nodes;
    });
    for (const [index, node] of nodes.entries()) {
      assert.match(node.id, new RegExp(`^gw${index + 1}-`));
      assert.deepEqual([node.draining, node.version, typeof node.age], [false, "0.1.0", "number"]);
      assert.equal(node.address.split(":").at(-1), new URL(cluster.gateways[index].internal).port);
    }
    // Users of earlier tests may still be counted for a moment.
    const stats = { nodes: 3, users: 3, sockets: 3, rooms: 1 };
    await until("the cluster reports it", async () => assert.deepEqual(await apis[2].read("/stats"), stats) ?? true);

    // A user's further devices, on other nodes too, count as sockets, not as users.
    const user = cluster.user();
    for (const url of cluster.urls) await signedIn(url, user);
    await until("each node reports it", async () => {
      assert.deepEqual(await apis[0].read("/stats"), { ...stats, users: 4, sockets: 6 });
      return true;
    });
  });

  test("errors of bad calls name the reason, and nothing is done", async () => {
    const [api] = apis;
    const emit = { event: "x", data: {}, to: { user: "u" } };
    for (const [path, body, status, reason] of [
      ["/emit", { ...emit, event: "" }, 400, /^event must/],
      ["/emit", { ...emit, event: "connect" }, 400, /^event must/],
      ["/emit", { ...emit, to: {} }, 400, /^to: to must be/],
      ["/emit", { ...emit, to: { user: "" } }, 400, /^to\.user must/],
      ["/emit", { ...emit, to: { users: [] } }, 400, /^to\.users must/],
      ["/emit", { ...emit, to: { users: ["a", ""] } }, 400, /^to\.users\[1\] must/],
      ["/emit", { ...emit, to: { users: Array(10_001).fill("u") } }, 400, /^to\.users must have 1 to 10000/],
      ["/emit", { ...emit, to: { room: "a b" } }, 400, /^room must/],
      ["/emit", { ...emit, to: { room: "r", namespace: "/x" } }, 400, /^namespace must/],
      ["/emit", { ...emit, to: { everyone: false } }, 400, /everyone must be true/],
      ["/emit", { ...emit, data: [] }, 400, /^data: invalid type/],
      ["/emit", { ...emit, extra: 1 }, 400, /extra/],
      ["/emit", "{", 400, /^body: /],
      ["/users/status", { userIds: [1] }, 400, /^userIds\[0\]: /],
      ["/users/u/disconnect", { reason: "x".repeat(257) }, 400, /^reason may/],
      ["/users/u/notifications", { title: "", message: "", type: "" }, 400, /^title must/],
      ["/rooms/user:1/messages", { content: "x" }, 400, /^room must/],
      ["/rooms/r/messages", { content: "" }, 400, /^content must/],
      ["/feeds/unknown", { type: "CREATE", data: 1 }, 404, /no such feed/],
      ["/feeds/productos", { type: "REPLACE", data: 1 }, 400, /^type: unknown variant/],
      ["/nowhere", {}, 404, /^Not found/],
    ]) {
      const answer = await api.post(path, body);
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.match([answer.body.message].flat()[0], reason);
    }
    const text = await api.post("/emit", JSON.stringify(emit), { "content-type": "text/plain" });
    assert.deepEqual([text.status, text.body.code], [415, "unsupported_media_type"]);
    const large = await api.post("/emit", { ...emit, data: { x: "x".repeat(3_000_000) } });
    assert.deepEqual([large.status, large.body.code], [413, "payload_too_large"]);
    const odd = await api.get("/rooms/r/messages?limit=0");
    assert.deepEqual([odd.status, odd.body.code], [400, "validation_failed"]);
  });

  test("the OpenAPI document has every call, and the page shows it", async () => {
    const paths = Object.keys((await new Api(cluster, 0, "").get("/openapi.json")).body.paths).sort();
    assert.ok(paths.includes("/v1/emit") && paths.includes("/v1/feeds/{feed}"), `${paths}`);
    const page = await (await fetch(`${cluster.gateways[0].internal}/v1`)).text();
    assert.match(page, /swagger-ui/);
  });
});

test("keys: only calls within their scopes; no answers without a key; on the public port only if configured", OWN, async (t) => {
  const keys = `reader:read:${sha256("reading key")},sender:emit+publish:${sha256("sending key")}`;
  const cluster = await startRooms({ nodes: 1, set: { "api.keys": keys, "api.public": true } });
  t.after(() => cluster.stop());
  const [reader, sender] = ["reading key", "sending key"].map((key) => new Api(cluster, 0, key));
  const emit = { event: "x", data: {}, to: { user: "u" } };
  assert.equal((await reader.get("/users/u")).status, 200);
  assert.equal((await sender.post("/emit", emit)).status, 202);
  for (const [answer, scope] of [[await reader.post("/emit", emit), "emit"], [await sender.get("/users/u"), "read"]]) {
    assert.deepEqual([answer.status, answer.body.code], [403, "need_scope"]);
    assert.match(answer.body.message, new RegExp(scope));
  }
  for (const key of ["", "reading", "reading key ", sha256("reading key"), cluster.apiKey]) {
    for (const headers of [{}, { "idempotency-key": "k" }]) {
      const answer = await new Api(cluster, 0, key).post("/emit", emit, headers);
      // A key with a space at its end is the key: HTTP trims the values of headers.
      if (key === "reading key ") assert.equal(answer.status, 403);
      else assert.deepEqual([answer.status, answer.body.code], [401, "invalid_api_key"], key);
    }
  }
  const open = await fetch(`${cluster.urls[0]}/v1/users/u`, { headers: { authorization: "Bearer reading key" } });
  assert.equal(open.status, 200);
});

test("keys cannot be guessed: wrong ones are limited by address, and right ones are refused as well then", OWN, async (t) => {
  const cluster = await startRooms({ nodes: 1 });
  t.after(() => cluster.stop());
  const [right, wrong] = [new Api(cluster), new Api(cluster, 0, "guess")];
  const answers = await inParallel(Array.from({ length: 150 }), 10, () => wrong.get("/stats"));
  const refused = answers.filter(({ status }) => status !== 401);
  assert.ok(refused.length > 0 && refused.length <= 50, `${refused.length} of 150`);
  for (const { status, body, headers } of refused) {
    assert.deepEqual([status, body.code], [429, "too_many_attempts"]);
    assert.ok(Number(headers.get("retry-after")) >= 1);
  }
  // One wrong key is forgotten every 0.6 s, so others have to keep coming.
  await until("a right key is refused", async () => {
    const [answer] = await Promise.all([right.get("/stats"), ...Array.from({ length: 10 }, () => wrong.get("/stats"))]);
    return answer.status === 429;
  });
  await until("accepted again", async () => (await right.get("/stats")).status === 200);
});
