// Dashboards and alerts: every query of the dashboards has an answer, and the expected alerts fire, no others.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { DASHBOARDS, fileOf, json } from "../deploy/grafana/dashboards.mjs";
import { closeAll, connect, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { ownEvents } from "./support/contract.mjs";
import { here } from "./support/pace.mjs";
import { alerts, numbers } from "./support/prometheus.mjs";
import { NotYet, inParallel, until } from "./support/until.mjs";
import { api, login, registerMany } from "./support/users.mjs";

const ANSWERED_MS = 30_000;
/** A lease, the next check for dead nodes, and the next scrape of Prometheus. */
const REAPED_MS = 20_000;
const SEND_EVERY_MS = 50;
const CALL_EVERY_MS = 1000;

/** A call of a backend. */
function status(cluster, { id }) {
  const headers = { authorization: `Bearer ${cluster.apiKey}` };
  return fetch(`${cluster.gateways[0].internal}/v1/users/${id}`, { headers, signal: AbortSignal.timeout(5000) });
}

ownEvents("order");

/** A backend that does nothing, and the settings of its hook. */
async function backend() {
  const server = createServer((request, response) => request.resume().on("end", () => response.writeHead(204).end()));
  server.keepAliveTimeout = 60_000;
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const folder = mkdtempSync(join(tmpdir(), "jackfield-dashboards-"));
  const secret = join(folder, "secret");
  writeFileSync(secret, `whsec_${Buffer.alloc(32, 1).toString("base64")}\n`);
  const hook = `orders;url=http://127.0.0.1:${server.address().port}/;events=order;facts=message.stored;secretFile=${secret}`;
  const stop = () => {
    server.close();
    server.closeAllConnections();
    rmSync(folder, { recursive: true, force: true });
  };
  return { set: { hooks: JSON.stringify([hook]), facts: "message.stored" }, stop };
}

test("the files of the dashboards match their source", () => {
  for (const name of Object.keys(DASHBOARDS)) {
    const same = readFileSync(fileOf(name), "utf8") === json(name);
    assert.ok(same, `${fileOf(name)} is old: node deploy/grafana/dashboards.mjs`);
  }
});

describe("a Prometheus beside a cluster at work", () => {
  let cluster, hook;
  const busy = [];
  before(async () => {
    hook = await backend();
    cluster = await startCluster({ prometheus: true, set: hook.set });
    const users = await registerMany(cluster, 6);
    const options = { transports: ["polling", "websocket"], reconnection: true };
    const urls = users.map((_, index) => cluster.urls[index % cluster.urls.length]);
    const clients = await Promise.all(users.map((user, index) => signedIn(urls[index], user, options)));
    for (const client of clients) await client.ask("join-room", "observed");
    // One of each case that the dashboards distinguish: refused, evicted, a wrong password.
    await connect(cluster.urls[0], { token: "wrong" }).refused();
    await signedIn(cluster.urls[1], users[0]);
    await api(cluster, "POST", "/auth/login", { email: users[0].email, password: "wrong" });
    busy.push(setInterval(() => {
      for (const client of clients) {
        client.send("send-message", { room: "observed", content: "hello" });
        client.send("order", {});
      }
    }, SEND_EVERY_MS));
    // Calls that are still in progress when the test ends may fail.
    busy.push(setInterval(() => login(cluster, users[0]).catch(() => {}), CALL_EVERY_MS));
    busy.push(setInterval(() => status(cluster, users[0]).catch(() => {}), CALL_EVERY_MS));
  });
  after(async () => {
    busy.forEach(clearInterval);
    closeAll();
    await cluster?.stop();
    hook?.stop();
  });

  /** The alerts that count: on a slow machine, those about slowness only once they fire. */
  async function wrong() {
    const slowness = ["BusSlow", "DeliverySlow", "PasswordsWait", "RedisSlow", "RuntimeBusy"];
    return (await alerts(cluster)).filter(({ name, state }) => state === "firing" || !slowness.includes(name));
  }

  test("every query of every dashboard returns numbers", async () => {
    const files = Object.keys(DASHBOARDS).map((name) => JSON.parse(readFileSync(fileOf(name), "utf8")));
    const targets = files.flatMap(({ panels }) => panels).flatMap((panel) => panel.targets ?? []);
    assert.ok(targets.length > 50, `${targets.length} queries`);
    const queries = targets.map(({ expr }) => expr.replaceAll("$__rate_interval", "15s").replaceAll("$instance", ".*"));
    await until(`${queries.length} queries have answers`, async () => {
      const answers = await inParallel(queries, 8, (query) => numbers(cluster, query));
      const empty = queries.filter((_, index) => answers[index].length === 0);
      if (empty.length > 0) throw new NotYet(`no answer to:\n${empty.join("\n")}`);
      return true;
    }, here(ANSWERED_MS));
  });

  test("every documented endpoint has its own series", async () => {
    const [{ internal }] = cluster.gateways;
    for (const [document, metrics] of [
      [`${internal}/v1/openapi.json`, internal],
      [`${cluster.auth}/api/openapi.json`, cluster.authInternal],
    ]) {
      const { paths } = await (await fetch(document)).json();
      const text = await (await fetch(`${metrics}/metrics`)).text();
      const missing = Object.keys(paths).filter((path) => !text.includes(`endpoint="${path}"`));
      assert.ok(Object.keys(paths).length > 4 && missing.length === 0, `${missing} of ${Object.keys(paths)}`);
    }
  });

  test("a killed gateway raises two alerts, and no other", async () => {
    assert.deepEqual(await wrong(), []);
    const [, victim] = cluster.gateways;
    cluster.signal(victim, "SIGKILL");
    const fires = await until("the survivors have reaped the node, and Prometheus has scraped it", async () => {
      const fires = await wrong();
      assert.deepEqual(fires.map(({ name }) => name).sort(), ["GatewayDied", "GatewayDown"], JSON.stringify(fires));
      assert.equal(fires.find(({ name }) => name === "GatewayDied").state, "firing");
      return fires;
    }, here(REAPED_MS));
    const down = fires.find(({ name }) => name === "GatewayDown");
    assert.equal(`http://${down.labels.instance}`, victim.internal);
  });
});
