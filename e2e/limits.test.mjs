// Limits of one user, and of one address: each holds, and a client that waits as answered loses nothing.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { alsoIn, closeAll, connect, signedIn } from "./support/clients.mjs";
import { reading } from "./support/feeds.mjs";
import { done, join, newRoom, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** Sends until it is accepted, waiting for `retryAfterMs` after each refusal. Returns the number of refusals. */
async function insist(client, event, payload) {
  for (let refused = 0; ; refused++) {
    const answer = await client.ask(event, payload);
    if (answer.status === "ok") return refused;
    assert.equal(answer.code, "rate_limited", JSON.stringify(answer));
    assert.ok(answer.retryAfterMs > 0, JSON.stringify(answer));
    // Not a wait for something to happen: the server asked for this delay.
    await sleep(answer.retryAfterMs);
  }
}

/** Sends so many events at once; returns the refusals. */
async function refusedOf(client, count, event, payload) {
  const answers = await Promise.all(Array.from({ length: count }, (_, index) => client.ask(event, payload(index))));
  const refused = answers.filter(({ status }) => status === "error");
  for (const { code, retryAfterMs } of refused) assert.ok(code === "rate_limited" && retryAfterMs > 0, code);
  return refused;
}

describe("events of one user", () => {
  let cluster;
  const RATE = 100;
  const BURST = 20;
  before(async () => {
    const set = { "limits.eventRate": RATE, "limits.eventBurst": BURST, "limits.floodStrikes": 100, "session.policy": "multi" };
    cluster = await startRooms({ nodes: 1, set });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("a client that waits as instructed gets all events through, and is never disconnected", async () => {
    const client = await signedIn(cluster.urls[0], cluster.user());
    const room = newRoom();
    await join(client, room);
    const count = 400;
    let next = 0;
    let refused = 0;
    const line = async () => {
      while (next < count) refused += await insist(client, "send-message", { room, content: `number ${next++}` });
    };
    await Promise.all(Array.from({ length: 20 }, line));
    assert.ok(refused > 0, "the limit was never reached");
    await until("all were received", () => client.all("new-message").length === count);
    assert.deepEqual(client.disconnects, []);
  });

  test("of events refused together, the nth has to wait n times as long as the first", async () => {
    const client = await signedIn(cluster.urls[0], cluster.user());
    const waits = (await refusedOf(client, BURST + 30, "echo", (n) => n)).map(({ retryAfterMs }) => retryAfterMs);
    assert.ok(waits.length >= 20, `${waits.length} refused`);
    const steps = waits.slice(1).map((wait, index) => wait - waits[index]);
    // Each waits until 1/rate after the one before, so its wait is longer by that, less the time between the two.
    assert.ok(waits.at(-1) - waits[0] > (waits.length - 1) * 1000 / RATE * 0.5, waits.join());
    assert.ok(steps.filter((step) => step > 0).length > steps.length * 0.8, waits.join());
  });

  test("a new connection has no new burst", async () => {
    const user = cluster.user();
    let accepted = 0;
    const began = Date.now();
    for (let round = 0; round < 5; round++) {
      const client = await signedIn(cluster.urls[0], user);
      const refused = await refusedOf(client, BURST, "echo", (n) => n);
      accepted += BURST - refused.length;
      client.close();
    }
    const earned = (Date.now() - began) / 1000 * RATE;
    assert.ok(accepted <= BURST + earned + 1, `${accepted} accepted in ${Date.now() - began} ms`);
    const other = await signedIn(cluster.urls[0], cluster.user());
    assert.equal((await refusedOf(other, BURST - 2, "echo", (n) => n)).length, 0, "another user has a burst of its own");
  });
});

describe("broadcasts and connects of one user", () => {
  let cluster;
  before(async () => {
    const set = {
      "limits.broadcastRate": 5, "limits.broadcastBurst": 20, "limits.privateRate": 1, "limits.privateBurst": 5,
      "limits.userConnectRate": 1, "limits.userConnectBurst": 5,
    };
    cluster = await startRooms({ nodes: 1, set });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("a burst of 20 broadcasts to a namespace, of all kinds together; rooms and other users are not limited", async () => {
    const url = cluster.urls[0];
    const [client, other] = [await signedIn(url, cluster.user()), await signedIn(url, cluster.user())];
    const chat = await alsoIn(client, "/chat", client.socket.auth.token).ready();
    const refused = await refusedOf(client, 50, "message-client", (n) => ({ message: `m${n}` }));
    assert.ok(refused.length >= 10 && refused.length <= 30, `${refused.length} refused`);
    // A few more pass with time.
    assert.ok((await refusedOf(chat, 20, "message", (n) => `m${n}`)).length >= 5, "another namespace has no budget of its own");
    await insist(client, "message", "after the wait");
    const room = newRoom();
    await join(client, room);
    assert.deepEqual(await refusedOf(client, 100, "message", (n) => ({ room, content: `m${n}` })), []);
    await done(other, "message-client", { message: "undisturbed" });
  });

  test("a message-client has at most 1,000 characters", async () => {
    const client = await signedIn(cluster.urls[0], cluster.user());
    await done(client, "message-client", { message: "\u{1F44B}".repeat(1000) });
    const { code, message } = await client.ask("message-client", { message: "x".repeat(1001) });
    assert.equal(code, "validation_failed");
    assert.match(message, /^message/);
  });

  test("private messages: a small burst to one user, a larger one to all together", async () => {
    const client = await signedIn(cluster.urls[0], cluster.user());
    const to = (user) => () => ({ to: user, content: "psst" });
    assert.ok((await refusedOf(client, 10, "private-message", to("one"))).length >= 4);
    assert.equal((await refusedOf(client, 5, "private-message", to("another"))).length, 0);
    assert.ok((await refusedOf(client, 30, "private-message", (n) => ({ to: `user ${n}`, content: "x" }))).length >= 10);
    await insist(client, "private-message", { to: "one", content: "after the wait" });
  });

  test("updates of a feed are counted, too", async () => {
    const admin = cluster.user({ roles: ["ADMIN"] });
    const writer = await reading(cluster.urls[0], { token: admin.token });
    const refused = await refusedOf(writer, 50, "updateProduct", (id) => ({ id }));
    assert.ok(refused.length >= 10 && refused.length <= 30, `${refused.length} refused`);
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
