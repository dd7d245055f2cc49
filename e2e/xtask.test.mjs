// `cargo xtask cluster` itself: its output, its commands, and its end.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";

import { startCluster, xtask } from "./support/cluster.mjs";
import { until } from "./support/until.mjs";

/** Whether a server listens at this address. */
function open(url) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

describe("cargo xtask cluster", () => {
  let cluster, other;
  before(async () => {
    [cluster, other] = await Promise.all([startCluster({ nodes: 2 }), startCluster({ nodes: 1 })]);
  });
  after(() => Promise.all([cluster?.stop(), other?.stop()]));

  test("its line of JSON has all addresses", async () => {
    const { balancer, auth, apiKey, redis, postgres, gateways } = cluster;
    const url = /^http:\/\/127\.0\.0\.1:\d+$/;
    assert.match(balancer, url);
    assert.match(auth, url);
    const headers = { authorization: `Bearer ${apiKey}` };
    for (const { internal } of gateways) assert.equal((await fetch(`${internal}/v1/nodes`, { headers })).status, 200);
    assert.match(redis.url, /^redis:\/\/127\.0\.0\.1:\d+$/);
    assert.match(postgres.url, /^postgres:\/\/.+@127\.0\.0\.1:\d+\/.+$/);
    assert.deepEqual(gateways.map(({ id }) => id), ["gw1", "gw2"]);
    for (const gateway of gateways) {
      assert.match(gateway.url, url);
      assert.equal((await cluster.readiness(gateway)).status, 200);
      assert.ok(cluster.alive(gateway));
    }
    assert.ok(cluster.alive(redis));
  });

  test("if several clusters run, --cluster is required", async () => {
    const error = await xtask("restart-gateway", "gw1").then(() => assert.fail("no error"), (error) => error);
    assert.ok(error.stderr.includes(cluster.name) && error.stderr.includes(other.name), error.stderr);
    const unknown = await xtask("restart-gateway", "gw1", "--cluster", "no-such").catch((error) => error);
    assert.ok(unknown.stderr.includes(cluster.name), unknown.stderr);
  });

  test("a dead gateway is reported, is not restarted automatically, and restarts on its old ports", async () => {
    const gateway = cluster.gateway("gw2");
    const running = await xtask("restart-gateway", "gw2", "--cluster", cluster.name).catch((error) => error);
    assert.match(running.stderr, /gw2 is running/);
    const old = gateway.pid;
    cluster.signal(gateway, "SIGKILL");
    await until("its exit is reported", () => cluster.log.includes(`gw2 (pid ${old}) exited: signal 9`));
    assert.equal(await open(gateway.url), false);
    await cluster.restartGateway("gw2");
    assert.notEqual(gateway.pid, old);
    assert.equal((await cluster.readiness(gateway)).status, 200);
  });

  test("an invalid setting ends it, with the log of the part that refused it", async () => {
    const wrong = startCluster({ nodes: 1, set: { "session.policy": "few" } });
    await assert.rejects(wrong, /gw1 exited during startup[^]*session\.policy/);
  });

  test("no process outlives it, even if it is killed", async () => {
    const victim = await startCluster({ nodes: 1 });
    process.kill(victim.pid, "SIGKILL");
    await until("all are gone", async () => {
      const { balancer, auth, redis, postgres, gateways } = victim;
      const answers = await Promise.all([balancer, auth, redis.url, postgres.url, gateways[0].url].map(open));
      return !answers.includes(true);
    });
    await victim.stop();
  });
});
