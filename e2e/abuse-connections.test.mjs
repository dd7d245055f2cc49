// Abused connections: floods, announced binary parts that never come, requests that never end, and places that are
// taken but not used.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { unknownNamespace } from "./abuse/unknown-namespace.mjs";
import { BREACHES, missingParts } from "./abuse/missing-parts.mjs";
import { endlessPosts } from "./abuse/endless-posts.mjs";
import { flood } from "./abuse/flood.mjs";
import { handshakes } from "./abuse/handshakes.mjs";
import { neverJoined } from "./abuse/never-joined.mjs";
import { closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { metric } from "./support/metrics.mjs";
import { growth, startNode } from "./support/node.mjs";
import { here } from "./support/pace.mjs";
import { until } from "./support/until.mjs";

/** Attackers come from another address. */
const from = "127.0.0.2";
const MB = 1e6;
const attacked = (seconds) => AbortSignal.timeout(here(seconds * 1000));
/** The seconds that `work` takes, and its result. */
async function timed(work) {
  const begun = Date.now();
  const result = await work();
  return { result, seconds: (Date.now() - begun) / 1000 };
}

describe("connections that are not clients", OWN, () => {
  let patient, endless;
  // It takes long, but runs beside the other tests.
  before(async () => {
    patient = await startNode({ set: { "ping.interval": "60s", "ping.timeout": "60s" } });
    const [{ token }] = patient.users(1);
    endless = timed(() => endlessPosts({ url: patient.url, from, token, width: 3, signal: attacked(40) }));
  });
  after(() => patient?.stop());

  describe("floods", () => {
    let node;
    before(async () => {
      node = await startNode({ set: { "limits.connectTimeout": "2s" } });
    });
    after(() => node?.stop());

    const floods = () => metric(node.gateways, 'jackfield_sent_away_total{reason="flooding"}');

    test("endless frames on a connection without a namespace end it", async () => {
      const counted = await floods();
      const attack = () => neverJoined({ url: node.url, from, signal: attacked(10) });
      const { result: { result, seconds }, grown } = await growth(node.pid, () => timed(attack));
      assert.equal(result.closed, 1, JSON.stringify(result));
      assert.ok(seconds * 1000 < here(4_000), `closed after ${seconds} s`);
      assert.ok(grown < 8 * MB, `${grown / MB} MB`);
      assert.ok(await floods() - counted <= 1, "counted once");
    });

    test("endless events of a user: closed within a second, and counted once", async () => {
      const counted = await floods();
      const attack = () => flood({ url: node.url, users: node.users(1), from, signal: attacked(10) });
      const { result: { result, seconds }, grown } = await growth(node.pid, () => timed(attack));
      assert.equal(result.closed, 1, JSON.stringify(result));
      assert.ok(seconds * 1000 < here(4_000), `closed after ${seconds} s`);
      assert.ok(grown < 8 * MB, `${grown / MB} MB`);
      assert.equal(await floods() - counted, 1);
      assert.ok(result.rate_limited >= 500, "was limited before");
    });

    test("asking for an unknown namespace gains no time", async () => {
      const attack = () => unknownNamespace({ url: node.url, from, width: 3, everyMs: 500, signal: attacked(15) });
      const { result, seconds } = await timed(attack);
      assert.equal(result.closed, 3, JSON.stringify(result));
      assert.ok(seconds * 1000 < here(6_000), `closed after ${seconds} s`);
    });

    test("an endless POST ends with its session", async () => {
      const attack = () => endlessPosts({ url: node.url, from, width: 10, announced: 10_000, sent: 5000, signal: attacked(15) });
      const { result, seconds } = await timed(attack);
      assert.equal(result.closed, 10, JSON.stringify(result));
      assert.ok(seconds > 1 && seconds * 1000 < here(8_000), `closed after ${seconds} s`);
    });

    test("a POST with a Content-Length above the limit of a message is refused at once", async () => {
      const attack = () => endlessPosts({ url: node.url, from, width: 1, announced: 1e10, sent: 0, signal: attacked(5) });
      const { result, seconds } = await timed(attack);
      assert.equal(result["answered 413"], 1, JSON.stringify(result));
      assert.ok(seconds * 1000 < here(1_500), `after ${seconds} s`);
    });
  });

  describe("shares of an address", () => {
    const PLACES = 1000;
    const SHARE = 300;
    let node;
    before(async () => {
      node = await startNode({ set: { "limits.connections": PLACES, "limits.addressPending": SHARE } });
    });
    after(() => node?.stop());
    afterEach(closeAll);

    test("handshakes from one address leave connections for others", async () => {
      const stop = new AbortController();
      const attacking = handshakes({ url: node.url, from, places: 1.5 * PLACES, signal: stop.signal });
      try {
        await until("its share is taken", async () => await metric(node.gateways, "jackfield_connections") >= SHARE);
        for (let round = 0; round < 10; round++) {
          const client = connect(node.url, { token: node.user().token });
          await client.ready(here(5000));
          assert.deepEqual(client.errors, []);
          client.close();
        }
        const held = await metric(node.gateways, "jackfield_connections");
        assert.ok(held <= SHARE + 1, `${held} of ${PLACES} places`);
      } finally {
        stop.abort();
      }
      assert.equal((await attacking).granted, SHARE);
    });
  });

  describe("announced binary parts", () => {
    let node;
    before(async () => {
      node = await startNode();
    });
    after(() => node?.stop());
    afterEach(closeAll);

    for (const breach of Object.keys(BREACHES)) {
      test(`ends the connection: ${breach}`, async () => {
        const attack = { url: node.url, users: node.users(1), from, breach, signal: attacked(5) };
        const counts = await missingParts(attack);
        assert.equal(counts.closed, 1, JSON.stringify(counts));
        assert.equal(counts.ok, undefined, "nothing after it is served");
      });
    }

    test("a stock client that sends too much gets an error, and its later events are served", async () => {
      const client = await signedIn(node.url, node.user());
      const refused = await client.ask("message", Buffer.alloc(600_000), Buffer.alloc(600_000));
      assert.equal(refused.code, "payload_too_large");
      assert.equal((await client.ask("message", "served")).status, "ok");
      assert.equal(client.connects, 1);
    });
  });

  test("an endless POST ends within half a minute, although its session goes on", async () => {
    const { result, seconds } = await endless;
    assert.equal(result.closed, 3, JSON.stringify(result));
    assert.ok(seconds > 10 && seconds * 1000 < here(35_000), `closed after ${seconds} s`);
  });
});
