// Costs of rooms: long catch-ups, quotas of stored data, and unwritten rooms.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, connect, signedIn } from "./support/clients.mjs";
import { redisCommand } from "./support/redis.mjs";
import { complete, done, ids, join, newRoom, refused, roomMessages, sendMany, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** JSON writes each of these as six bytes. */
const LONG = "\u0001".repeat(1000);

describe("the cost of joining a room", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 2, set: { "rooms.rules": JSON.stringify(["staff;join=ADMIN;send=ADMIN"]) } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** A room with so many messages of 6 KB, its first position, and a member who has received them all. */
  async function longRoom(count) {
    const room = newRoom();
    const member = await signedIn(cluster.urls[0], cluster.user());
    const { position } = await join(member, room);
    let next = 0;
    await Promise.all(Array.from({ length: 8 }, async () => {
      while (next++ < count) await done(member, "send-message", { room, content: LONG });
    }));
    await until("all were received", () => roomMessages(member, room).length === count, 20_000);
    return { room, position, member, log: ids(roomMessages(member, room)) };
  }

  test("megabytes arrive in pages, complete and in order, while others are served; a repeated join has to wait", async () => {
    const { room, position, member, log } = await longRoom(400);
    for (const transports of [["websocket"], ["polling"]]) {
      const late = await signedIn(cluster.urls[1], cluster.user(), { transports });
      const joining = join(late, room, position);
      const live = await sendMany([member], room, 3);
      const answer = await joining;
      assert.ok(answer.pages.length >= 8, `${answer.pages}`);
      assert.equal(answer.recovered, true);
      log.push(...live);
      await complete(late, room, log, 10_000);

      const again = await late.ask("join-room", { room, since: position });
      assert.equal(again.code, "rate_limited");
      assert.ok(again.retryAfterMs > 1000 && again.retryAfterMs <= 10_000, `${again.retryAfterMs}`);
      // A join with less than a page to send is accepted at any time, and the socket is still in the room.
      assert.equal((await join(late, room, log.at(-2))).recovered, true);
      log.push(...await sendMany([member], room, 1));
      await until("the last was received", () => late.all("new-message").some(({ id }) => id === log.at(-1)));
      late.close();
    }
  });

  test("a member that rejoins with many missed messages gets no live one in between, and none twice", async () => {
    const { room, position, member, log } = await longRoom(200);
    const other = await signedIn(cluster.urls[1], cluster.user());
    await join(other, room);
    const from = other.events.length;
    const joining = join(other, room, position);
    log.push(...await sendMany([member], room, 20));
    assert.equal((await joining).recovered, true);
    const events = () => other.events.slice(from).flatMap(({ name, args: [data] }) => {
      if (name === "new-message") return [data.id];
      return name === "recent-messages" ? ids(data) : [];
    });
    await until("all have arrived", () => events().includes(log.at(-1)));
    const begin = events().indexOf(log[0]);
    assert.deepEqual(events().slice(begin), log);
  });

  test("pages count against the event rate of the user", async () => {
    const costly = await startRooms({ nodes: 1, set: { "limits.eventRate": 10, "limits.eventBurst": 100 } });
    try {
      const room = newRoom();
      const writers = await Promise.all(Array.from({ length: 3 }, () => signedIn(costly.urls[0], costly.user())));
      for (const writer of writers) await join(writer, room);
      await Promise.all(writers.flatMap((writer) =>
        Array.from({ length: 80 }, () => done(writer, "send-message", { room, content: LONG }))));
      const reader = await signedIn(costly.urls[0], costly.user());
      const { recent } = await join(reader, room);
      assert.equal(recent.length, 50);
      // 50 x 6 KB cost some 75 events of the 100.
      const answers = await Promise.all(Array.from({ length: 50 }, () => reader.ask("echo", 1)));
      assert.ok(answers.filter(({ code }) => code === "rate_limited").length >= 15);
      assert.equal(reader.connected, true);
    } finally {
      await costly.stop();
    }
  });

  test("an unwritten room leaves nothing in Redis, and its position is valid all the same", async () => {
    const [first, away] = [await signedIn(cluster.urls[0], cluster.user()), await signedIn(cluster.urls[1], cluster.user())];
    const room = newRoom("silent");
    const { position } = await join(first, room);
    assert.equal((await join(away, room)).position, position);
    const head = () => redisCommand(cluster, `EXISTS ${cluster.redis.prefix ?? "jackfield"}:{room:%2F%23${room}}:head`);
    assert.equal(await head(), ":0");
    await done(away, "leave-room", room);

    const sent = await sendMany([first], room, 5);
    assert.equal(await head(), ":1");
    await complete(first, room, sent);
    assert.deepEqual(first.all("room-reset"), [], "the first message is no reset");
    const back = await join(away, room, position);
    assert.deepEqual([ids(back.recent), back.recovered], [sent, true]);
  });

  test("a retry of a stored message is acknowledged before the room is joined, only to its sender", async () => {
    const user = cluster.user();
    const [client, room] = [await signedIn(cluster.urls[0], user), newRoom()];
    await join(client, room);
    const message = { room, content: "once", clientId: "c-1" };
    const { messageId } = await done(client, "send-message", message);
    client.close();
    const back = await signedIn(cluster.urls[1], user);
    assert.equal((await done(back, "send-message", message)).messageId, messageId);
    await refused(back, "send-message", { ...message, clientId: "c-2" }, "not_in_room");
    await refused(back, "send-message", { ...message, room: newRoom() }, "not_in_room");
    await refused(back, "send-message", { room, content: "once" }, "not_in_room");
    const other = await signedIn(cluster.urls[1], cluster.user());
    await refused(other, "send-message", message, "not_in_room");

    // A user who was allowed to send once: if a rule refuses it now, it does not learn of the stored message, either.
    const id = cluster.user().id;
    const as = (roles) => connect(cluster.urls[0], { token: cluster.token({ sub: id, name: "Once Admin", roles }) }).ready();
    const admin = await as(["ADMIN"]);
    await join(admin, "staff");
    await done(admin, "send-message", { ...message, room: "staff" });
    await refused(await as(["USER"]), "send-message", { ...message, room: "staff" }, "not_in_room");
  });

  test("a user id of an issuer cannot impersonate another user or the system", async () => {
    const room = newRoom();
    const as = (sub) => connect(cluster.urls[0], { token: cluster.token({ sub, name: sub, roles: [] }) }).ready();
    const [ann, annB] = [await as("ann"), await as("ann b")];
    for (const client of [ann, annB]) await join(client, room);
    const theirs = await done(annB, "send-message", { room, content: "theirs", clientId: "c" });
    const hers = await done(ann, "send-message", { room, content: "hers", clientId: "b c" });
    assert.notEqual(hers.messageId, theirs.messageId);
    await until("both have arrived", () => ann.all("new-message").length === 2);
    const forger = connect(cluster.urls[0], { token: cluster.token({ sub: "system", name: "System" }) });
    assert.equal(await forger.refused(), "invalid_token");
  });
});

describe("limits of storing, for one user", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 1, set: { "limits.userRooms": 3, "limits.userBytes": 20_000 } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  async function limited(client, room, content = "x") {
    const answer = await client.ask("send-message", { room, content, clientId: "same" });
    assert.equal(answer.code, "rate_limited", JSON.stringify(answer));
    assert.ok(answer.retryAfterMs > 1000, `${answer.retryAfterMs}`);
  }

  test("the number of rooms that a user starts is limited; existing rooms can be written to, and any can be joined", async () => {
    const [client, other] = [await signedIn(cluster.urls[0], cluster.user()), await signedIn(cluster.urls[0], cluster.user())];
    const rooms = Array.from({ length: 5 }, () => newRoom());
    for (const room of rooms) await join(client, room);
    for (const room of rooms.slice(0, 3)) await done(client, "send-message", { room, content: "first" });
    await limited(client, rooms[3]);
    await done(client, "send-message", { room: rooms[0], content: "second" });
    await join(other, rooms[3]);
    await done(other, "send-message", { room: rooms[3], content: "first" });
    await until("it was received", () => roomMessages(client, rooms[3]).length === 1);
    await done(client, "send-message", { room: rooms[3], content: "second" });
    await limited(client, rooms[4]);
  });

  test("the stored bytes of a user are limited; retries of stored messages are still acknowledged", async () => {
    const [client, other] = [await signedIn(cluster.urls[0], cluster.user()), await signedIn(cluster.urls[0], cluster.user())];
    const room = newRoom();
    for (const one of [client, other]) await join(one, room);
    const { messageId } = await done(client, "send-message", { room, content: "x", clientId: "first" });
    let stored = 0;
    while ((await client.ask("send-message", { room, content: LONG })).status === "ok") stored++;
    assert.ok(stored >= 3 && stored <= 5, `${stored} stored`);
    await limited(client, room);
    const again = await done(client, "send-message", { room, content: "x", clientId: "first" });
    assert.equal(again.messageId, messageId);
    await done(other, "send-message", { room, content: "undisturbed" });
  });
});
