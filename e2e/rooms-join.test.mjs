// Joining rooms: the first events, missed messages, and neither gaps nor duplicates while others send.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { alsoIn, closeAll, signedIn } from "./support/clients.mjs";
import {
  TIMESTAMP, complete, done, history, ids, join, newRoom, onEachNode, refused, roomMessages, sendMany, sendOn, startRooms,
} from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

const KEPT = 1000;

describe("joining a room", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms();
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("an empty room: joined, one empty recent-messages, the acknowledgement", async () => {
    const [first, second] = await onEachNode(cluster);
    const room = newRoom();
    const answer = await done(first, "join-room", room);
    assert.deepEqual(answer, { status: "ok", room, position: answer.position, members: 1 });
    assert.equal(typeof answer.position, "string");
    const events = first.events.filter(({ name }) => ["joined", "recent-messages"].includes(name));
    assert.deepEqual(events.map(({ name, args }) => [name, ...args]), [
      ["joined", { room }],
      ["recent-messages", [], { room, more: false }],
    ]);

    const other = await done(second, "join-room", { room });
    assert.deepEqual(other, { status: "ok", room, position: answer.position, members: 2 });
  });

  for (const namespace of ["/", "/chat"]) {
    test(`the newest 50 messages and then live ones, on ${namespace}`, async () => {
      const [sender, ...others] = await onEachNode(cluster, { namespace });
      const room = newRoom();
      await join(sender, room);
      const sent = await sendMany([sender], room, 60);
      for (const [index, other] of others.entries()) {
        const { recent, position, members, recovered } = await join(other, room);
        assert.deepEqual(ids(recent), sent.slice(-50));
        assert.equal(position, recent.at(-1).id);
        assert.equal(members, index + 2);
        assert.equal(recovered, undefined, "only if there was something to recover");
      }
      sent.push(...await sendMany([sender], room, 5));
      await complete(sender, room, sent);
      const all = roomMessages(sender, room);
      for (const other of others) await complete(other, room, sent.slice(-55));
      for (const message of roomMessages(others[0], room)) {
        assert.deepEqual(message, all.find(({ id }) => id === message.id));
        assert.deepEqual(Object.keys(message).sort(), ["content", "id", "room", "sender", "timestamp"]);
        assert.match(message.timestamp, TIMESTAMP);
      }
    });
  }

  test("/ and /chat have rooms of their own", async () => {
    const user = cluster.user();
    const main = await signedIn(cluster.urls[0], user);
    const chat = await alsoIn(main, "/chat", user.token).ready();
    const other = await signedIn(cluster.urls[1], cluster.user(), { namespace: "/chat" });
    const room = newRoom();
    await join(main, room);
    await refused(chat, "send-message", { room, content: "x" }, "not_in_room");
    assert.equal((await join(other, room)).members, 1, "members of the other namespace are not counted");
    assert.equal((await join(chat, room)).members, 2);
    await done(main, "send-message", { room, content: "in the main one" });
    await done(chat, "send-message", { room, content: "in chat" });
    await until("both arrived", () => roomMessages(main, room).length > 0 && roomMessages(chat, room).length > 0);
    const contents = (client) => roomMessages(client, room).map(({ content }) => content);
    assert.deepEqual(contents(main), ["in the main one"]);
    assert.deepEqual(contents(chat), ["in chat"]);
    await done(main, "leave-room", room);
    await done(chat, "send-message", { room, content: "still in this one" });
  });

  test("since a message, since a position, since an id that is unknown in the room", async () => {
    const [sender, other] = await onEachNode(cluster);
    const [room, elsewhere] = [newRoom(), newRoom()];
    const { position } = await join(sender, room);
    await join(sender, elsewhere);
    const sent = await sendMany([sender], room, 60);
    const foreign = await sendMany([sender], elsewhere, 3);

    assert.deepEqual(ids((await join(other, room, sent[9])).recent), sent.slice(10));
    const fromStart = await join(other, room, position);
    assert.deepEqual(ids(fromStart.recent), sent);
    assert.equal(fromStart.recovered, true);
    const nothingNew = await join(other, room, sent.at(-1));
    assert.deepEqual([nothingNew.recent, nothingNew.recovered, nothingNew.position], [[], true, sent.at(-1)]);

    const ahead = sent.at(-1).replace(/\d{4}$/, "9999");
    const laterEpoch = "f".repeat(14) + sent[0].slice(14);
    const garbage = ["garbage", "", "0-0", "💥", "x".repeat(5000), `${sent[0]} `];
    for (const since of [...garbage, foreign[1], ahead, laterEpoch]) {
      const answer = await join(other, room, since);
      assert.equal(answer.recovered, false, since);
      assert.deepEqual(ids(answer.recent), sent.slice(-50));
      assert.equal(answer.position, sent.at(-1));
    }
    assert.match(await refused(other, "join-room", { room, since: 5 }, "validation_failed"), /since/);
  });

  test("joining again changes nothing: no message twice, one member", async () => {
    const [sender, other] = await onEachNode(cluster);
    const room = newRoom();
    await join(sender, room);
    for (let round = 0; round < 3; round++) assert.equal((await join(other, room)).members, 2);
    const [id] = await sendMany([sender], room, 1);
    await done(sender, "room-message", { room, message: "the last word" });
    await other.waitFor("room-message");
    await done(other, "room-message", { room, message: "the very last word" });
    await sender.waitFor("room-message");
    assert.deepEqual(other.all("new-message").map((message) => message.id), [id]);
    assert.equal(sender.all("user-joined").length, 1);
  });

  test("more than 100 missed messages arrive in pages, up to all that are kept; beyond that the newest 50, with recovered: false", async () => {
    const clients = await onEachNode(cluster);
    const [reader, ...senders] = clients;
    const room = newRoom();
    const { position } = await join(reader, room);
    for (const sender of senders) await join(sender, room);
    const log = () => ids(roomMessages(reader, room));
    // A node may receive a message after it was acknowledged, and a new member there then gets it live: wait for all.
    const more = async (count) => {
      const all = log().length + count;
      await sendMany(senders, room, count);
      await until("all arrived", () => clients.every((client) => roomMessages(client, room).length === all));
    };
    const since = async (id, pages) => {
      // A new socket each time: one may get so much only once in a while.
      const late = await signedIn(cluster.urls[2], cluster.user());
      const answer = await join(late, room, id);
      late.close();
      assert.deepEqual([answer.pages, answer.recovered], [pages, true]);
      assert.deepEqual(ids(answer.recent), log().slice(log().indexOf(id) + 1));
    };

    await more(250);
    await since(position, [100, 100, 50]);
    await since(log()[49], [100, 100]);
    await since(log()[149], [100]);
    await since(log()[148], [100, 1]);
    await more(KEPT - 250);
    await since(position, Array(10).fill(100));
    await more(1);
    await since(log()[0], Array(10).fill(100));
    const late = await signedIn(cluster.urls[2], cluster.user());
    const tooLate = await join(late, room, position);
    assert.equal(tooLate.recovered, false);
    assert.deepEqual([ids(tooLate.recent), tooLate.pages], [log().slice(-50), [50]]);
    assert.equal(tooLate.position, log().at(-1));

    // The whole log is there, in pages.
    assert.deepEqual(ids(await history(late, room, { limit: 100 })), log().slice(1));
    assert.deepEqual(ids(await history(late, room)), log().slice(1));
  });

  test("room-history pages back through 1,000 messages without gap or repeat while new ones arrive", async () => {
    const clients = await onEachNode(cluster);
    const [reader, ...senders] = clients;
    const room = newRoom();
    for (const client of clients) await join(client, room);
    const sent = await sendMany(senders, room, KEPT - 100);
    for (const limit of [100, 37]) {
      const before = sent.length;
      const between = async () => sent.push(...await sendMany(senders, room, 1, "meanwhile"));
      const read = await history(reader, room, { limit, between });
      assert.deepEqual(ids(read), sent.slice(0, before).sort(), "from the newest at that time to the first");
      assert.ok(sent.length > before + 5);
    }
    sent.push(...await sendMany(senders, room, KEPT - sent.length));
    await complete(reader, room, sent.sort());
    const all = roomMessages(reader, room);
    assert.deepEqual(await history(reader, room, { limit: 100 }), all);
    assert.deepEqual((await done(reader, "room-history", { room })).messages, all.slice(-50));
    const page = await done(reader, "room-history", { room, limit: 3, before: all[10].id });
    assert.deepEqual(page, { status: "ok", messages: all.slice(7, 10) });
    assert.deepEqual(await done(reader, "room-history", { room, before: all[0].id }), { status: "ok", messages: [] });
  });

  test("room-history is for members, and its errors name the reason", async () => {
    const [member, stranger] = await onEachNode(cluster);
    const room = newRoom();
    await join(member, room);
    await refused(stranger, "room-history", { room }, "not_in_room");
    for (const limit of [0, 101, -1, 1.5, "10"]) {
      assert.match(await refused(member, "room-history", { room, limit }, "validation_failed"), /limit/);
    }
    assert.match(await refused(member, "room-history", { room, before: "garbage" }, "validation_failed"), /before/);
    assert.match(await refused(member, "room-history", {}, "validation_failed"), /room/);
    assert.deepEqual(await done(member, "room-history", { room }), { status: "ok", messages: [] });
  });

  test("a join while others send at full speed: pages and live messages have neither gap nor duplicate", async () => {
    const senders = await onEachNode(cluster);
    const room = newRoom();
    for (const sender of senders) await join(sender, room);
    const load = sendOn(senders, room);
    await live(senders[0], 100);
    const joiners = await Promise.all(Array.from({ length: 12 }, async (_, index) => {
      const client = await signedIn(cluster.urls[index % 3], cluster.user());
      const answer = await join(client, room);
      assert.ok(answer.recent.length <= 50);
      assert.ok(answer.recent.every(({ id }) => id <= answer.position));
      await live(client, 50);
      assert.ok(client.all("new-message")[0].id > answer.position, "messages after the position are live");
      return client;
    }));
    await load.stop();
    const log = [...load.acked].sort();
    for (const sender of senders) await complete(sender, room, log);
    for (const joiner of joiners) await complete(joiner, room, log.slice(log.indexOf(roomMessages(joiner, room)[0].id)));
  });

  test("leaving and rejoining with the last received message, while others send at full speed", async () => {
    const room = newRoom();
    // The last node has no other member: when its traveller leaves, the node leaves the room, too.
    const senders = await Promise.all(cluster.urls.slice(0, 2).map((url) => signedIn(url, cluster.user())));
    for (const sender of senders) await join(sender, room);
    const load = sendOn(senders, room);
    const travellers = await Promise.all([1, 2].map((node) => signedIn(cluster.urls[node], cluster.user())));
    await Promise.all(travellers.map(async (client) => {
      await join(client, room);
      for (let round = 0; round < 20; round++) {
        await live(client, client.all("new-message").length + 10);
        await done(client, "leave-room", room);
        const seen = roomMessages(client, room).at(-1).id;
        const answer = await join(client, room, seen);
        assert.equal(answer.recovered, true);
        if (answer.recent.length > 0) assert.ok(answer.recent[0].id > seen);
      }
    }));
    await load.stop();
    const log = [...load.acked].sort();
    for (const sender of senders) await complete(sender, room, log);
    for (const client of travellers) await complete(client, room, log.slice(log.indexOf(roomMessages(client, room)[0].id)));
  });
});

/** Waits until a client has received so many live messages. */
function live(client, count) {
  return until(`${count} live messages`, () => client.all("new-message").length >= count);
}
