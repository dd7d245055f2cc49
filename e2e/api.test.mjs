// The HTTP API for backends: any node answers for the whole cluster.

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
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

  test("calls for users: emit, presence, disconnect", async () => {
    const user = cluster.user();
    const devices = [await signedIn(cluster.urls[0], user), await signedIn(cluster.urls[1], user, { namespace: "/chat" })];
    const data = { type: "order", data: { id: 7, text: "ñ \"quoted\" 👋" } };
    for (const [to, answer] of [[{ user: user.id }, { delivered: 2 }], [{ users: [user.id, "nobody"] }, { delivered: 2 }]]) {
      const event = `to-${Object.keys(to)}`;
      const { status, body } = await apis[2].post("/emit", { event, data, to });
      assert.deepEqual([status, body], [202, answer]);
      for (const device of devices) {
        const { timestamp, ...received } = await device.waitFor(event);
        assert.deepEqual(received, data);
        assert.match(timestamp, TIMESTAMP);
      }
    }
    const { since, ...presence } = (await apis[2].get(`/users/${user.id}`)).body;
    assert.deepEqual(presence, { userId: user.id, online: true, sockets: 2 });
    assert.match(since, TIMESTAMP);
    const { users } = (await apis[2].post("/users/status", { userIds: ["nobody", user.id] })).body;
    assert.deepEqual(users.map(({ userId, sockets }) => [userId, sockets]), [["nobody", 0], [user.id, 2]]);

    const ended = await apis[2].post(`/users/${user.id}/disconnect`, { reason: "enough" });
    assert.deepEqual([ended.status, ended.body], [202, { sessions: 2 }]);
    for (const device of devices) {
      assert.equal((await device.waitFor("session:ended")).reason, "enough");
      await until("disconnected for good", () => device.disconnects.at(-1) === "io server disconnect" && !device.willReconnect);
    }
    await until("no session is left", async () => (await apis[0].read(`/users/${user.id}`)).sockets === 0);
  });

  test("calls for rooms and for everyone: messages, once per Idempotency-Key on any node; history; members; emit", async () => {
    const [member, other] = await onEachNode(cluster);
    const room = newRoom();
    await join(member, room);
    const headers = { "idempotency-key": randomUUID() };
    const [first, again] = [
      await apis[1].post(`/rooms/${room}/messages`, { content: "hi" }, headers),
      await apis[2].post(`/rooms/${room}/messages`, { content: "hi" }, headers),
    ];
    assert.equal(first.status, 201);
    assert.deepEqual([again.status, again.body], [201, first.body]);
    assert.deepEqual([first, again].map(({ headers }) => headers.get("idempotency-replayed")), [null, "true"]);
    assert.deepEqual((await apis[1].post("/emit", { event: "in-room", to: { room } })).body, {});
    await apis[1].post("/emit", { event: "for-all", to: { everyone: true } });
    for (const client of [member, other]) await client.waitFor("for-all");
    await member.waitFor("in-room");
    await member.waitFor("new-message");
    assert.deepEqual(member.all("new-message").map(({ id, sender }) => [id, sender.id]), [[first.body.messageId, "system"]]);
    assert.deepEqual([...other.all("in-room"), ...other.all("new-message")], []);
    const { messages } = (await apis[2].get(`/rooms/${room}/messages?limit=1`)).body;
    assert.deepEqual(messages.map(({ id }) => id), [first.body.messageId]);
    const members = (await apis[0].get(`/rooms/${room}/members`)).body;
    assert.deepEqual([members.count, members.members.length], [1, 1]);
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
  });

  test("errors of bad calls name the reason", async () => {
    const [api] = apis;
    const emit = { event: "x", data: {}, to: { user: "u" } };
    for (const [path, body, status, message] of [
      ["/users/status", { userIds: [1] }, 400, ["userIds[0] must be a string"]],
      ["/emit", "{", 400, ["body must be valid JSON"]],
      ["/feeds/unknown", { type: "CREATE", data: 1 }, 404, "There is no such feed"],
      ["/nowhere", {}, 404, "Not found: check the path"],
    ]) {
      const answer = await api.post(path, body);
      assert.deepEqual([answer.status, answer.body.message], [status, message]);
    }
    const text = await api.post("/emit", JSON.stringify(emit), { "content-type": "text/plain" });
    assert.deepEqual([text.status, text.body.code], [415, "unsupported_media_type"]);
    const large = await api.post("/emit", { ...emit, data: { x: "x".repeat(3_000_000) } });
    assert.deepEqual([large.status, large.body.code], [413, "payload_too_large"]);
  });

  test("the OpenAPI document is served, and the page shows it", async () => {
    const paths = Object.keys((await new Api(cluster, 0, "").get("/openapi.json")).body.paths).sort();
    assert.ok(paths.includes("/v1/emit") && paths.includes("/v1/feeds/{feed}"), `${paths}`);
    const page = await (await fetch(`${cluster.gateways[0].internal}/v1`)).text();
    assert.match(page, /swagger-ui/);
  });
});

test("keys on both ports, if the public one is configured: only calls within their scopes", OWN, async (t) => {
  const cluster = await startRooms({ nodes: 1, set: { "api.keys": `reader:read:${sha256("reading key")}`, "api.public": true } });
  t.after(() => cluster.stop());
  for (const base of [cluster.gateways[0].internal, cluster.urls[0]]) {
    const call = (path, key, body) => fetch(`${base}/v1${path}`, {
      method: body ? "POST" : "GET",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    // HTTP trims the values of headers.
    for (const key of ["reading key", "reading key "]) assert.equal((await call("/users/u", key)).status, 200);
    const refused = await call("/emit", "reading key", { event: "x", to: { user: "u" } });
    assert.deepEqual([refused.status, (await refused.json()).code], [403, "need_scope"]);
    const unknown = await call("/users/u", "reading");
    assert.deepEqual([unknown.status, (await unknown.json()).code], [401, "invalid_api_key"]);
  }
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
