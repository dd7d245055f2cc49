// Frames and packets that no stock client sends: the node's memory stays as it was, and a neighbour is answered.
// STRANGE is how many of them there are; by hand best 20,000 and a release build in GATEWAY. The neighbour is in one
// process with the attackers: abuse/measure.mjs measures its times.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { strange } from "./abuse/strange.mjs";
import { Wire } from "./abuse/wire.mjs";
import { OWN } from "./support/cluster.mjs";
import { memory, startNode } from "./support/node.mjs";
import { here } from "./support/pace.mjs";
import { percentile } from "./support/percentile.mjs";
import { until, within } from "./support/until.mjs";

const COUNT = Number(process.env.STRANGE ?? 1000);
/** Before anything is measured: buffers and threads that every node has after a while. */
const WARM_UP = Math.min(COUNT, 2000);
const MB = 1e6;
const SLACK = 8 * MB;
const ECHO_MS = 10;

/** Sends echoes to the node until `stop` is called, which returns how long each took. */
async function neighbour(node) {
  const wire = await (await Wire.open(node.url)).join(node.user().token);
  let [going, took] = [true, []];
  const echoing = (async () => {
    while (going) {
      const begun = performance.now();
      assert.equal(await within(here(10_000), "an echo", wire.ask("echo", "hello")), '["hello"]');
      took.push(performance.now() - begun);
      await pause(ECHO_MS);
    }
  })();
  // `stop` returns a failure; until then nothing awaits it.
  echoing.catch(() => {});
  return {
    echoes: () => took.length,
    /** The 99th percentile since the last call, in ms. */
    p99() {
      const p99 = Math.round(percentile(took, 99) * 10) / 10;
      took = [];
      return p99;
    },
    async stop() {
      going = false;
      await echoing;
      wire.close();
    },
  };
}

for (const engine of ["native", "oxide"]) {
  describe(`strange frames and packets, engine=${engine}`, OWN, () => {
    let node;
    before(async () => {
      node = await startNode({ set: { engine } });
    });
    after(() => node?.stop());

    test("memory stays flat, and a neighbour is answered", async (t) => {
      const attack = { url: node.url, users: node.users(4), signal: AbortSignal.timeout(here(60_000 + COUNT * 10)) };
      await strange({ ...attack, count: WARM_UP });
      const honest = await neighbour(node);
      await until("echoes to compare with", () => honest.echoes() >= 100, here(30_000));
      const [memoryBefore, p99Before] = [memory(node.pid).now, honest.p99()];
      const counts = await strange({ ...attack, count: COUNT, seed: 100 });
      const p99 = honest.p99();
      await honest.stop();
      assert.ok(!attack.signal.aborted && counts.sent >= COUNT && counts.closed > COUNT / 100, JSON.stringify(counts));
      const grown = () => memory(node.pid).now - memoryBefore;
      await until("memory is as before", () => grown() < SLACK, here(20_000)).catch(() => {});
      const figures = { ...counts, p99: { before: p99Before, during: p99 }, rss: { before: memoryBefore / MB, grown: grown() / MB } };
      t.diagnostic(JSON.stringify(figures));
      assert.ok(grown() < SLACK, JSON.stringify(figures));
      assert.ok(node.alive() && !/panicked/.test(node.log()), node.log().slice(-2000));
    });
  });
}
