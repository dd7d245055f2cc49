// Facts that no backend misses: sessions over kills of gateways, of the backend and of Redis. Started and ended pair up by
// id, in order for each user; the hook gets what `/v1/facts` has, and that is what the clients did.
//
// FACT_SESSIONS sessions (300), while the backend is down for FACT_OUTAGE seconds (5) in between.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { OWN } from "./support/cluster.mjs";
import { LightClient, newUser, startFacts } from "./support/facts.mjs";
import { here } from "./support/pace.mjs";
import { percentile } from "./support/percentile.mjs";
import { NotYet, inParallel, until } from "./support/until.mjs";

const SESSIONS = Number(process.env.FACT_SESSIONS ?? 300);
const OUTAGE_MS = Number(process.env.FACT_OUTAGE ?? 5) * 1000;
/** The promise after `kill -9` of a gateway. */
const ENDED_MS = 15_000;
const HOLDERS = 50;
/** Users that come and go at the same time. */
const WORKERS = Math.min(100, Math.ceil(SESSIONS / 6));
/** After everything is up again, pauses of up to five minutes may have to end. */
const CAUGHT_UP_MS = 400_000;

const pick = (list) => list[Math.floor(Math.random() * list.length)];

/** The facts of each user, in their order. */
function byUser(facts) {
  const users = new Map();
  for (const fact of facts) users.set(fact.data.user, [...(users.get(fact.data.user) ?? []), fact]);
  return users;
}

/** Sessions start and end in turn; returns the ended ones by the id of their socket. */
function pairedUp(facts) {
  const [open, sockets] = [new Map(), new Map()];
  for (const { type, data } of facts.filter(({ type }) => type.startsWith("session."))) {
    if (type === "session.started") {
      assert.ok(!open.has(data.session), `${data.session} started twice`);
      open.set(data.session, data);
      if (data.socketId) sockets.set(data.socketId, data);
    } else {
      assert.ok(open.delete(data.session), `${data.session} ended without a start, or twice`);
    }
  }
  assert.deepEqual([...open.keys()], [], "every session ended");
  return sockets;
}

describe("facts", OWN, () => {
  let system;
  before(async () => {
    system = await startFacts();
  });
  after(() => system?.stop());

  test("after kill -9 of a gateway its sessions end within 15 s, once each", async (t) => {
    const [victim] = system.gateways.slice(1);
    const users = Array.from({ length: HOLDERS }, (_, index) => newUser(`held-${index}`));
    const clients = await inParallel(users, 10, (user) => LightClient.join(victim.url, system.token(user)));
    assert.ok(clients.every(Boolean));
    const of = (type) => system.backend.calls.filter(({ fact }) => fact.type === type && users.includes(fact.data.user));
    await until("all have started", () => of("session.started").length >= HOLDERS);

    await victim.kill();
    const killed = Date.now();
    await until("all have ended", () => of("session.ended").length >= HOLDERS, here(ENDED_MS));
    const took = of("session.ended").map(({ at }) => at - killed).sort((a, b) => a - b);
    t.diagnostic(`ended after ${took[0]} to ${took.at(-1)} ms`);
    await until("all are offline", () => of("user.offline").length >= HOLDERS, here(ENDED_MS));
    victim.start();
    await victim.up();
    for (const { fact } of of("session.ended")) assert.equal(fact.data.reason, "node_lost");
    const ended = new Set(of("session.ended").map(({ fact }) => fact.data.session));
    assert.deepEqual([of("session.ended").length, ended.size], [HOLDERS, HOLDERS], "once each");
  });

  test(`${SESSIONS} sessions over kills of everything pair up, and the hook misses nothing`, async (t) => {
    const { gateways, redis, backend } = system;
    /** Ids of sockets that a client knows to have been admitted. */
    const admitted = [];
    const counts = { gateway: 0, redis: 0, backend: 0 };
    let goesOn = true;
    const work = async (user) => {
      const token = system.token(user);
      let before;
      while (goesOn) {
        const client = await LightClient.join(pick(gateways).url, token);
        if (!client) {
          await pause(200);
          continue;
        }
        admitted.push(client.id);
        await before?.leave("cut");
        before = undefined;
        await Promise.race([pause(500 + Math.random() * 4000), client.closed]);
        // Some are replaced by the user's next session.
        if (Math.random() < 0.2) before = client;
        else await client.leave(pick(["disconnect", "close", "cut"]));
      }
      await before?.leave("close");
    };
    const workers = Array.from({ length: WORKERS }, (_, index) => work(newUser(index)));

    /** Kills one thing after the other until everything is done. */
    const faults = (async () => {
      while (goesOn) {
        await pause(2000);
        const gateway = pick(gateways);
        await gateway.kill();
        counts.gateway += 1;
        await pause(1000 + Math.random() * 8000);
        gateway.start();
        await gateway.up();
        if (Math.random() < 0.5) {
          await redis.kill();
          counts.redis += 1;
          await pause(Math.random() * 3000);
          redis.start();
          await redis.up();
        }
      }
    })();
    await until("a third of the sessions", () => admitted.length >= SESSIONS / 3, 3_600_000);
    await backend.kill();
    counts.backend += 1;
    const from = Date.now();
    await pause(OUTAGE_MS);
    const outage = Date.now() - from;
    const missed = (await until("status", () => system.delivery())).waiting;
    await backend.start();
    await until("all sessions", () => admitted.length >= SESSIONS, 3_600_000);
    goesOn = false;
    await Promise.all([...workers, faults]);
    await Promise.all(gateways.map((gateway) => gateway.up()));

    const back = Date.now();
    const log = await until("everything has ended and arrived", async () => {
      const { waiting, parked } = await system.delivery();
      if (waiting + parked > 0) throw new NotYet(JSON.stringify({ waiting, parked }));
      const log = await system.log("session.*,user.*");
      const count = (type) => log.facts.filter((fact) => fact.type === type).length;
      const open = count("session.started") - count("session.ended") + count("user.online") - count("user.offline");
      if (open > 0 || backend.facts.length < log.facts.length) throw new NotYet(`${open} are open`);
      return log;
    }, CAUGHT_UP_MS);
    t.diagnostic(`caught up ${Math.round((Date.now() - back) / 1000)} s after the last fault`);

    assert.deepEqual([log.dropped, log.reset, backend.refused], [0, false, 0]);
    const sockets = pairedUp(log.facts);
    pairedUp(backend.facts);
    for (const id of admitted) assert.ok(sockets.has(id), `no fact about ${id}`);
    const ids = (facts) => facts.map(({ id }) => id);
    assert.deepEqual(new Set(ids(backend.facts)), new Set(ids(log.facts)), "the hook gets what the log has");
    const got = byUser(backend.facts);
    for (const [user, facts] of byUser(log.facts)) assert.deepEqual(ids(got.get(user)), ids(facts), `in order: ${user}`);
    const dead = (await system.delivery()).dead;
    assert.equal(dead, 0);

    const ends = log.facts.filter(({ type }) => type === "session.ended");
    const reasons = {};
    for (const { data } of ends) reasons[data.reason] = (reasons[data.reason] ?? 0) + 1;
    const arrived = new Map(backend.calls.toReversed().map(({ fact, at }) => [fact.id, at]));
    const delays = log.facts.map((fact) => arrived.get(fact.id) - Date.parse(fact.timestamp)).sort((a, b) => a - b);
    t.diagnostic(JSON.stringify({
      admitted: admitted.length,
      sessions: ends.length,
      facts: log.facts.length,
      calls: backend.calls.length,
      kills: counts,
      outageSeconds: Math.round(outage / 1000),
      waitedWhileDown: missed,
      reasons,
      delayMs: { p50: percentile(delays, 50), p99: percentile(delays, 99), max: delays.at(-1) },
    }));
  });
});
