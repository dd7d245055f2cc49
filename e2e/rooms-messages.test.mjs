// Messages in rooms and between users: stored, not stored, and refused.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { alsoIn, closeAll, signedIn } from "./support/clients.mjs";
import {
  TIMESTAMP, complete, done, ids, join, newRoom, onEachNode, refused, roomMessages, sendMany, sendOn, startRooms,
} from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

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
    assert.deepEqual([status, typeof messageId, rest], ["ok", "string", {}]);
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

  test("all members on all nodes receive one order, that of the ids", async () => {
    const [room, ...members] = await inRoom();
    const elsewhere = newRoom();
    for (const member of members) await join(member, elsewhere);
    const loads = [sendOn(members, room), sendOn(members, elsewhere, 1)];
    await until("many messages", () => loads.every(({ acked }) => acked.length > 200));
    for (const load of loads) await load.stop();
    for (const [name, { acked }] of [[room, loads[0]], [elsewhere, loads[1]]]) {
      for (const member of members) await complete(member, name, [...acked].sort());
    }
  });

  test("messages of one socket are stored in the order of sending", async () => {
    const [room, sender, other] = await inRoom();
    const answers = await Promise.all(Array.from({ length: 200 }, (_, index) =>
      done(sender, "send-message", { room, content: String(index) })));
    await complete(other, room, answers.map(({ messageId }) => messageId));
    assert.deepEqual(roomMessages(other, room).map(({ content }) => content), answers.map((_, index) => String(index)));
  });

  test("one clientId is one message, from any socket of the user, on any node, at the same time", async () => {
    const user = cluster.user();
    const [room, other] = await inRoom();
    const sockets = await Promise.all([0, 1, 2].map((node) => at(node, user)));
    for (const socket of sockets) await join(socket, room);
    for (const clientId of ["a", "x".repeat(64), "with space, \"quotes\" and ñ 👋"]) {
      const answers = await Promise.all([...sockets, ...sockets].map((socket) =>
        done(socket, "send-message", { room, content: `as ${clientId} at ${socket.url}`, clientId })));
      assert.equal(new Set(answers.map(({ messageId }) => messageId)).size, 1);
    }
    // Another user, another room, or no clientId makes it another message.
    const elsewhere = newRoom();
    await join(sockets[0], elsewhere);
    await done(other, "send-message", { room, content: "another user's", clientId: "a" });
    await done(sockets[0], "send-message", { room: elsewhere, content: "another room's", clientId: "a" });
    await sendMany([sockets[0]], room, 2, "same");
    await complete(sockets[0], room, ids((await done(other, "room-history", { room })).messages));
    assert.equal(roomMessages(sockets[0], room).length, 6);
    await complete(sockets[0], elsewhere, ids((await done(sockets[0], "room-history", { room: elsewhere })).messages));
    assert.equal(roomMessages(sockets[0], elsewhere).length, 1);
  });

  test("message to a room reaches its members, including the sender, and no others", async () => {
    const [room, ana, bob, eve] = await inRoom();
    await done(eve, "leave-room", room);
    await bob.waitFor("user-left");
    const answer = await done(ana, "message", { content: "to the room", room });
    assert.deepEqual(answer, { status: "ok", message: "Message sent successfully" });
    for (const member of [ana, bob]) {
      const received = await member.waitFor("message");
      assert.deepEqual(received, { sender: ana.id, message: "to the room", timestamp: received.timestamp });
    }
    await done(ana, "message", "to all");
    await eve.waitFor("message", ({ message }) => message === "to all");
    assert.equal(eve.all("message").length, 1);
    assert.deepEqual((await done(bob, "room-history", { room })).messages, []);
  });

  test("room-message reaches the other members, and is not stored", async () => {
    const user = cluster.user();
    const [room, bob] = await inRoom();
    const [ana, anas] = [await at(0, user), await at(1, user)];
    for (const socket of [ana, anas]) await join(socket, room);
    assert.deepEqual(await ana.ask("room-message", { room, message: "hola" }), { status: "ok" });
    for (const other of [bob, anas]) {
      const received = await other.waitFor("room-message");
      assert.deepEqual(received, { sender: ana.id, message: "hola", room, timestamp: received.timestamp });
      assert.match(received.timestamp, TIMESTAMP);
    }
    await sendMany([bob], room, 1);
    await ana.waitFor("new-message");
    assert.deepEqual(ana.all("room-message"), []);
    assert.equal((await done(ana, "room-history", { room })).messages.length, 1);
  });

  test("typing passes once a second per socket and room", async () => {
    const user = cluster.user({ name: "Ana" });
    const [room, bob] = await inRoom();
    const elsewhere = newRoom();
    const [ana, anas] = [await at(0, user), await at(2, user)];
    await join(bob, elsewhere);
    await join(ana, elsewhere);
    for (const socket of [ana, anas]) await join(socket, room);
    const received = (name) => {
      const all = bob.events.filter((event) => event.name === "user-typing");
      return all.filter(({ args }) => args[0].room === name);
    };

    const sent = Date.now();
    ana.send("typing", { room });
    for (let more = 0; more < 5; more++) ana.send("typing", { room, isTyping: false });
    ana.send("typing", { room: elsewhere, isTyping: false });
    await done(ana, "room-message", { room: elsewhere, message: "that was all" });
    await bob.waitFor("room-message");
    const about = { userId: user.id, name: user.fullName, room };
    assert.deepEqual(received(room).map(({ args }) => args[0]), [{ ...about, isTyping: true }]);
    assert.deepEqual(received(elsewhere).map(({ args }) => args[0]), [{ ...about, room: elsewhere, isTyping: false }]);
    anas.send("typing", { room, isTyping: true });
    await until("the one of another socket", () => received(room).length === 2);
    assert.deepEqual(await anas.waitFor("user-typing"), { ...about, isTyping: true }, "the sender's other socket");

    await until("another one passes", () => {
      ana.send("typing", { room, isTyping: false });
      return received(room).length === 3;
    });
    const third = received(room)[2];
    // The gateway's second began after the first was sent, and was over before the third was received.
    assert.ok(third.at - sent >= 1000, `${third.at - sent} ms between two`);
    assert.equal(third.args[0].isTyping, false);
    await done(ana, "room-history", { room });
    assert.deepEqual(ana.all("user-typing").filter(({ isTyping }) => !isTyping), [], "not to the sender");
  });

  test("private-message reaches every socket of the recipient, the other sockets of the sender, and no others", async () => {
    const [ana, bob] = [cluster.user({ name: "Ana" }), cluster.user({ name: "Bob" })];
    const sender = await at(0, ana);
    const anas = [await at(0, ana), await at(1, ana)];
    const bobs = await Promise.all([0, 1, 2].map((node) => at(node, bob)));
    const others = await onEachNode(cluster);
    const answer = await sender.ask("private-message", { to: bob.id, content: "psst 👋" });
    assert.deepEqual(answer, { status: "ok", messageId: answer.messageId, delivered: 3 });
    for (const socket of [...anas, ...bobs]) {
      const received = await socket.waitFor("private-message");
      const about = { id: answer.messageId, from: { id: ana.id, name: ana.fullName }, to: bob.id, content: "psst 👋" };
      assert.deepEqual(received, { ...about, timestamp: received.timestamp });
      assert.match(received.timestamp, TIMESTAMP);
    }
    const toSelf = await done(sender, "private-message", { to: ana.id, content: "a note" });
    assert.equal(toSelf.delivered, 2);
    for (const socket of anas) await socket.waitFor("private-message", ({ content }) => content === "a note");
    bobs[2].close();
    await until("two of its sockets are left", async () => {
      return (await done(sender, "private-message", { to: bob.id, content: "again" })).delivered === 2;
    });
    assert.equal((await done(sender, "private-message", { to: "nobody", content: "x" })).delivered, 0);

    await done(sender, "message", "the last word");
    for (const socket of [sender, ...anas, ...bobs.slice(0, 2), ...others]) {
      await socket.waitFor("message", ({ message }) => message === "the last word");
    }
    for (const socket of [sender, ...others]) assert.deepEqual(socket.all("private-message"), []);
    for (const socket of bobs) assert.ok(socket.all("private-message").every(({ to }) => to === bob.id));
  });

  test("private-message reaches the other namespace of the sender on the same connection, also for a message to its own user", async () => {
    const [ana, bob] = [cluster.user(), cluster.user()];
    const main = await at(0, ana);
    const chat = await alsoIn(main, "/chat", ana.token).ready();
    for (const [from, to] of [[main, chat], [chat, main]]) {
      const content = `from ${from.socket.nsp}`;
      const { messageId, delivered } = await done(from, "private-message", { to: bob.id, content });
      assert.equal(delivered, 0);
      assert.equal((await to.waitFor("private-message", (received) => received.content === content)).id, messageId);
      const note = await done(from, "private-message", { to: ana.id, content: `note ${content}` });
      assert.equal(note.delivered, 1);
      await to.waitFor("private-message", ({ id }) => id === note.messageId);
      await done(from, "message", "the last word");
      await from.waitFor("message");
      assert.ok(from.all("private-message").every((received) => received.content !== content), "not to the socket itself");
    }
  });

  test("private-message in /chat", async () => {
    const [ana, bob] = [cluster.user(), cluster.user()];
    const main = await at(1, bob);
    const chat = await alsoIn(main, "/chat", bob.token).ready();
    const sender = await at(0, ana, { namespace: "/chat" });
    assert.equal((await done(sender, "private-message", { to: bob.id, content: "in chat" })).delivered, 1);
    assert.equal((await chat.waitFor("private-message")).content, "in chat");
  });

  const long = "x".repeat(1001);
  const bad = {
    "no payload": [[], /room/],
    "no room": [[{ content: "x" }], /room/],
    "no content": [[{ room: "ROOM" }], /content/],
    "an empty content": [[{ room: "ROOM", content: "" }], /content/],
    "1,001 characters": [[{ room: "ROOM", content: long }], /content/],
    "a clientId of 65 characters": [[{ room: "ROOM", content: "x", clientId: "x".repeat(65) }], /clientId/],
    "an empty clientId": [[{ room: "ROOM", content: "x", clientId: "" }], /clientId/],
    "a number as content": [[{ room: "ROOM", content: 5 }], /content/],
  };
  for (const [name, [args, words]] of Object.entries(bad)) {
    test(`send-message refused, nothing stored: ${name}`, async () => {
      const [room, sender, other] = await inRoom();
      const payload = args.map((one) => (one.room ? { ...one, room } : one))[0];
      assert.match(await refused(sender, "send-message", payload, "validation_failed"), words);
      sender.send("send-message", payload);
      const error = await sender.waitFor("error");
      assert.deepEqual([error.code, error.event], ["validation_failed", "send-message"]);
      const [id] = await sendMany([sender], room, 1, "fine");
      await complete(other, room, [id]);
      assert.deepEqual(other.all("error"), []);
    });
  }

  test("1,000 characters, and 64 of a clientId, are counted as characters, not as bytes", async () => {
    const [room, sender, other] = await inRoom();
    const content = "👋".repeat(1000);
    await done(sender, "send-message", { room, content, clientId: "👋".repeat(64) });
    assert.equal((await other.waitFor("new-message")).content, content);
  });

  test("errors of the other events name the reason, too", async () => {
    const [room, sender] = await inRoom();
    const to = cluster.user().id;
    const wrong = [
      ["room-message", { room, message: "" }, /message/],
      ["room-message", { room, message: long }, /message/],
      ["room-message", { room }, /message/],
      ["message", { room, content: long }, /content/],
      ["typing", {}, /room/],
      ["typing", { room, isTyping: "yes" }, /isTyping/],
      ["typing", "text", /room/],
      ["private-message", { to, content: "" }, /content/],
      ["private-message", { to, content: long }, /content/],
      ["private-message", { to: "", content: "x" }, /to/],
      ["private-message", { to: "x".repeat(129), content: "x" }, /to/],
      ["private-message", { content: "x" }, /to/],
      ["private-message", { to: 5, content: "x" }, /^to/],
      ["send-message", { room, content: "x", clientId: 5 }, /clientId/],
      ["message", { room: 5, content: "x" }, /room/],
      ["leave-room", undefined, /room/],
      ["leave-room", { room: 5 }, /room/],
      ["join-room", undefined, /room/],
      ["join-room", 5, /room/],
      ["join-room", {}, /room/],
    ];
    const names = ["", "user:1", "with space", "ñ", "a/b", "a#b", "{a}", "a\n", "x".repeat(65)];
    wrong.push(...names.map((name) => ["join-room", name, /room/]));
    for (const [event, payload, words] of wrong) {
      assert.match(await refused(sender, event, payload, "validation_failed"), words, event);
    }
    for (const name of ["x", "A-1_b.c:d", "x".repeat(64), "users", "__proto__", "constructor"]) {
      assert.equal((await join(sender, name)).room, name);
      const [sent] = await sendMany([sender], name, 1);
      // Only this message, not the whole log: a cluster that was already running may know these names.
      await sender.waitFor("new-message", ({ id, room: of }) => id === sent && of === name);
      await done(sender, "leave-room", name);
    }
    assert.deepEqual(sender.disconnects, []);
  });

  test("only members may send", async () => {
    const [room, member] = await inRoom();
    const stranger = await at(1, cluster.user());
    const sends = [
      ["send-message", { room, content: "x" }],
      ["message", { room, content: "x" }],
      ["room-message", { room, message: "x" }],
      ["typing", { room }],
      ["leave-room", { room }],
    ];
    for (const [event, payload] of sends) {
      assert.match(await refused(stranger, event, payload, "not_in_room"), new RegExp(room), event);
    }
    await join(stranger, room);
    await sendMany([stranger], room, 1);
    await done(stranger, "leave-room", room);
    for (const [event, payload] of sends) await refused(stranger, event, payload, "not_in_room");
    await until("the last word", () => member.all("user-left").length === 1);
    assert.equal(roomMessages(member, room).length, 1);
    assert.deepEqual([...member.all("message"), ...member.all("room-message"), ...member.all("user-typing")], []);
  });
});
