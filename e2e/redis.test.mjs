// Redis away, and back, with its data and without.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { closeAll, connect, listed, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { grace, here } from "./support/pace.mjs";
import { NotYet, PATIENCE_MS, until } from "./support/until.mjs";
import { login, registerMany } from "./support/users.mjs";

const NOTICED_MS = 5000;
/** `unavailable` is sent after Redis has not answered for 2 s. */
const ANSWERED_MS = 3000;
const RIGHT_AGAIN_MS = 5000;
/** A message that is sent before a node has recovered is lost: after this time another is sent. */
const AGAIN_MS = 300;
/** Shorter than the default, so that a false announcement comes soon. */
const GRACE_MS = grace(2000);

describe("Redis fails", () => {
  let cluster, users, clients, newcomers;
  before(async () => {
    cluster = await startCluster({ set: { "presence.grace": `${GRACE_MS}ms` } });
  });
  after(() => cluster?.stop());
  beforeEach(async () => {
    await cluster.allReadinessIs(200);
    users = await registerMany(cluster, 6);
    newcomers = await registerMany(cluster, 3);
    clients = await Promise.all(users.map((user, index) => signedIn(cluster.urls[index % 3], user)));
  });
  afterEach(closeAll);

  const away = {
    "stopped, and started with its data": [() => cluster.stopRedis(), () => cluster.startRedis()],
    "stopped, and started without its data": [() => cluster.stopRedis(), () => cluster.startRedis({ empty: true })],
    "killed, and started with its data": [() => cluster.stopRedis({ kill: true }), () => cluster.startRedis()],
    "killed, and started without its data": [
      () => cluster.stopRedis({ kill: true }),
      () => cluster.startRedis({ empty: true }),
    ],
    "frozen, and woken": [() => cluster.signal(cluster.redis, "SIGSTOP"), () => cluster.signal(cluster.redis, "SIGCONT")],
  };
  for (const [name, [go, comeBack]] of Object.entries(away)) {
    test(`Redis ${name}`, async () => {
      await go();
      await whileAway();
      const waiting = newcomers.map((user, index) => connect(cluster.urls[index], { token: user.token }));
      await until("refused temporarily", () => waiting.every((client) => client.errors.length > 0));
      for (const client of waiting) {
        assert.equal(client.refusal, undefined, "nothing terminal");
        assert.equal(client.willReconnect, true);
      }
      await comeBack();
      await backAgain(Date.now(), waiting);
    });
  }

  async function whileAway() {
    await cluster.allReadinessIs(503, here(NOTICED_MS));
    for (const gateway of cluster.gateways) {
      const { body } = await cluster.readiness(gateway);
      assert.match(JSON.stringify(body), /redis/i, "names the part that is unavailable");
      const alive = await fetch(`${gateway.internal}/healthz`);
      assert.equal(alive.status, 200);
    }
    // Sockets stay; events that need Redis are refused in time, and none claims success.
    const sentAt = Date.now();
    const answers = await Promise.all(clients.map((client) => client.ask("message", "into the void")));
    const answered = Date.now() - sentAt;
    assert.ok(answered < here(ANSWERED_MS), `answered after ${answered} ms`);
    for (const answer of answers) {
      assert.deepEqual({ ...answer, message: "" }, { status: "error", code: "unavailable", message: "" });
    }
    const subscribe = await clients[0].ask("presence:subscribe", { userIds: [users[1].id] });
    assert.equal(subscribe.code, "unavailable");
    // Events that do not need Redis go on.
    assert.equal((await clients[0].ask("message", "")).code, "validation_failed");

    await Promise.all(cluster.urls.map(async (url) => {
      const answer = await fetch(`${url}/socket.io/?EIO=4&transport=polling`, { signal: AbortSignal.timeout(PATIENCE_MS) });
      assert.equal(answer.status, 503);
      assert.ok(Number(answer.headers.get("retry-after")) > 0, "Retry-After");
      assert.equal((await answer.json()).code, "unavailable");
    }));
    for (const client of clients) assert.deepEqual(client.disconnects, []);
  }

  async function backAgain(returned, waiting) {
    const rest = () => Math.max(0, here(RIGHT_AGAIN_MS) - (Date.now() - returned));
    const everyone = [...clients, ...waiting];
    await cluster.allReadinessIs(200, rest());
    await Promise.all(waiting.map((client) => client.ready(rest())));
    let round = 0;
    await until("messages of every node reach all clients", () => {
      const senders = clients.slice(0, 3);
      if (Date.now() - round > AGAIN_MS) {
        round = Date.now();
        for (const sender of senders) sender.send("message", `${round} ${sender.id}`);
      }
      const lacks = (one) => senders.filter(({ id }) => !one.all("message").some(({ message }) => message === `${round} ${id}`));
      const missing = everyone.flatMap((one) => lacks(one).map((sender) => `${sender.url} at ${one.url}`));
      if (missing.length > 0) throw new NotYet(`not received: ${missing.join()}`);
      return true;
    }, rest());
    await until("all are online for each other", async () => {
      const answer = await clients[0].ask("presence:subscribe", { userIds: [...users, ...newcomers].map(({ id }) => id) });
      if (answer.online?.length !== everyone.length) throw new NotYet(JSON.stringify(answer));
      return true;
    }, rest());
    await listed(everyone, everyone, rest());
    // A client that was connected before is a session again: a login elsewhere evicts it.
    for (const index of [0, 1, 2]) {
      const next = await signedIn(cluster.urls[(index + 1) % 3], { token: await login(cluster, users[index]) });
      assert.equal(await clients[index].disconnected(rest()), "io server disconnect");
      assert.equal(clients[index].all("session:replaced").length, 1);
      everyone.push(next);
    }
    const rightAgain = Date.now() - returned;
    assert.ok(rightAgain < here(RIGHT_AGAIN_MS), `right again after ${rightAgain} ms`);

    for (const gateway of cluster.gateways) assert.ok(cluster.alive(gateway), `${gateway.id} died`);
    for (const client of everyone.filter((one) => !clients.slice(0, 3).includes(one))) {
      assert.equal(client.connected, true);
      assert.deepEqual(client.disconnects, []);
    }
    // One more user leaves now: once that is announced, any earlier false announcement would have arrived, too.
    const [last] = await registerMany(cluster, 1);
    (await signedIn(cluster.urls[0], last)).close();
    const all = [...users, ...newcomers].map(({ id }) => id);
    for (const client of clients.slice(3)) {
      await client.waitFor("user:offline", ({ userId }) => userId === last.id);
      const offline = client.all("user:offline").filter(({ userId }) => all.includes(userId));
      assert.deepEqual(offline, [], "no user was away");
    }
  }
});
