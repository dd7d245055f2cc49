// Limits of one address, and those of one user as stock clients see them. What each budget allows is tested in process.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { closeAll, connect, signedIn } from "./support/clients.mjs";
import { done, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

describe("broadcasts and connects of one user", () => {
  let cluster;
  before(async () => {
    const set = {
      "limits.broadcastRate": 1, "limits.broadcastBurst": 3, "limits.userConnectRate": 1, "limits.userConnectBurst": 5,
    };
    cluster = await startRooms({ nodes: 1, set });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("broadcasts above the burst are refused with a time to retry, and accepted after that time", async () => {
    const client = await signedIn(cluster.urls[0], cluster.user());
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.ask("message", "one of many")));
    const refused = answers.filter(({ status }) => status === "error");
    assert.ok(refused.length >= 10 && refused.length <= 17, `${refused.length} refused`);
    for (const { code, retryAfterMs } of refused) assert.ok(code === "rate_limited" && retryAfterMs > 0, code);
    // Not a wait for something to happen: the server asked for this delay.
    await sleep(Math.min(...refused.map(({ retryAfterMs }) => retryAfterMs)));
    await done(client, "message", "after the wait");
  });

  test("a user that connects too fast is accepted later, and loses no session meanwhile", async () => {
    const user = cluster.user();
    const sessions = [];
    // Each replaces the session before.
    for (let count = 0; count < 5; count++) sessions.push(await signedIn(cluster.urls[0], user));
    const session = sessions.at(-1);
    const hasty = connect(cluster.urls[0], { token: user.token, reconnection: false });
    await until("closed by the server", () => hasty.openedOn.length > 0 && !hasty.socket.io.engine?.readyState?.startsWith("open"));
    assert.equal(hasty.refusal, undefined, "a stock client reconnects by itself");
    assert.equal(session.connected, true);
    const patient = await signedIn(cluster.urls[0], user);
    assert.equal(patient.connected, true);
    assert.equal(await session.disconnected(), "io server disconnect");
  });
});

describe("one address", () => {
  let cluster;
  const PENDING = 5;
  before(async () => {
    const set = {
      "proxy.hops": 1, "limits.addressPending": PENDING, "limits.addressConnectRate": 1, "limits.addressConnectBurst": 12,
      "limits.connectTimeout": "60s",
    };
    cluster = await startRooms({ nodes: 1, set });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const shake = (address) => fetch(`${cluster.urls[0]}/socket.io/?EIO=4&transport=polling`, {
    headers: { "x-forwarded-for": `198.51.100.66, ${address}` },
  });

  test("few of its connections may be without a session; other addresses connect, and a session frees a slot", async () => {
    const address = "203.0.113.1";
    const first = [];
    for (let count = 0; count < PENDING; count++) first.push(await shake(address));
    assert.deepEqual(first.map(({ status }) => status), Array(PENDING).fill(200));
    const began = Date.now();
    const refused = await shake(address);
    assert.equal(refused.status, 503);
    assert.equal((await refused.json()).code, "too_many_connections");
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    assert.ok(Date.now() - began >= 2500, "it waited for a slot first");
    assert.equal((await shake("203.0.113.2")).status, 200);

    // One of them signs in while the next waits.
    const { sid } = JSON.parse((await first[0].text()).slice(1));
    const waiting = shake(address);
    const session = `${cluster.urls[0]}/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    const headers = { "content-type": "text/plain;charset=UTF-8" };
    const body = `40${JSON.stringify({ token: cluster.user().token })}`;
    assert.equal((await fetch(session, { method: "POST", headers, body })).status, 200);
    assert.equal((await waiting).status, 200);
  });

  test("its connects are limited in rate; IPv6 is counted by customer network", async () => {
    const from = (host) => ({ extraHeaders: { "x-forwarded-for": `2001:db8:1:2::${host}` }, reconnection: false });
    const clients = [];
    for (let host = 1; host <= 12; host++) clients.push(await signedIn(cluster.urls[0], cluster.user(), from(host)));
    // The thirteenth is accepted after a wait, because each second allows one more; of many at once, some are refused.
    const answers = await Promise.all(Array.from({ length: 10 }, (_, host) => shake(`2001:db8:1:2::${host + 20}`)));
    const refused = answers.filter(({ status }) => status === 503);
    assert.ok(refused.length >= 4, `${refused.length} refused`);
    assert.equal((await shake("2001:db8:1:3::1")).status, 200);
    assert.ok(clients.every((client) => client.connected));
  });
});

describe("the address of this machine", () => {
  test("its connections without a session are counted, its connects are not limited in rate", async () => {
    const set = { "limits.addressPending": 30, "limits.addressConnectRate": 1, "limits.addressConnectBurst": 1, "limits.connectTimeout": "60s" };
    const logs = await mkdtemp(path.join(tmpdir(), "jackfield-limits-"));
    const cluster = await startRooms({ nodes: 1, set, logs });
    try {
      const url = `${cluster.urls[0]}/socket.io/?EIO=4&transport=polling`;
      const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(url)));
      assert.equal(answers.filter(({ status }) => status === 200).length, 30);
      const unknown = await fetch(url, { headers: { "x-forwarded-for": "203.0.113.1" } });
      assert.equal(unknown.status, 200, "an unknown proxy does not stand for one client");
      const log = path.join(logs, `${cluster.gateways[0].id}.log`);
      await until("it is logged", async () => (await readFile(log, "utf8")).includes("`proxy.hops` is 0"));
    } finally {
      await cluster.stop();
      await rm(logs, { recursive: true });
    }
  });
});
