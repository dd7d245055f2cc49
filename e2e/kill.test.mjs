// A gateway killed, and a gateway frozen.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { closeAll, listed, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { metric } from "./support/metrics.mjs";
import { here } from "./support/pace.mjs";
import { NotYet, until } from "./support/until.mjs";
import { login, registerMany } from "./support/users.mjs";

/** The promised bound: the lease, then the grace. */
const GONE_MS = 15_000;
const FROZEN_MS = 8000;
const RIGHT_AGAIN_MS = 5000;
/** A message that is sent before a node has recovered is lost: after this time another is sent. */
const AGAIN_MS = 300;

const about = (client, event, user) => client.all(event).filter(({ userId }) => userId === user.id);

describe("a gateway is lost", () => {
  let cluster, observers, watched;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster?.stop());
  beforeEach(async () => {
    await cluster.restartDead();
    watched = await registerMany(cluster, 8);
    const others = await registerMany(cluster, 2);
    observers = await Promise.all([signedIn(cluster.urls[0], others[0]), signedIn(cluster.urls[2], others[1])]);
  });
  afterEach(closeAll);

  /** The number of `users` that are online, as answered to each observer. */
  const online = (users) =>
    Promise.all(observers.map(async (observer) => {
      const { online } = await observer.ask("presence:subscribe", { userIds: users.map(({ id }) => id) });
      return online.length;
    }));

  /**
   * A user comes and goes, and every observer receives that: any earlier false or repeated announcement would have
   * arrived by then.
   */
  async function graceOver() {
    const [last] = await registerMany(cluster, 1);
    (await signedIn(cluster.urls[0], last)).close();
    await allKnow("user:offline", [last]);
  }

  const allKnow = (event, users, ms) =>
    Promise.all(observers.flatMap((observer) =>
      users.map((user) => observer.waitFor(event, ({ userId }) => userId === user.id, ms))));

  test("killed: users that stay away are announced offline once, on every node; users that come back never", async () => {
    const [victim] = cluster.gateways.slice(1);
    const [away, back] = [watched.slice(0, 4), watched.slice(4)];
    const lost = await Promise.all(watched.map((user) => signedIn(victim.url, user, { reconnection: false })));
    await allKnow("user:online", watched);

    cluster.signal(victim, "SIGKILL");
    const killed = Date.now();
    await Promise.all(lost.map((client) => client.disconnected()));
    const returned = await Promise.all(back.map((user, index) => signedIn(cluster.urls[index % 2 ? 0 : 2], user)));
    await allKnow("user:offline", away, here(GONE_MS) - (Date.now() - killed));
    assert.deepEqual(await online(away), [0, 0]);
    assert.deepEqual(await online(back), [back.length, back.length]);

    await listed([...observers, ...returned], [...observers, ...returned]);

    const again = await Promise.all(away.map(async (user) => signedIn(cluster.urls[0], { token: await login(cluster, user) })));
    await until("online again", () => observers.every((one) => away.every((user) => about(one, "user:online", user).length === 2)));
    await graceOver();
    await cluster.restartGateway(victim.id);
    // The restarted gateway accepts clients, and the others receive its messages.
    const [last] = await registerMany(cluster, 1);
    const client = await signedIn(victim.url, last);
    assert.equal((await client.ask("message", "back again")).status, "ok");
    for (const observer of observers) {
      await observer.waitFor("message", ({ message }) => message === "back again");
      for (const user of away) assert.equal(about(observer, "user:offline", user).length, 1, "announced once");
      for (const user of back) {
        assert.equal(about(observer, "user:offline", user).length, 0, "never announced");
        assert.equal(about(observer, "user:online", user).length, 1);
      }
    }
    for (const one of [...again, ...returned]) assert.equal(one.connected, true);
  });

  test("killed: the claim of the dead node does not delay a login elsewhere", async () => {
    const [victim] = cluster.gateways.slice(1);
    const clients = await Promise.all(watched.map((user) => signedIn(victim.url, user, { reconnection: false })));
    await allKnow("user:online", watched);
    cluster.signal(victim, "SIGKILL");
    const next = await Promise.all(watched.map(async (user) => signedIn(cluster.urls[0], { token: await login(cluster, user) })));
    assert.ok(next.every((client) => client.connected));
    await Promise.all(clients.map((client) => client.disconnected()));
    await cluster.restartGateway(victim.id);
    await cluster.allReadinessIs(200);
  });

  test("killed: its clients reconnect by themselves, through the balancer", async () => {
    const [victim] = cluster.gateways.slice(1);
    const options = [{ transports: ["websocket"] }, { transports: ["polling", "websocket"] }];
    const clients = await Promise.all(watched.map((user, index) => signedIn(cluster.balancer, user, options[index % 2])));
    await until("all upgraded", () => clients.every((client) => client.transport === "websocket"));
    await allKnow("user:online", watched);
    const survivors = cluster.gateways.filter((gateway) => gateway !== victim);
    const clearedUp = () => metric(survivors, "jackfield_nodes_reaped_total");
    const before = await clearedUp();
    cluster.signal(victim, "SIGKILL");
    // Round robin has put some of the WebSocket clients there.
    await until("some lost their connection", () => clients.some((client) => client.disconnects.length > 0));
    const everyone = [...observers, ...clients];
    await until("all are back", () => everyone.every((client) => client.connected));
    await listed(everyone, everyone);
    for (const client of clients) {
      assert.ok(client.disconnects.every((reason) => reason === "transport close" || reason === "transport error"));
    }
    for (const [index, client] of clients.entries()) assert.equal((await client.ask("message", `hello ${index}`)).status, "ok");
    await until("all clients receive all messages", () => everyone.every((client) => client.all("message").length === clients.length));
    await cluster.restartGateway(victim.id);
    // This holds for clients that came back before the dead node was reaped, too.
    await until("a survivor has reaped it", async () => await clearedUp() > before);
    await graceOver();
    for (const observer of observers) {
      for (const user of watched) assert.equal(about(observer, "user:offline", user).length, 0, "never announced");
    }
  });

  test("frozen for 8 s: consistent again within 5 s of waking up", async () => {
    const [frozen] = cluster.gateways.slice(1);
    const [stay, moved] = [watched.slice(0, 4), watched.slice(4)];
    const staying = await Promise.all(stay.map((user) => signedIn(frozen.url, user)));
    const leaving = await Promise.all(moved.map((user) => signedIn(frozen.url, user)));
    await allKnow("user:online", watched);

    cluster.signal(frozen, "SIGSTOP");
    const stopped = Date.now();
    // A sign-in elsewhere meanwhile is the newer session; the frozen node cannot know.
    const arrived = await Promise.all(moved.map((user, index) => signedIn(cluster.urls[index % 2 ? 0 : 2], user)));
    for (const observer of observers) observer.send("message", "while it was frozen");
    await until("8 s have passed", () => Date.now() - stopped >= FROZEN_MS, FROZEN_MS + 1000);
    cluster.signal(frozen, "SIGCONT");
    const woken = Date.now();
    const rest = () => Math.max(0, here(RIGHT_AGAIN_MS) - (Date.now() - woken));

    await Promise.all(leaving.map((client) => client.disconnected(rest())));
    for (const client of leaving) {
      assert.deepEqual(client.disconnects, ["io server disconnect"], "replaced, as without the freeze");
      assert.equal(client.all("session:replaced").length, 1);
    }
    await until("all users are online for all observers", async () => {
      const counts = await online(watched);
      if (counts.some((count) => count !== watched.length)) throw new NotYet(`online: ${counts}`);
      return true;
    }, rest());
    const crosses = async (sender, receivers) => {
      const text = `from ${sender.id}`;
      let sent = 0;
      return until("a message crosses", () => {
        if (Date.now() - sent > AGAIN_MS) {
          sent = Date.now();
          sender.send("message", text);
        }
        return receivers.every((one) => one.all("message").some(({ message }) => message === text));
      }, rest());
    };
    await crosses(staying[0], [...observers, ...staying, ...arrived]);
    await crosses(observers[0], [...observers, ...staying, ...arrived]);
    const everyone = [...observers, ...staying, ...arrived];
    await listed(everyone, everyone, rest());

    for (const client of [...staying, ...arrived, ...observers]) assert.equal(client.connected, true);
    for (const client of [...staying, ...arrived]) assert.deepEqual(client.disconnects, []);
    await graceOver();
    for (const observer of observers) {
      // An absence shorter than lease and grace together is not announced.
      for (const user of watched) assert.equal(about(observer, "user:offline", user).length, 0, "wrongly offline");
    }
    // A newer login still evicts the older session, on the node that was frozen too.
    const next = await signedIn(cluster.urls[0], { token: await login(cluster, stay[0]) });
    assert.equal(await staying[0].disconnected(here(1000)), "io server disconnect");
    assert.equal(next.connected, true);
  });
});
