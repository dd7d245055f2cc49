// Many clients that join one room at once, new or with the last message that they saw, while others send.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { redisCalls } from "./support/redis.mjs";
import { complete, done, join, newRoom, roomMessages, sendMany, sendOn, startRooms } from "./support/rooms.mjs";

/** Clients on one node. */
const CROWD = 120;
/** The most reads of the log for a crowd: more than one, because gaps in live messages may need reads, too. */
const MOST_READS = 12;

describe("a crowd", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 2 });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("joins, leaves and rejoins while others send: all joins succeed, no message is missing, the log is read a few times", async () => {
    const [here, there] = await Promise.all(cluster.urls.map((url) => signedIn(url, cluster.user())));
    const room = newRoom();
    for (const sender of [here, there]) await join(sender, room);
    const sent = await sendMany([here, there], room, 70, "before");
    const crowd = [];
    while (crowd.length < CROWD) {
      const some = Array.from({ length: 20 }, () => signedIn(cluster.urls[0], cluster.user()));
      crowd.push(...await Promise.all(some));
    }
    // Every read of the log, and every append, has one of the first commands; an append has one of the second, too.
    const reads = async () => await redisCalls(cluster, "hmget") - await redisCalls(cluster, "xadd");
    const load = sendOn([here, there], room, 1);
    const before = await reads();
    const answers = await Promise.all(crowd.map((client) => join(client, room)));
    assert.ok(await reads() - before <= MOST_READS, `${await reads() - before} times`);
    for (const { recent, position, recovered } of answers) {
      assert.deepEqual([recent.length, recovered], [50, undefined]);
      assert.equal(recent.at(-1).id, position);
    }

    await Promise.all(crowd.map((client) => done(client, "leave-room", room)));
    const seen = crowd.map((client) => roomMessages(client, room).at(-1).id);
    sent.push(...await sendMany([here], room, 30, "meanwhile"));
    const again = await reads();
    const back = await Promise.all(crowd.map((client, index) => join(client, room, seen[index])));
    assert.ok(await reads() - again <= MOST_READS, `${await reads() - again} times`);
    await load.stop();
    for (const { recent, recovered } of back) assert.deepEqual([recent.length >= 30, recovered], [true, true]);

    // The acknowledged messages are the log. Those of one member are not: the last ones may be on their way to it.
    const log = [...sent, ...load.acked].sort();
    for (const client of [here, there]) await complete(client, room, log);
    for (const client of crowd) await complete(client, room, log.slice(log.indexOf(roomMessages(client, room)[0].id)));
  });
});
