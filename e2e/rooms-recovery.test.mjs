// Guarantees for stored messages while transports are cut, and while Redis is away, with its data and without.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { grace, here } from "./support/pace.mjs";
import {
  complete, done, history, ids, join, newRoom, onEachNode, refused, roomMessages, sendMany, sendOn, startRooms,
} from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

/** `unavailable` is sent after Redis has not answered for 2 s. */
const ANSWERED_MS = 3000;
const RIGHT_AGAIN_MS = 5000;
/** Enough time to reconnect within it, on a busy machine too. */
const GRACE_MS = grace(2000);

describe("nothing stored is lost", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ set: { "presence.grace": `${GRACE_MS}ms` } });
  });
  after(() => cluster?.stop());
  beforeEach(() => cluster.allReadinessIs(200));
  afterEach(closeAll);

  function inTime(begun, limit) {
    const took = Date.now() - begun;
    assert.ok(took < here(limit), `it took ${took} ms`);
  }

  /** Closes the transport under a client and waits until it noticed. */
  async function cut(client) {
    const count = client.disconnects.length;
    client.socket.io.engine.close();
    await until("it has noticed", () => client.disconnects.length > count);
  }

  /** Sends this message until it is stored, as the protocol expects of clients. */
  async function sendUntilStored(client, payload, ms = here(RIGHT_AGAIN_MS)) {
    const answer = await until("stored", async () => {
      const answer = await client.ask("send-message", payload);
      if (answer.status !== "ok") throw new NotYet(JSON.stringify(answer));
      return answer;
    }, ms);
    return answer.messageId;
  }

  /** Waits until the room has exactly so many members, as answered to each of `clients`. */
  async function countIs(clients, room, count) {
    await until(`${count} members`, async () => {
      const answers = await Promise.all(clients.map((client) => client.ask("room-members", { room })));
      if (answers.some((answer) => answer.count !== count)) throw new NotYet(JSON.stringify(answers));
      return true;
    });
  }

  test("a member with a cut transport reconnects, sends its last message, and gets exactly the missed ones", async () => {
    const [sender, ...others] = await onEachNode(cluster);
    const room = newRoom();
    const away = await signedIn(cluster.balancer, cluster.user(), { reconnection: false });
    const { position } = await join(away, room);
    for (const client of [sender, ...others]) await join(client, room);

    // It had received nothing: the position of its join is its cursor.
    await cut(away);
    const unseen = await sendMany([sender], room, 3, "unseen");
    for (const client of [sender, ...others]) await complete(client, room, unseen);
    away.socket.connect();
    await away.ready();
    const first = await join(away, room, position);
    assert.deepEqual([ids(first.recent), first.recovered], [unseen, true]);

    const seen = await sendMany([sender], room, 5, "seen");
    await complete(away, room, [...unseen, ...seen]);
    await cut(away);
    const missed = (await sendMany([sender, ...others], room, 130, "missed")).sort();
    for (const client of [sender, ...others]) await complete(client, room, [...unseen, ...seen, ...missed]);
    away.socket.connect();
    await away.ready();
    const second = await join(away, room, roomMessages(away, room).at(-1).id);
    assert.deepEqual([second.pages, second.recovered, second.members], [[100, 30], true, 4]);
    assert.deepEqual(ids(second.recent), missed);

    const live = await sendMany([sender], room, 5, "live");
    const all = [...unseen, ...seen, ...missed, ...live];
    for (const client of [sender, ...others, away]) await complete(client, room, all);
    // Another user leaves and is announced after the grace: a false announcement would have arrived by then.
    const user = cluster.user();
    const witness = await signedIn(cluster.urls[0], user);
    await join(witness, room);
    witness.close();
    for (const client of [sender, ...others]) {
      await client.waitFor("user-left", ({ userId }) => userId === user.id);
      assert.equal(client.all("user-left").length, 1, "it was away for less than the grace");
    }
  });

  test("members with repeatedly cut transports, while others send at full speed, have every message once", async () => {
    const senders = await onEachNode(cluster);
    const room = newRoom();
    for (const sender of senders) await join(sender, room);
    const shaky = await Promise.all(["balancer", 0, 1, 2].map(async (place, index) => {
      const url = place === "balancer" ? cluster.balancer : cluster.urls[place];
      const transports = index === 1 ? ["polling"] : ["websocket"];
      const soon = { reconnectionDelay: 50, reconnectionDelayMax: 100 };
      const client = await signedIn(url, cluster.user(), { transports, ...soon });
      client.joins = [await join(client, room)];
      client.socket.on("connect", () => {
        const since = roomMessages(client, room).at(-1)?.id ?? client.joins[0].position;
        client.joins.push(join(client, room, since));
      });
      return client;
    }));
    const load = sendOn(senders, room, 2);
    for (let round = 0; round < 4; round++) {
      await Promise.all(shaky.map(async (client) => {
        const seen = roomMessages(client, room).length;
        await until("some arrived", () => roomMessages(client, room).length > seen + 20);
        await cut(client);
        await until("joined again", () => client.joins.length === round + 2);
        assert.equal((await client.joins.at(-1)).recovered, true);
      }));
    }
    await load.stop();
    const log = [...load.acked].sort();
    for (const client of [...senders, ...shaky]) await complete(client, room, log);
  });

  test("Redis frozen: `unavailable` in time; a message refused so is stored once when it is retried", async () => {
    const clients = await onEachNode(cluster);
    const [sender, joiner, reader] = clients;
    const [room, next] = [newRoom(), newRoom()];
    for (const client of clients) await join(client, room);
    const before = await sendMany([sender], room, 3, "before");

    const payload = (client) => ({ room, content: `from ${client.id}`, clientId: "the same" });
    cluster.signal(cluster.redis, "SIGSTOP");
    try {
      const sentAt = Date.now();
      for (const answer of await Promise.all(clients.map((client) => client.ask("send-message", payload(client))))) {
        assert.equal(answer.code, "unavailable");
      }
      inTime(sentAt, ANSWERED_MS);
      const others = [
        sender.ask("room-members", { room }),
        joiner.ask("join-room", next),
        reader.ask("room-history", { room }),
      ];
      const askedNext = Date.now();
      for (const answer of await Promise.all(others)) assert.equal(answer.code, "unavailable");
      inTime(askedNext, ANSWERED_MS);
      await refused(joiner, "send-message", { room: next, content: "x" }, "not_in_room");
      await refused(sender, "send-message", { room, content: "" }, "validation_failed");
    } finally {
      cluster.signal(cluster.redis, "SIGCONT");
    }
    const back = Date.now();
    const again = await Promise.all(clients.map((client) => sendUntilStored(client, payload(client))));
    assert.equal(new Set(again).size, clients.length);
    const after = await sendUntilStored(sender, { room, content: "after" });
    for (const client of clients) await complete(client, room, [...before, ...again.sort(), after]);
    inTime(back, RIGHT_AGAIN_MS);
    assert.deepEqual(ids(await history(reader, room)), [...before, ...again, after]);

    for (const client of clients) assert.deepEqual(client.disconnects, []);
  });

  test("Redis frozen: all simultaneous requests of one socket are answered in time", async () => {
    const [sender] = await onEachNode(cluster);
    const room = newRoom();
    await join(sender, room);
    cluster.signal(cluster.redis, "SIGSTOP");
    try {
      const sentAt = Date.now();
      const all = [1, 2, 3, 4].map((n) => sender.ask("send-message", { room, content: `${n}`, clientId: `${n}` }));
      all.push(sender.ask("join-room", newRoom()), sender.ask("room-history", { room }));
      for (const answer of await Promise.all(all)) assert.equal(answer.code, "unavailable");
      inTime(sentAt, ANSWERED_MS);
    } finally {
      cluster.signal(cluster.redis, "SIGCONT");
    }
    const [one, two] = [1, 2].map((n) => sendUntilStored(sender, { room, content: `${n}`, clientId: `${n}` }));
    await Promise.all([one, two]);
    assert.equal((await history(sender, room)).filter(({ content }) => content === "1").length, 1);
  });

  test("Redis frozen: a user that could not join and joins afterwards is a normal member", async () => {
    const clients = await onEachNode(cluster);
    const observer = await signedIn(cluster.urls[0], cluster.user());
    const room = newRoom();
    await join(observer, room);
    cluster.signal(cluster.redis, "SIGSTOP");
    try {
      for (const answer of await Promise.all(clients.map((client) => client.ask("join-room", room)))) {
        assert.equal(answer.code, "unavailable");
      }
    } finally {
      cluster.signal(cluster.redis, "SIGCONT");
    }
    await Promise.all(clients.map((client) =>
      until("joined", async () => (await client.ask("join-room", room)).status === "ok")));
    const [id] = await sendMany([observer], room, 1);
    for (const client of clients) await complete(client, room, [id]);

    // Another user leaves and is announced after the grace: a false announcement would have arrived by then.
    const user = cluster.user();
    const witness = await signedIn(cluster.urls[0], user);
    await join(witness, room);
    witness.close();
    await observer.waitFor("user-left", ({ userId }) => userId === user.id);
    await countIs([...clients, observer], room, clients.length + 1);
    assert.equal(observer.all("user-left").length, 1);
  });

  for (const kill of [false, true]) {
    test(`Redis ${kill ? "killed" : "stopped"} and started with its data: nothing acknowledged is lost`, async () => {
      const clients = await onEachNode(cluster);
      const room = newRoom();
      for (const client of clients) await join(client, room);
      const acked = await sendMany(clients, room, 30, "before");
      await cluster.stopRedis({ kill });
      await refused(clients[0], "send-message", { room, content: "x", clientId: "while away" }, "unavailable");
      await cluster.startRedis();
      const back = Date.now();
      acked.push(await sendUntilStored(clients[1], { room, content: "after" }));
      for (const client of clients) await complete(client, room, acked.sort(), here(RIGHT_AGAIN_MS));
      inTime(back, RIGHT_AGAIN_MS);
      acked.push(...await sendMany(clients, room, 30, "and on"));
      for (const client of clients) {
        await complete(client, room, acked.sort());
        assert.deepEqual(client.all("room-reset"), []);
        assert.deepEqual(client.disconnects, []);
      }
      const late = await signedIn(cluster.urls[0], cluster.user());
      const { recent, recovered } = await join(late, room, acked[9]);
      assert.deepEqual([ids(recent), recovered], [acked.slice(10), true]);
    });
  }

  test("Redis started empty: members get room-reset, returning ones get recovered: false, and the room goes on", async () => {
    const users = cluster.urls.map(() => cluster.user());
    const clients = await Promise.all(users.map((user, index) => signedIn(cluster.urls[index], user)));
    const [room, chatRoom] = [newRoom(), newRoom()];
    for (const client of clients) await join(client, room);
    const away = await signedIn(cluster.urls[1], cluster.user(), { reconnection: false });
    await join(away, room);
    const inChat = await signedIn(cluster.urls[2], cluster.user(), { namespace: "/chat" });
    await join(inChat, chatRoom);
    const lost = await sendMany(clients, room, 20, "lost");
    for (const client of [...clients, away]) await complete(client, room, [...lost].sort());
    await sendMany([inChat], chatRoom, 1, "lost too");
    await cut(away);

    await cluster.stopRedis();
    await cluster.startRedis({ empty: true });
    const back = Date.now();
    const rest = () => Math.max(0, here(RIGHT_AGAIN_MS) - (Date.now() - back));
    const resets = await Promise.all(clients.map((client) => client.waitFor("room-reset", () => true, rest())));
    for (const reset of resets) assert.deepEqual(reset, { room, position: resets[0].position });
    assert.equal((await inChat.waitFor("room-reset", () => true, rest())).room, chatRoom);
    assert.ok(resets[0].position > lost.at(-1), "positions sort after this, too");

    const kept = [await sendUntilStored(clients[0], { room, content: "new" }, rest())];
    kept.push(...await sendMany(clients, room, 9, "new"));
    for (const client of clients) await complete(client, room, [...lost, ...kept].sort());
    assert.deepEqual(ids((await done(clients[2], "room-history", { room })).messages), [...kept].sort());

    await cluster.allReadinessIs(200);
    away.socket.connect();
    await away.ready();
    const returned = await join(away, room, roomMessages(away, room).at(-1).id);
    assert.deepEqual([ids(returned.recent), returned.recovered], [[...kept].sort(), false]);
    const late = await signedIn(cluster.urls[2], cluster.user());
    const fromReset = await join(late, room, resets[0].position);
    assert.deepEqual([ids(fromReset.recent), fromReset.recovered], [[...kept].sort(), true]);

    // All members are still in, on every node, and the announcements go on.
    const everyone = [...clients, away, late];
    await countIs(everyone, room, everyone.length);
    for (const client of clients) {
      const joined = (userId) => client.all("user-joined").filter((one) => one.userId === userId).length;
      assert.ok(users.every(({ id }) => joined(id) <= 1), "users that never left are not announced again");
      const online = (userId) => client.all("user:online").filter((one) => one.userId === userId).length;
      assert.ok(users.every(({ id }) => online(id) <= 1), "not to the others, either");
    }
    await done(late, "leave-room", room);
    for (const client of clients) {
      await client.waitFor("user-left");
      assert.equal(client.all("room-reset").length, 1);
      assert.deepEqual(client.disconnects, []);
    }
    await done(inChat, "send-message", { room: chatRoom, content: "in chat again" });
    await inChat.waitFor("new-message", ({ content }) => content === "in chat again");
  });
});
