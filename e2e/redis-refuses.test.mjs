// A Redis that answers but refuses writes: it is full, or it has become a replica. And one that hands over to another.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, connect } from "./support/clients.mjs";
import { redisCommand, startRedis } from "./support/redis.mjs";
import { startLink } from "./support/link.mjs";
import { metric } from "./support/metrics.mjs";
import { here } from "./support/pace.mjs";
import { complete, done, join, newRoom, onEachNode, refused, sendMany, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** The lease, and a little. */
const NOTICED_MS = 10_000;
const RIGHT_AGAIN_MS = 10_000;

describe("Redis refuses writes", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 2 });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const refusals = {
    "full, and has room again": ["CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", { history: true }],
    "a replica, and the master again": ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", { history: false }],
  };
  for (const [name, [refuse, take, { history }]] of Object.entries(refusals)) {
    test(`Redis is ${name}`, async () => {
      const room = newRoom();
      const members = await onEachNode(cluster);
      for (const member of members) await join(member, room);
      const first = await done(members[0], "send-message", { room, content: "before" });
      const lost = await metric(cluster.gateways, "jackfield_leases_lost_total");
      assert.equal(await redisCommand(cluster, refuse), "+OK");

      // A refused operation has no effect.
      for (const member of members) {
        await refused(member, "send-message", { room, content: "again", clientId: "c" }, "unavailable");
        await refused(member, "join-room", newRoom(), "unavailable");
      }
      await cluster.allReadinessIs(503, here(NOTICED_MS));
      const newcomer = connect(cluster.urls[0], { token: cluster.user().token });
      await until("refused temporarily", () => newcomer.errors.length > 0, here(NOTICED_MS));
      assert.equal(newcomer.refusal, undefined, "nothing terminal");
      // No client is disconnected, even without a lease. A full Redis still serves reads and extends histories' expiry.
      const leasesLost = async () => await metric(cluster.gateways, "jackfield_leases_lost_total") - lost;
      await until("both leases are lost", async () => await leasesLost() === 2, here(NOTICED_MS));
      if (history) {
        const { messages } = await done(members[1], "room-history", { room });
        assert.deepEqual(messages.map(({ id }) => id), [first.messageId]);
      }
      for (const member of members) assert.deepEqual(member.disconnects, []);
      assert.ok(await metric(cluster.gateways, 'jackfield_redis_errors_total{connection="quick",kind="refused"}') > 0);

      assert.equal(await redisCommand(cluster, take), "+OK");
      await cluster.allReadinessIs(200, here(RIGHT_AGAIN_MS));
      await newcomer.ready(here(RIGHT_AGAIN_MS));
      const answers = [];
      for (const member of members) answers.push(await done(member, "send-message", { room, content: "again", clientId: "c" }));
      const ids = [first, ...answers].map(({ messageId }) => messageId);
      for (const member of members) await complete(member, room, ids);
      assert.equal(await leasesLost(), 2, "each was lost once, with any number of attempts to renew it");
    });
  }
});

test("a Redis fails over to its replica, and keeps its connections", async () => {
  const [first, second] = await Promise.all([startRedis(), startRedis()]);
  const link = await startLink(first.url);
  const set = { "redis.url": link.url.replace("http", "redis"), "session.policy": "multi" };
  const cluster = await startRooms({ nodes: 2, set });
  try {
    const room = newRoom();
    const members = await onEachNode(cluster);
    for (const member of members) await join(member, room);
    const before = await sendMany(members, room, 20);
    assert.equal(await redisCommand({ redis: second }, `REPLICAOF 127.0.0.1 ${new URL(first.url).port}`), "+OK");
    await until("the replica has everything", async () => (await role(first)).includes("state=online"));

    // From now on the address leads to the other Redis.
    link.to(second.url);
    assert.equal(await redisCommand({ redis: first }, "FAILOVER"), "+OK");
    await until("the roles have changed", async () => (await role(first)).includes("role:slave"));
    const after = [];
    for (const [index, member] of members.entries()) {
      const message = { room, content: "after", clientId: String(index) };
      const answer = () => member.ask("send-message", message).then((answer) => answer.messageId);
      after.push(await until("a message is stored", answer, here(RIGHT_AGAIN_MS)));
    }
    await cluster.allReadinessIs(200, here(RIGHT_AGAIN_MS));
    for (const member of members) {
      await complete(member, room, [...before.sort(), ...after]);
      assert.deepEqual(member.disconnects, []);
    }
  } finally {
    closeAll();
    await cluster.stop();
    link.stop();
    await Promise.all([first.stop(), second.stop()]);
  }
});

const role = (redis) => redisCommand({ redis }, "INFO replication", { whole: true });
