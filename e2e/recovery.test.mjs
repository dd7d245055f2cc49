// Recovery in `/` and `/chat`: stock clients that ask for it miss nothing, and need not join again, whatever happens to
// their connection or to their node.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { TRANSPORTS, closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { startLink } from "./support/link.mjs";
import { here } from "./support/pace.mjs";
import {
  GAP, Recovering, Sent, allHave, allReady, comeBack, crowd, cut, lose, passed, say, shiftOffset, tell, underLoad,
  verify,
} from "./support/recovering.mjs";
import { complete, history, ids, join, newRoom, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** Faults of the test under load; more with RECOVERY_KILLS=200 RECOVERY_CLIENTS=50. */
const KILLS = Number(process.env.RECOVERY_KILLS ?? 6);
const CLIENTS = Number(process.env.RECOVERY_CLIENTS ?? 16);
/** A long run also freezes nodes for longer than their lease, and stops Redis. */
const LONG = KILLS > 50;
const AWAY_MS = 5000;
const FROZEN_MS = 8000;
/** Longer than the drain window and the node's last work. */
const EXITED_MS = 20_000;

const SETTINGS = {
  // Clients notice within 5 s that their node is frozen.
  "ping.interval": "3s",
  "ping.timeout": "2s",
  "drain.window": "3s",
};

/** At least one was away, and each return was a recovery under the same id. */
function assertRecovered(clients) {
  const returns = clients.flatMap((one) => one.returns);
  assert.ok(returns.length > 0, "nobody was away");
  for (const one of returns) assert.deepEqual(one, [true, true], "recovered, under the same id");
}

test("the checker: what is missed, doubled, reordered, foreign, and excused", () => {
  const entries = ["a", "unsure", "b", "c", "d"].map((key, order) => ({ key, order, sure: key !== "unsure" }));
  const check = (...keys) => verify(new Map([["stream", keys]]), new Map([["stream", entries]]));
  const right = { missed: [], doubled: [], reordered: [], foreign: [] };
  for (const keys of ["abcd", ["a", "b", "c", "d", "unsure"], ["a", GAP, "d"], ["a", "b", GAP], [GAP, "d"]]) {
    assert.deepEqual(check(...keys), right);
  }
  assert.deepEqual(check("a", "c", "d"), { ...right, missed: ["b"] });
  assert.deepEqual(check("b", GAP, "c"), { ...right, missed: ["a", "d"] });
  assert.deepEqual(check(..."abbcd"), { ...right, doubled: ["b"] });
  assert.deepEqual(check("a", "unsure", "unsure", "b", "c", "d"), { ...right, doubled: ["unsure"] });
  assert.deepEqual(check(..."acbd"), { ...right, reordered: ["b"] });
  assert.deepEqual(check(..."abcde"), { ...right, foreign: ["e"] });
});

describe("recovery", OWN, () => {
  let cluster, apis;
  /** The node that is dead or frozen: backends do not call it. */
  let troubled;
  before(async () => {
    cluster = await startRooms({ set: SETTINGS });
    apis = cluster.gateways.map((_, node) => new Api(cluster, node));
  });
  after(() => cluster?.stop());
  beforeEach(async () => {
    troubled = undefined;
    await cluster.restartDead();
  });
  afterEach(closeAll);

  /** A client and a friend in two rooms; `write` sends messages to both and events to the client's user. */
  async function pair(options = {}, url = cluster.balancer) {
    const rooms = [newRoom(), newRoom()];
    const [one, friend] = await Promise.all([
      new Recovering(url, cluster.user(), rooms, options).ready(),
      new Recovering(cluster.balancer, cluster.user(), rooms, { namespace: options.namespace }).ready(),
    ]);
    await one.client.upgraded();
    const sent = new Sent();
    const write = async (count) => {
      for (let n = 0; n < count; n++) {
        for (const room of rooms) await say(friend, room, sent);
        assert.ok(await tell(one.user, { api: apis[n % apis.length], friend: friend.client }, sent));
      }
    };
    return { one, friend, rooms, sent, write };
  }

  for (const [name, options] of Object.entries(TRANSPORTS)) {
    for (const namespace of ["/", "/chat"]) {
      test(`a cut connection: ${name}, in ${namespace}`, async () => {
        const { one, friend, rooms, sent, write } = await pair({ ...options, namespace });
        await write(3);
        await allHave([one, friend], sent);
        await cut(one.client);
        await write(6);
        await comeBack(one.client);
        await write(3);
        // It is a member without having joined again.
        for (const room of rooms) await say(one, room, sent);
        await allHave([one, friend], sent);
        assertRecovered([one]);
        for (const event of ["joined", "recent-messages"]) assert.equal(one.client.all(event).length, rooms.length);
        const newcomer = await signedIn(cluster.urls[0], cluster.user(), { namespace });
        assert.equal((await join(newcomer, rooms[0])).members, 3);
      });
    }
  }

  test("a half-open connection, which its node takes for a live one", async () => {
    const link = await startLink(cluster.urls[0]);
    try {
      const { one, friend, sent, write } = await pair({}, link.url);
      await write(3);
      await allHave([one, friend], sent);
      link.swallow();
      await write(6);
      one.client.socket.io.uri = cluster.balancer;
      await cut(one.client);
      await comeBack(one.client);
      await write(3);
      await allHave([one, friend], sent);
      assertRecovered([one]);
      assert.deepEqual(one.client.all("session:replaced"), []);
    } finally {
      link.stop();
    }
  });

  /** One API after the other, of the nodes that answer. */
  let calls = 0;
  function api() {
    const healthy = apis.filter((_, node) => cluster.gateways[node] !== troubled);
    return healthy[calls++ % healthy.length];
  }

  /** A third of the clients, of all transports. */
  const third = (clients, number = 0) => clients.filter((_, index) => Math.floor(index / 3) % 3 === number % 3);

  const loseAll = (clients) =>
    Promise.all(clients.filter(({ client }) => client.connected).map(({ client }) => lose(client)));

  async function end(gateway, signal) {
    troubled = gateway;
    cluster.signal(gateway, signal);
    await until("it has exited", () => !cluster.alive(gateway), here(EXITED_MS));
  }

  async function restart(gateway) {
    await cluster.restartGateway(gateway.id);
    await cluster.allReadinessIs(200);
    troubled = undefined;
  }

  async function freeze(gateway, ms) {
    troubled = gateway;
    cluster.signal(gateway, "SIGSTOP");
    try {
      await passed(ms);
    } finally {
      cluster.signal(gateway, "SIGCONT");
    }
    troubled = undefined;
  }

  /** Stops Redis, and cuts these clients' connections meanwhile. */
  async function withoutRedis(ms, clients) {
    await cluster.stopRedis();
    try {
      await loseAll(clients);
      await passed(ms);
    } finally {
      await cluster.startRedis();
    }
    await cluster.allReadinessIs(200);
  }

  const ALONE = {
    "a node is killed": () => end(cluster.gateways[1], "SIGKILL"),
    "a node is shut down": () => end(cluster.gateways[2], "SIGTERM"),
    "a node is frozen for 8 s": () => freeze(cluster.gateways[1], FROZEN_MS),
    "Redis is away for 5 s, and connections are cut meanwhile": (clients) => withoutRedis(AWAY_MS, third(clients)),
  };
  for (const [name, fault] of Object.entries(ALONE)) {
    test(name, async () => {
      const clients = await crowd(cluster, 12, 4);
      await underLoad(clients, api, () => fault(clients));
      assertRecovered(clients);
    });
  }

  test(`${KILLS} faults under load, with ${CLIENTS} clients`, async (t) => {
    const clients = await crowd(cluster, CLIENTS, Math.round(0.4 * CLIENTS));
    const faults = [
      (_, round) => loseAll(third(clients, round)),
      (gateway) => end(gateway, "SIGKILL").then(() => restart(gateway)),
      (gateway) => end(gateway, "SIGTERM").then(() => restart(gateway)),
      (gateway) => freeze(gateway, LONG ? FROZEN_MS : 2000),
      ...(LONG ? [(_, round) => withoutRedis(2000, third(clients, round))] : []),
    ];
    const sent = await underLoad(clients, api, async () => {
      for (let round = 0; round < KILLS; round++) {
        await faults[round % faults.length](cluster.gateways[round % cluster.gateways.length], round);
        await allReady(clients);
        for (const one of clients) one.trim();
      }
    });
    const returns = clients.flatMap((one) => one.returns);
    const recovered = returns.filter(([recovered]) => recovered);
    const entries = [...sent.streams.values()].flat();
    const unsure = entries.filter(({ sure }) => !sure);
    t.diagnostic(`${entries.length} sent, ${unsure.length} of them unsure; returns: ${recovered.length} recovered, ` +
      `${returns.length - recovered.length} not, and complete after they joined again`);
    assert.ok(recovered.length > 0);
    for (const one of recovered) assert.deepEqual(one, [true, true], "recovered, under the same id");
  });

  for (const ofRoom of [true, false]) {
    for (const [how, by, counts] of [["high", 1, [1, 0]], ["low", -1, [0, 1]]]) {
      test(`the checker notices an offset too ${how} for ${ofRoom ? "a room" : "the user"}, by one`, async () => {
        const { one, friend, sent, write } = await pair();
        await write(3);
        await allHave([one, friend], sent);
        await cut(one.client);
        await write(3);
        shiftOffset(one.client, ofRoom, by);
        await comeBack(one.client);
        await until("it has the last of each", () =>
          [...one.received].every(([stream, keys]) => keys.includes(sent.streams.get(stream).at(-1).key)));
        assertRecovered([one]);
        const { missed, doubled, reordered, foreign } = verify(one.received, sent.streams);
        assert.deepEqual([missed.length, doubled.length, reordered, foreign], [...counts, [], []]);
      });
    }
  }

  test("a client with retries: each of 40 messages is stored once while its node is killed", async () => {
    const [victim] = cluster.gateways.slice(1);
    const auth = { token: cluster.user().token, recover: true };
    const client = await connect(victim.url, { auth, retries: 3, ackTimeout: 2000 }).ready();
    const witness = await signedIn(cluster.urls[0], cluster.user());
    const room = newRoom();
    await join(witness, room);
    // With retries, the acknowledgement has an error in front, which `emitWithAck` takes off.
    assert.equal((await client.socket.emitWithAck("join-room", room)).status, "ok");
    client.socket.io.uri = cluster.balancer;
    witness.socket.on("new-message", ({ content }) => content === "5" && cluster.signal(victim, "SIGKILL"));
    const contents = Array.from({ length: 40 }, (_, n) => `${n}`);
    const answers = await Promise.all(contents.map((content) =>
      client.socket.emitWithAck("send-message", { room, content, clientId: content })));
    for (const answer of answers) assert.equal(answer.status, "ok", JSON.stringify(answer));
    assert.equal(client.socket.recovered, true);
    const stored = await history(witness, room);
    assert.deepEqual(stored.map(({ content }) => content), contents);
    for (const one of [client, witness]) await complete(one, room, ids(stored));
  });
});
