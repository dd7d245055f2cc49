// Binary parts, both ways: acknowledged and passed on as sent over every transport and between nodes, refused in events
// that are stored.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { ALL_BYTES, readable } from "./support/binary.mjs";
import { TRANSPORTS, VERSIONS, alsoIn, closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { done, join, newRoom, refused, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** Parts of one event by default (`limits.attachments`); a stock client accepts no more, either. */
const MOST_PARTS = 10;
/** Bytes of a part in place of a text. */
const MOST_BYTES = 4000;

const parts = (count) => Array.from({ length: count }, (_, index) => Buffer.from([index, 255 - index]));

describe("binary parts over three nodes", OWN, () => {
  let cluster;
  before(async () => {
    // The tests send many events to few clients: limits on that are tested elsewhere.
    cluster = await startRooms({ set: { "session.policy": "multi" } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const at = (node, user = cluster.user(), options = {}) => signedIn(cluster.urls[node], user, options);

  for (const version of Object.keys(VERSIONS)) {
    for (const [name, options] of Object.entries(TRANSPORTS)) {
      const clientAt = async (node, user) => {
        const client = await at(node, user, { version, ...options });
        await client.upgraded();
        return client;
      };

      test(`client ${version}, ${name}: echo is acknowledged with its parts`, async () => {
        const client = await clientAt(0);
        const sent = [
          [ALL_BYTES],
          [new Uint8Array([1, 2, 3])],
          [new Uint8Array([4, 5]).buffer],
          [Buffer.alloc(0)],
          [{ a: [Buffer.from("a"), 1, null], b: { c: new Uint8Array([7]), text: "ñ 👋" } }],
          [Buffer.from("first"), "text", { second: Buffer.from("second") }],
          [Buffer.alloc(20_000, "x")],
        ];
        for (const args of sent) {
          assert.deepEqual(readable(await client.askAll("echo", ...args)), readable(args));
        }
        // Parts and texts of concurrent events do not mix.
        const together = await Promise.all(sent.flatMap((args, index) => [client.askAll("echo", ...args), client.askAll("echo", index)]));
        assert.deepEqual(readable(together), readable(sent.flatMap((args, index) => [args, [index]])));
        assert.deepEqual(client.all("error"), []);
      });

      test(`client ${version}, ${name}: other nodes receive the parts of messages unchanged`, async () => {
        const user = cluster.user({ name: "Ana Lopez" });
        const [sender, other] = [await clientAt(0, user), await clientAt(1)];
        const room = newRoom();
        for (const client of [sender, other]) await join(client, room);
        const passed = async (event, payload, heardAs, expected, receivers) => {
          await done(sender, event, payload);
          for (const receiver of receivers) {
            const { timestamp, ...received } = await receiver.waitFor(heardAs);
            assert.deepEqual(readable(received), readable(expected), `${event} at ${receiver.url}`);
            receiver.events.length = 0;
          }
        };
        const both = [sender, other];
        const from = { sender: sender.id };
        await passed("message", ALL_BYTES, "message", { ...from, message: ALL_BYTES }, both);
        await passed("message", { content: ALL_BYTES }, "message", { ...from, message: ALL_BYTES }, both);
        await passed("message", { content: ALL_BYTES, room }, "message", { ...from, message: ALL_BYTES }, both);
        await passed("room-message", { room, message: ALL_BYTES }, "room-message", { ...from, message: ALL_BYTES, room }, [other]);
        const named = { fullName: "Ana Lopez", message: ALL_BYTES };
        await passed("message-client", { id: sender.id, message: ALL_BYTES }, "message-server", named, both);
        await passed("message", "text again", "message", { ...from, message: "text again" }, both);
      });

      test(`client ${version}, ${name}: ${MOST_PARTS} parts pass, one more is an error and nothing else`, async () => {
        const client = await clientAt(0);
        assert.deepEqual(readable(await client.ask("echo", parts(MOST_PARTS))), readable(parts(MOST_PARTS)));
        for (const count of [MOST_PARTS + 1, 50]) {
          // The next event directly follows the refused parts.
          const [answer, next] = await Promise.all([client.ask("echo", parts(count)), client.ask("echo", { next: Buffer.from("n") })]);
          assert.deepEqual({ ...answer, message: "" }, { status: "error", code: "validation_failed", message: "" }, JSON.stringify(answer));
          assert.match(answer.message, /attachments/);
          assert.deepEqual(readable(next), { next: "<6e>" });
          assert.deepEqual(client.all("error"), []);

          client.send("echo", parts(count));
          const error = await client.waitFor("error");
          assert.deepEqual({ ...error, message: "" }, { status: "error", code: "validation_failed", message: "", event: "echo" });
          assert.match(error.message, /attachments/);
          assert.equal(await client.ask("echo", "and afterwards"), "and afterwards");
          assert.equal(client.all("error").length, 1);
          client.events.length = 0;
        }
        assert.deepEqual(client.disconnects, []);
      });

      test(`client ${version}, ${name}: a backend's emit arrives with its parts, from any node`, async () => {
        const user = cluster.user();
        const [client, second] = [await clientAt(1, user), await clientAt(2, user)];
        const room = newRoom();
        for (const one of [client, second]) await join(one, room);
        const base64 = ALL_BYTES.toString("base64");
        const data = { file: { $binary: base64 }, list: [{ deep: { $binary: "AQI=" } }, "text"], empty: { $binary: "" }, n: 7 };
        const expected = { file: ALL_BYTES, list: [{ deep: Buffer.from([1, 2]) }, "text"], empty: Buffer.alloc(0), n: 7 };
        const targets = [{ user: user.id }, { users: [user.id, randomUUID()] }, { room }, { everyone: true }];
        for (const [index, to] of targets.entries()) {
          const event = `file-${index}`;
          const { status, body } = await new Api(cluster, 0).post("/emit", { event, data, to });
          assert.equal(status, 202, JSON.stringify(body));
          for (const one of [client, second]) {
            const { timestamp, ...received } = await one.waitFor(event);
            assert.deepEqual(readable(received), readable(expected), JSON.stringify(to));
            assert.equal(typeof timestamp, "string");
          }
        }
      });
    }
  }

  test("parts reach both namespaces of a connection, and each gets only its own", async () => {
    const user = cluster.user();
    const main = await at(0, user);
    const chat = await alsoIn(main, "/chat", user.token).ready();
    const sender = await at(1, cluster.user(), { namespace: "/chat" });
    await done(sender, "message", Buffer.from("chat"));
    assert.deepEqual(readable((await chat.waitFor("message")).message), "<63686174>");
    await done(chat, "message", Buffer.from("more"));
    assert.deepEqual(readable((await sender.waitFor("message", ({ sender }) => sender === chat.id)).message), "<6d6f7265>");
    assert.deepEqual(readable(await chat.ask("echo", { a: Buffer.from("x") })), { a: "<78>" });
    assert.deepEqual(main.all("message"), []);
    await new Api(cluster, 2).post("/emit", { event: "chat-only", data: { a: { $binary: "AA==" } }, to: { everyone: true, namespace: "/chat" } });
    assert.equal(readable(await chat.waitFor("chat-only")).a, "<00>");
    await new Api(cluster, 2).post("/emit", { event: "both", data: { a: { $binary: "AA==" } }, to: { user: user.id } });
    for (const one of [main, chat]) assert.equal(readable(await one.waitFor("both")).a, "<00>");
    assert.deepEqual(main.all("chat-only"), []);
  });

  test(`a part in place of a text has at most ${MOST_BYTES} bytes, and stays in its place`, async () => {
    const [sender, other] = [await at(0), await at(1)];
    const room = newRoom();
    for (const client of [sender, other]) await join(client, room);
    const [most, more] = [Buffer.alloc(MOST_BYTES, 1), Buffer.alloc(MOST_BYTES + 1, 1)];
    for (const [event, payload, field] of [
      ["message", (part) => part, /content|message/],
      ["message", (part) => ({ content: part }), /content/],
      ["message", (part) => ({ content: part, room }), /content/],
      ["room-message", (part) => ({ room, message: part }), /message/],
      ["message-client", (part) => ({ message: part }), /message/],
    ]) {
      await done(sender, event, payload(most));
      assert.match(await refused(sender, event, payload(more), "validation_failed"), field, event);
      for (const inside of [{ a: most }, [most]]) {
        assert.match(await refused(sender, event, payload(inside), "validation_failed"), field, event);
      }
    }
    await done(sender, "message", "the last word");
    await other.waitFor("message", ({ message }) => message === "the last word");
    const received = other.events.filter(({ name }) => ["message", "room-message", "message-server"].includes(name));
    assert.equal(received.length, 6, "no refused event");
  });

  test("stored events, and fields that take no binary, refuse a part by the name of the field", async () => {
    const [sender, other] = [await at(0), await at(1)];
    const room = newRoom();
    for (const client of [sender, other]) await join(client, room);
    const part = Buffer.from("binary");
    const to = other.last("authenticated").userId;
    const wrong = [
      ["send-message", { room, content: part }, /content/],
      ["send-message", { room: part, content: "x" }, /room/],
      ["send-message", { room, content: "x", clientId: part }, /clientId/],
      ["private-message", { to, content: part }, /content/],
      ["private-message", { to: part, content: "x" }, /to/],
      ["join-room", part, /binary/],
      ["join-room", { room: part }, /room/],
      ["join-room", { room, since: part }, /since/],
      ["leave-room", { room: part }, /room/],
      ["message", { content: "x", room: part }, /room/],
      ["room-message", { room: part, message: "x" }, /room/],
      ["typing", { room, isTyping: part }, /isTyping/],
      ["room-members", { room: part }, /room/],
      ["room-history", { room, before: part }, /before/],
      ["presence:subscribe", { userIds: [part] }, /userIds/],
      ["notification:mark_read", { notificationId: part }, /notificationId/],
      ["notification:list", { before: part }, /before/],
      ["token:refresh", { token: part }, /token/],
    ];
    for (const [event, payload, field] of wrong) {
      assert.match(await refused(sender, event, payload, "validation_failed"), field, event);
      sender.send(event, payload);
      const error = await sender.waitFor("error", (one) => one.event === event);
      assert.equal(error.code, "validation_failed", event);
      sender.events.length = 0;
    }
    await done(sender, "send-message", { room, content: "the last word" });
    await other.waitFor("new-message", ({ content }) => content === "the last word");
    assert.equal(other.all("new-message").length, 1);
    for (const name of ["private-message", "message", "room-message", "user-typing", "user-left"]) assert.deepEqual(other.all(name), []);
    const { messages } = await done(sender, "room-history", { room });
    assert.deepEqual(messages.map(({ content }) => content), ["the last word"]);
    assert.deepEqual(sender.disconnects, []);
  });

  test("a placeholder written by a client is not accepted as text", async () => {
    const sender = await at(0);
    const room = newRoom();
    await join(sender, room);
    const forged = { _placeholder: true, num: 0 };
    for (const [event, payload] of [["send-message", { room, content: forged }], ["message", forged], ["message-client", { message: forged }]]) {
      await refused(sender, event, payload, "validation_failed");
    }
    // Node's server, too, passes it on as plain JSON.
    assert.deepEqual(await sender.ask("echo", forged), forged);
  });

  test("an emit that cannot be delivered is refused", async () => {
    const user = cluster.user();
    const client = await at(0, user);
    const api = new Api(cluster, 1);
    const many = Array.from({ length: MOST_PARTS + 1 }, () => ({ $binary: "AA==" }));
    for (const data of [{ file: { $binary: "not base64!" } }, { file: { $binary: 5 } }, { list: many }]) {
      const { status, body } = await api.post("/emit", { event: "file", data, to: { user: user.id } });
      assert.deepEqual({ status, code: body.code }, { status: 400, code: "validation_failed" }, JSON.stringify(data).slice(0, 80));
    }
    const { status } = await api.post("/emit", { event: "file", data: { list: many.slice(1) }, to: { user: user.id } });
    assert.equal(status, 202);
    assert.equal((await client.waitFor("file")).list.length, MOST_PARTS);
    await until("once", () => client.all("file").length === 1);
    assert.deepEqual(client.disconnects, []);
  });

  test("a repeated emit is delivered once, with its parts", async () => {
    const user = cluster.user();
    const client = await at(0, user);
    const request = { event: "file", data: { a: { $binary: "AQ==" } }, to: { user: user.id } };
    const headers = { "idempotency-key": randomUUID() };
    for (const node of [1, 2]) assert.equal((await new Api(cluster, node).post("/emit", request, headers)).status, 202);
    await new Api(cluster, 1).post("/emit", { event: "last", data: {}, to: { user: user.id } });
    await client.waitFor("last");
    assert.deepEqual(readable(client.all("file").map(({ a }) => a)), ["<01>"]);
  });
});
