// Messages in rooms and between users, over the wire: stored, not stored, and refused. The rest is tested in process.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { TIMESTAMP, complete, done, join, newRoom, onEachNode, refused, sendMany, startRooms } from "./support/rooms.mjs";

describe("messages in rooms", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ set: { "session.policy": "multi" } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const at = (node, user, options) => signedIn(cluster.urls[node], user, options);

  /** A member of a new room on each node. */
  async function inRoom(options) {
    const room = newRoom();
    const members = await onEachNode(cluster, options);
    for (const member of members) await join(member, room);
    return [room, ...members];
  }

  test("send-message is stored and reaches all members, including the sender", async () => {
    const ana = cluster.user({ name: "Ana \"López\" \\ 👋" });
    const [room, bob, eve] = await inRoom();
    const client = await at(2, ana);
    await join(client, room);
    const content = "¿qué \"tal\"?\n\u0000\u2028 👋 </script>";
    const { status, messageId, ...rest } = await client.ask("send-message", { room, content });
    assert.deepEqual([status, typeof messageId, rest], ["ok", "string", { durable: "memory" }]);
    const sender = { id: ana.id, name: ana.fullName };
    for (const member of [client, bob, eve]) {
      const message = await member.waitFor("new-message");
      assert.deepEqual(message, { id: messageId, room, content, sender, timestamp: message.timestamp });
      assert.match(message.timestamp, TIMESTAMP);
      assert.deepEqual((await done(member, "room-history", { room })).messages, [message]);
    }
    const withoutAck = await at(0, ana);
    await join(withoutAck, room);
    withoutAck.send("send-message", { room, content: "x".repeat(1000) });
    await bob.waitFor("new-message", (message) => message.content.length === 1000);
  });

  test("one clientId is one message, from any socket of the user, on any node, at the same time", async () => {
    const user = cluster.user();
    const [room, other] = await inRoom();
    const sockets = await Promise.all([0, 1, 2].map((node) => at(node, user)));
    for (const socket of sockets) await join(socket, room);
    const answers = await Promise.all([...sockets, ...sockets].map((socket) =>
      done(socket, "send-message", { room, content: `from ${socket.url}`, clientId: "a" })));
    assert.equal(new Set(answers.map(({ messageId }) => messageId)).size, 1);
    const [last] = await sendMany([other], room, 1);
    await complete(other, room, [answers[0].messageId, last]);
  });

  test("events that are not stored reach the members, or the recipient, on other nodes", async () => {
    const [ana, bob] = [cluster.user({ name: "Ana" }), cluster.user()];
    const room = newRoom();
    const [sender, other] = [await at(0, ana), await at(1, bob)];
    for (const client of [sender, other]) await join(client, room);
    const passed = async (event, payload, heardAs, expected) => {
      const answer = await done(sender, event, payload);
      const { timestamp, ...received } = await other.waitFor(heardAs);
      assert.deepEqual(received, expected(answer));
      if (event !== "typing") assert.match(timestamp, TIMESTAMP);
    };
    await passed("message", { room, content: "hola" }, "message", () => ({ sender: sender.id, message: "hola" }));
    await passed("room-message", { room, message: "hola" }, "room-message", () => ({ sender: sender.id, message: "hola", room }));
    const about = { userId: ana.id, name: ana.fullName, room };
    await passed("typing", { room }, "user-typing", () => ({ ...about, isTyping: true }));
    await passed("private-message", { to: bob.id, content: "psst 👋" }, "private-message", ({ messageId, delivered }) => {
      assert.equal(delivered, 1);
      return { id: messageId, from: { id: ana.id, name: ana.fullName }, to: bob.id, content: "psst 👋" };
    });
    assert.deepEqual((await done(other, "room-history", { room })).messages, []);
  });

  test("an invalid message is refused, with and without an acknowledgement", async () => {
    const [room, sender] = await inRoom();
    const payload = { room, content: "x".repeat(1001) };
    assert.match(await refused(sender, "send-message", payload, "validation_failed"), /content/);
    sender.send("send-message", payload);
    const error = await sender.waitFor("error");
    assert.deepEqual([error.code, error.event], ["validation_failed", "send-message"]);
    assert.deepEqual((await done(sender, "room-history", { room })).messages, []);
  });
});
