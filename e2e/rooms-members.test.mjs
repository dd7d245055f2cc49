// Members of a room: announcements by user, counts, and permission to join.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { alsoIn, closeAll, signedIn } from "./support/clients.mjs";
import { grace, here } from "./support/pace.mjs";
import { done, join, newRoom, onEachNode, refused, sendMany, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

/** Enough time to reconnect within it, on a busy machine too. */
const GRACE_MS = grace(2000);
/** Lease, then the grace, and a little. */
const GONE_MS = 15_000;
const ANNOUNCE_MAX = 4;
const MOST_ROOMS = 5;

describe("members of a room", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({
      set: {
        "session.policy": "multi",
        "presence.grace": `${GRACE_MS}ms`,
        "rooms.announceMax": ANNOUNCE_MAX,
        "rooms.rules": "staff:*;join=ADMIN+SUPERUSER,news;send=ADMIN,vip:*;join=*;send=VIP",
        "limits.rooms": MOST_ROOMS,
      },
    });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const at = (node, user, options) => signedIn(cluster.urls[node], user, options);
  const shown = ({ id, fullName }) => ({ userId: id, name: fullName });
  const sorted = (users) => users.map(shown).sort((a, b) => (a.userId < b.userId ? -1 : 1));

  /** Waits until the room has exactly these members, as answered to `client`. */
  async function membersAre(client, room, users) {
    await until(`${users.length} members`, async () => {
      const answer = await done(client, "room-members", { room });
      if (answer.count !== users.length) throw new NotYet(JSON.stringify(answer));
      return true;
    });
    const answer = await done(client, "room-members", { room });
    answer.members.sort((a, b) => (a.userId < b.userId ? -1 : 1));
    assert.deepEqual(answer, { status: "ok", room, count: users.length, members: sorted(users) });
  }

  /** Afterwards no earlier event of the room is on its way to any of these. */
  async function allHeard(speaker, room, clients) {
    const message = newRoom("word");
    await done(speaker, "message", { content: message, room });
    for (const client of clients) await client.waitFor("message", (one) => one.message === message);
  }

  test("a user joins once and leaves once, at once, with any number of sockets", async () => {
    const [bob, ana] = [cluster.user(), cluster.user({ name: "Ana \"A\" Ñandú" })];
    const room = newRoom();
    const observers = [await at(0, bob), await at(2, bob)];
    for (const observer of observers) assert.equal((await join(observer, room)).members, 1);
    const sockets = [await at(0, ana), await at(1, ana), await at(1, ana)];
    for (const socket of sockets) assert.equal((await join(socket, room)).members, 2);
    await allHeard(sockets[2], room, [...observers, ...sockets]);
    const about = { ...shown(ana), room };
    for (const observer of observers) assert.deepEqual(observer.all("user-joined"), [about]);
    for (const socket of sockets) assert.deepEqual(socket.all("user-joined"), [], "no socket gets an announcement of its own user");
    await membersAre(sockets[1], room, [ana, bob]);

    assert.deepEqual(await done(sockets[0], "leave-room", room), { status: "ok", room });
    assert.deepEqual(await done(sockets[1], "leave-room", { room }), { status: "ok", room });
    await allHeard(sockets[2], room, observers);
    for (const observer of observers) assert.deepEqual(observer.all("user-left"), []);
    await membersAre(observers[0], room, [ana, bob]);

    const left = Date.now();
    await done(sockets[2], "leave-room", room);
    for (const observer of observers) {
      assert.deepEqual(await observer.waitFor("user-left"), about);
      assert.ok(Date.now() - left < GRACE_MS, "leaving has no grace");
    }
    await membersAre(observers[1], room, [bob]);
    await refused(sockets[2], "leave-room", room, "not_in_room");
    await allHeard(observers[0], room, observers);
    for (const observer of observers) assert.equal(observer.all("user-left").length, 1);
  });

  test("a user that left receives nothing more", async () => {
    const [ana, bob, eve] = await onEachNode(cluster);
    const room = newRoom();
    for (const client of [ana, bob, eve]) await join(client, room);
    await done(ana, "leave-room", room);
    await eve.waitFor("user-left");
    const before = ana.events.length;
    await sendMany([bob], room, 3);
    await done(bob, "message", { content: "x", room });
    await done(bob, "room-message", { room, message: "x" });
    await done(bob, "typing", { room });
    await done(bob, "leave-room", room);
    await until("all of it", () => eve.all("user-left").length === 2);
    await join(ana, room);
    // She may receive events about others outside her rooms.
    const others = /^(user:|clients-|notification:)/;
    const names = ana.events.slice(before).map(({ name }) => name).filter((name) => !others.test(name));
    assert.deepEqual(names, ["joined", "recent-messages"]);
  });

  test("the last socket gone: announced after the grace, by user; within it still a member", async () => {
    const [bob, ana, eve] = [cluster.user(), cluster.user(), cluster.user()];
    const room = newRoom();
    const observers = [await at(0, bob), await at(1, bob)];
    for (const observer of observers) await join(observer, room);
    const sockets = [await at(1, ana), await at(2, ana)];
    for (const socket of sockets) await join(socket, room);
    // They leave one after the other: only the last one counts.
    sockets[0].close();
    const gone = await at(2, eve);
    await join(gone, room);
    const closed = Date.now();
    sockets[1].close();
    await membersAre(observers[0], room, [ana, bob, eve]);
    for (const observer of observers) {
      assert.deepEqual(await observer.waitFor("user-left"), { ...shown(ana), room });
      const [{ at: when }] = observer.events.filter(({ name }) => name === "user-left");
      assert.ok(when - closed >= GRACE_MS - 100, `already after ${when - closed} ms`);
      assert.ok(when - closed < GRACE_MS + here(3000), `only after ${when - closed} ms`);
    }
    await membersAre(gone, room, [bob, eve]);
    for (const observer of observers) assert.equal(observer.all("user-left").length, 1);
  });

  test("returning within the grace is silent, on another node too", async () => {
    const [bob, ana, eve] = [cluster.user(), cluster.user(), cluster.user()];
    const room = newRoom();
    const observers = [await at(0, bob), await at(1, bob)];
    for (const observer of observers) await join(observer, room);
    const first = await at(0, ana);
    await join(first, room);
    const other = await at(0, eve);
    await join(other, room);
    first.close();
    const back = await at(2, ana);
    assert.equal((await join(back, room)).members, 3);
    // Eve leaves later and stays away: when she is announced, Ana's grace would be over, too.
    other.close();
    for (const observer of observers) await observer.waitFor("user-left", ({ userId }) => userId === eve.id);
    await allHeard(back, room, observers);
    for (const observer of observers) {
      assert.deepEqual(observer.all("user-left"), [{ ...shown(eve), room }]);
      assert.deepEqual(observer.all("user-joined").map(({ userId }) => userId), [ana.id, eve.id]);
    }
    await membersAre(back, room, [ana, bob]);
  });

  test("a user that leaves and rejoins at once is a member", async () => {
    const [bob, ana, kim, eve] = [cluster.user(), cluster.user(), cluster.user(), cluster.user()];
    const room = newRoom();
    const observer = await at(0, bob);
    await join(observer, room);
    const [inTurn, inOneGo] = [await at(1, ana), await at(2, kim)];
    for (const client of [inTurn, inOneGo]) await join(client, room);
    for (let round = 0; round < 10; round++) {
      await done(inTurn, "leave-room", room);
      await join(inTurn, room);
      const answers = await Promise.all([inOneGo.ask("leave-room", room), inOneGo.ask("join-room", room)]);
      assert.deepEqual(answers.map(({ status }) => status), ["ok", "ok"]);
    }
    // Eve is announced after the grace: any earlier false announcement would have arrived by then.
    const witness = await at(0, eve);
    await join(witness, room);
    witness.close();
    await observer.waitFor("user-left", ({ userId }) => userId === eve.id);
    await membersAre(observer, room, [ana, bob, kim]);
    for (const { id } of [ana, kim]) {
      assert.equal(observer.all("user-joined").filter(({ userId }) => userId === id).length, 11);
      assert.equal(observer.all("user-left").filter(({ userId }) => userId === id).length, 10);
    }
  });

  test("each namespace has its own members, over one connection too", async () => {
    const [bob, ana] = [cluster.user(), cluster.user()];
    const room = newRoom();
    const observers = { main: await at(0, bob) };
    observers.chat = await alsoIn(observers.main, "/chat", bob.token).ready();
    const main = await at(1, ana);
    const chat = await alsoIn(main, "/chat", ana.token).ready();
    for (const client of [observers.main, observers.chat]) await join(client, room);
    assert.equal((await join(chat, room)).members, 2);
    await observers.chat.waitFor("user-joined");
    await membersAre(main, room, [bob]);
    await join(main, room);
    await observers.main.waitFor("user-joined");
    chat.close();
    await observers.chat.waitFor("user-left");
    await membersAre(observers.chat, room, [bob]);
    await membersAre(observers.main, room, [ana, bob]);
    await allHeard(main, room, [observers.main]);
    assert.deepEqual(observers.main.all("user-left"), [], "only its membership in /chat ended");
  });

  test(`above ${ANNOUNCE_MAX} members joins are not announced, and the counts stay right`, async () => {
    const room = newRoom();
    const users = Array.from({ length: ANNOUNCE_MAX + 2 }, () => cluster.user());
    const clients = await Promise.all(users.map((user, index) => at(index % 3, user)));
    for (const [index, client] of clients.entries()) assert.equal((await join(client, room)).members, index + 1);
    await allHeard(clients[5], room, clients);
    const names = (client, event) => client.all(event).map(({ userId }) => users.findIndex(({ id }) => id === userId));
    assert.deepEqual(names(clients[0], "user-joined"), [1, 2, 3]);
    await membersAre(clients[0], room, users);

    for (const client of clients.slice(4)) await done(client, "leave-room", room);
    await allHeard(clients[3], room, clients.slice(0, 4));
    assert.deepEqual(names(clients[0], "user-left"), []);
    await done(clients[3], "leave-room", room);
    for (const client of clients.slice(0, 3)) await client.waitFor("user-left");
    assert.deepEqual(names(clients[0], "user-left"), [3]);
    await membersAre(clients[4], room, users.slice(0, 3));
  });

  test("rules decide which users may join and send", async () => {
    const admin = await at(0, cluster.user({ roles: ["USER", "ADMIN"] }));
    const user = await at(1, cluster.user());
    for (const room of [newRoom("staff:"), "staff:"]) {
      await refused(user, "join-room", room, "forbidden");
      await refused(user, "join-room", { room }, "forbidden");
      await refused(user, "room-members", { room }, "forbidden");
      await refused(user, "send-message", { room, content: "x" }, "not_in_room");
      await join(admin, room);
      await sendMany([admin], room, 1);
    }
    const [room, silent] = ["news", newRoom("vip:")];
    for (const client of [admin, user]) {
      await join(client, room);
      await join(client, silent);
    }
    for (const name of [room, silent]) {
      await refused(user, "send-message", { room: name, content: "x" }, "forbidden");
      await refused(user, "message", { room: name, content: "x" }, "forbidden");
      await refused(user, "room-message", { room: name, message: "x" }, "forbidden");
      assert.deepEqual((await done(user, "room-history", { room: name })).messages, []);
    }
    await refused(admin, "send-message", { room: silent, content: "x" }, "forbidden");
    await sendMany([admin], room, 1, "the news");
    assert.equal((await user.waitFor("new-message")).content, "the news 0");
    // A rule applies to its pattern, not to similar names.
    for (const name of [newRoom("staff"), newRoom("news")]) {
      await join(user, name);
      await sendMany([user], name, 1);
      await done(user, "leave-room", name);
    }
    assert.deepEqual(admin.all("error"), []);
  });

  test("the number of rooms per socket is limited", async () => {
    const user = cluster.user();
    const [client, another] = [await at(0, user), await at(0, user)];
    const rooms = Array.from({ length: MOST_ROOMS + 1 }, () => newRoom());
    for (const room of rooms.slice(1)) await join(client, room);
    await refused(client, "join-room", rooms[0], "too_many_rooms");
    await refused(client, "send-message", { room: rooms[0], content: "x" }, "not_in_room");
    assert.equal((await done(another, "room-members", { room: rooms[0] })).count, 0);
    await join(client, rooms[1]);
    await join(another, rooms[0]);
    await done(client, "leave-room", rooms[1]);
    await join(client, rooms[0]);
  });

  test("room-members is for users that may join; a room without members has none", async () => {
    const [member, stranger] = await onEachNode(cluster);
    const room = newRoom();
    assert.deepEqual(await done(stranger, "room-members", { room }), { status: "ok", room, count: 0, members: [] });
    await join(member, room);
    assert.equal((await done(stranger, "room-members", { room })).count, 1);
    assert.match(await refused(stranger, "room-members", { room: "user:1" }, "validation_failed"), /room/);
    assert.match(await refused(stranger, "room-members", {}, "validation_failed"), /room/);
  });

  test("a killed gateway: users that stay away are announced once and are no members any more; users that return are not announced", async () => {
    const [bob, ...users] = Array.from({ length: 4 }, () => cluster.user());
    const room = newRoom();
    const observer = await at(0, bob);
    await join(observer, room);
    const clients = await Promise.all(users.map((user) => at(2, user, { reconnection: false })));
    for (const client of clients) await join(client, room);
    const gateway = cluster.gateway("gw3");
    const killed = Date.now();
    cluster.signal(gateway, "SIGKILL");
    const back = await at(1, users[0]);
    await join(back, room);
    const rest = () => here(GONE_MS) - (Date.now() - killed);
    for (const { id } of users.slice(1)) await observer.waitFor("user-left", ({ userId }) => userId === id, rest());
    await membersAre(back, room, [bob, users[0]]);

    // One more user leaves, and is announced after the grace: any false announcement would have arrived by then.
    const witness = await at(1, users[2]);
    await join(witness, room);
    witness.close();
    await until("the last one", () => observer.all("user-left").length === 3);
    const left = observer.all("user-left").map(({ userId }) => users.findIndex(({ id }) => id === userId));
    assert.deepEqual([left.slice(0, 2).sort(), left[2]], [[1, 2], 2]);
    await membersAre(observer, room, [bob, users[0]]);
    await cluster.restartGateway("gw3");
    const first = await at(2, users[1]);
    assert.equal((await join(first, room)).members, 3);
  });
});
