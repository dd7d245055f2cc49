// Costs of rooms in real processes: long catch-ups over each transport, and unwritten rooms in Redis. Quotas of stored
// data are tested in process.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { redisCommand } from "./support/redis.mjs";
import { complete, done, ids, join, newRoom, roomMessages, sendMany, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** JSON writes each of these as six bytes. */
const LONG = "\u0001".repeat(1000);

describe("the cost of joining a room", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 2 });
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

  test("megabytes arrive in pages, complete and in order, while others are served", async () => {
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
      late.close();
    }
  });

  test("an unwritten room leaves nothing in Redis, and its position is valid all the same", async () => {
    const [first, away] = [await signedIn(cluster.urls[0], cluster.user()), await signedIn(cluster.urls[1], cluster.user())];
    const room = newRoom("silent");
    const { position } = await join(first, room);
    assert.equal((await join(away, room)).position, position);
    const head = () => redisCommand(cluster, `EVAL "return #redis.call('KEYS', ARGV[1])" 0 jackfield:*:r:%2F%23${room}:head`);
    assert.equal(await head(), ":0");
    await done(away, "leave-room", room);

    const sent = await sendMany([first], room, 5);
    assert.equal(await head(), ":1");
    await complete(first, room, sent);
    assert.deepEqual(first.all("room-reset"), [], "the first message is no reset");
    const back = await join(away, room, position);
    assert.deepEqual([ids(back.recent), back.recovered], [sent, true]);
  });
});
