// Behaviour of Node's server that a stock client may expect: arguments, texts and namespaces arrive as they were sent.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { VERSIONS, alsoIn, closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { complete, done, join, newRoom, refused, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** Halves of an emoji, as `slice` leaves them, among whole ones. */
const HALVES = ["👍".slice(0, 1), "👍".slice(1), `a${"👍".slice(1)}${"👍".slice(0, 1)}b 👋 ñ`, "👍".slice(0, 1).repeat(1000)];

describe("a stock client", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ set: { "session.policy": "multi" } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const at = (node, user = cluster.user(), options = {}) => signedIn(cluster.urls[node], user, options);

  for (const version of Object.keys(VERSIONS)) {
    test(`client ${version}: echo is acknowledged with all arguments, and none with none`, async () => {
      for (const namespace of ["/", "/chat"]) {
        const client = await at(0, cluster.user(), { version, namespace });
        for (const args of [[], [1], [1, "2", { three: [3] }], [null], [null, null], [[], {}], ["a", null, false, 0, ""]]) {
          assert.deepEqual(await client.askAll("echo", ...args), args);
        }
      }
    });
  }

  test("echo keeps the order of keys, and numbers", async () => {
    const client = await at(0);
    const sent = { b: 1, a: { z: [{ y: 1, x: 2 }], c: null }, Z: "", big: 12345678901234567000, small: 1e-7, half: -0.5, long: 0.1 + 0.2 };
    assert.equal(JSON.stringify(await client.ask("echo", sent)), JSON.stringify(sent));
  });

  test("half an emoji passes through echo", async () => {
    for (const transports of [["websocket"], ["polling"]]) {
      const client = await at(0, cluster.user(), { transports });
      for (const half of HALVES) {
        assert.deepEqual(await client.askAll("echo", half, { [half]: [half] }), [half, { [half]: [half] }]);
      }
    }
  });

  test("half an emoji passes through events that are not stored, to every node", async () => {
    const [sender, ...others] = await Promise.all([0, 1, 2].map((node) => at(node)));
    const room = newRoom();
    for (const client of [sender, ...others]) await join(client, room);
    for (const half of HALVES) {
      for (const [event, payload, heardAs] of [
        ["message", half, "message"],
        ["message", { content: half }, "message"],
        ["message", { content: half, room }, "message"],
        ["room-message", { room, message: half }, "room-message"],
        ["message-client", { message: half }, "message-server"],
      ]) {
        await done(sender, event, payload);
        for (const other of others) {
          assert.equal((await other.waitFor(heardAs)).message, half, event);
          other.events.length = 0;
        }
      }
    }
  });

  test("half an emoji passes through stored messages: live, on joining, and in the history", async () => {
    const [sender, other] = [await at(0), await at(1)];
    const room = newRoom();
    for (const client of [sender, other]) await join(client, room);
    const sent = [];
    for (const half of HALVES) {
      const payload = { room, content: half, clientId: randomUUID() };
      sent.push((await done(sender, "send-message", payload)).messageId);
      assert.equal((await done(sender, "send-message", payload)).messageId, sent.at(-1), "sent again");
    }
    await complete(other, room, sent);
    const contents = (messages) => messages.map(({ content }) => content);
    assert.deepEqual(contents(other.all("new-message")), HALVES);
    const late = await at(2);
    assert.deepEqual(contents((await join(late, room)).recent), HALVES);
    assert.deepEqual(contents((await done(late, "room-history", { room })).messages), HALVES);
  });

  test("half an emoji passes through private messages; too many characters are refused", async () => {
    const [sender, other] = [await at(0), await at(1)];
    const to = other.last("authenticated").userId;
    for (const half of HALVES) {
      await done(sender, "private-message", { to, content: half });
      await other.waitFor("private-message", ({ content }) => content === half);
    }
    const long = "👍".slice(0, 1).repeat(1001);
    assert.match(await refused(sender, "private-message", { to, content: long }, "validation_failed"), /content/);
    assert.match(await refused(sender, "message", long, "validation_failed"), /content/);
  });

  test("a private message reaches the other namespace of the sender on the same connection, both ways", async () => {
    for (const version of Object.keys(VERSIONS)) {
      const [ana, bob] = [cluster.user(), cluster.user()];
      const [main, bobs] = [await at(0, ana, { version }), await at(1, bob, { version })];
      const [chat, bobsChat] = [await alsoIn(main, "/chat", ana.token).ready(), await alsoIn(bobs, "/chat", bob.token).ready()];
      const elsewhere = await at(2, ana, { version });
      for (const [sender, sendersOther] of [[main, chat], [chat, main]]) {
        const content = `from ${sender.socket.nsp}`;
        const { messageId, delivered } = await done(sender, "private-message", { to: bob.id, content });
        assert.ok(delivered >= 1);
        for (const socket of [sendersOther, bobs, bobsChat, elsewhere]) {
          const received = await socket.waitFor("private-message", (one) => one.content === content);
          assert.deepEqual({ ...received, timestamp: "" }, { id: messageId, from: { id: ana.id, name: ana.fullName }, to: bob.id, content, timestamp: "" });
        }
        // The same holds for a message to its own user.
        const note = `note from ${sender.socket.nsp}`;
        await done(sender, "private-message", { to: ana.id, content: note });
        for (const socket of [sendersOther, elsewhere]) await socket.waitFor("private-message", (one) => one.content === note);
      }
      const contents = (socket) => socket.all("private-message").map(({ content }) => content);
      assert.deepEqual(contents(main), ["from /chat", "note from /chat"]);
      assert.deepEqual(contents(chat), ["from /", "note from /"]);
      assert.deepEqual(contents(bobs), ["from /", "from /chat"]);
      assert.deepEqual(contents(bobsChat), ["from /", "from /chat"]);
      closeAll();
    }
  });

  test("a retry of the stock client after a lost connection, before it rejoined, is acknowledged as stored", async () => {
    const [ana, bob] = [cluster.user(), cluster.user()];
    const room = newRoom();
    const [sender, member] = [await at(0, ana), await at(1, bob)];
    for (const client of [sender, member]) await join(client, room);
    const payload = { room, content: "once", clientId: randomUUID() };
    const { messageId } = await done(sender, "send-message", payload);
    sender.close();
    await until("left", () => member.all("user-left").length > 0);
    for (const node of [0, 2]) {
      const again = await at(node, ana);
      assert.deepEqual(await again.ask("send-message", payload), { status: "ok", messageId, durable: "memory" });
      // A message that was not stored is refused, and so is the same clientId of another user.
      await refused(again, "send-message", { ...payload, clientId: randomUUID() }, "not_in_room");
      await refused(again, "send-message", { ...payload, clientId: undefined }, "not_in_room");
      await refused(again, "send-message", { ...payload, room: newRoom() }, "not_in_room");
      again.close();
    }
    const stranger = await at(2);
    await refused(stranger, "send-message", payload, "not_in_room");
    const last = await done(member, "send-message", { room, content: "the last word" });
    await complete(member, room, [messageId, last.messageId]);
  });

  test("a refused message can be retried later: a refusal uses up no clientId", async () => {
    const room = newRoom();
    const sender = await at(0);
    const payload = { room, content: "later", clientId: randomUUID() };
    await refused(sender, "send-message", payload, "not_in_room");
    await join(sender, room);
    const { messageId } = await done(sender, "send-message", payload);
    await complete(sender, room, [messageId]);
  });

  test("retries of the stock client: queued messages that were stored are acknowledged once, in order", async () => {
    const user = cluster.user();
    const room = newRoom();
    const member = await at(1);
    await join(member, room);
    const client = await at(0, user, { retries: 5, ackTimeout: 2000 });
    // With `retries`, a callback would get an error first.
    assert.equal((await client.socket.emitWithAck("join-room", room)).status, "ok");
    const payloads = Array.from({ length: 5 }, (_, index) => ({ room, content: `number ${index}`, clientId: randomUUID() }));
    const sent = [];
    for (const payload of payloads) sent.push((await client.socket.emitWithAck("send-message", payload)).messageId);
    client.socket.io.engine.close();
    // Queued while it is away: they are sent before it could join again.
    const again = payloads.map((payload) => client.socket.emitWithAck("send-message", payload));
    assert.deepEqual((await Promise.all(again)).map(({ messageId }) => messageId), sent);
    await complete(member, room, sent);
  });
});
