// Notifications: on every device, over real transports, and during failures of everything else.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { alsoIn, closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { notify, shown, stored, wrongCounts } from "./support/notifications.mjs";
import { here } from "./support/pace.mjs";
import { redisCommand } from "./support/redis.mjs";
import { TIMESTAMP, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

const AGREE_MS = 5000;
const OPERATIONS = 1000;
/** Operations under way at a time. */
const WIDTH = 8;

const choose = (list) => list[Math.floor(Math.random() * list.length)];

describe("notifications", OWN, () => {
  let cluster, apis;
  before(async () => {
    cluster = await startRooms({ set: { "session.policy": "multi" } });
    apis = cluster.gateways.map((_, node) => new Api(cluster, node));
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** A device of the user on each node, which has received the count. */
  async function devices(user) {
    const clients = await Promise.all(cluster.urls.map((url) => signedIn(url, user)));
    await Promise.all(clients.map((client) => client.waitFor("notification:unread_count")));
    return clients;
  }

  const allShow = (clients, count, ms = here(AGREE_MS)) =>
    until(`every device shows ${count}`, () => {
      const counts = clients.map(shown);
      if (counts.some((one) => one !== count)) throw new NotYet(`${counts}`);
      return true;
    }, ms);

  test("a notification is counted, listed, read and deleted, in both namespaces and over both transports", async () => {
    const user = cluster.user();
    const main = await signedIn(cluster.urls[0], user);
    const chat = await alsoIn(main, "/chat", user.token).ready();
    const polling = await signedIn(cluster.urls[1], user, { namespace: "/chat", transports: ["polling"] });
    const mine = [main, chat, polling];
    await allShow(mine, 0);
    const id = await notify(apis[2], user, "title");
    await allShow(mine, 1);
    for (const client of mine) assert.deepEqual(client.all("notification:new").map((one) => one.notification.id), [id]);
    const { notifications: [{ createdAt, ...listed }] } = await polling.ask("notification:list");
    assert.deepEqual(listed, { id, title: "title", message: "m", type: "info", read: false });
    assert.match(createdAt, TIMESTAMP);
    assert.deepEqual(await main.ask("notification:mark_read", { notificationId: id }), { success: true });
    await allShow(mine, 0);
    for (const client of mine) assert.deepEqual(client.all("notification:read"), [{ notificationId: id, success: true }]);
    assert.equal((await apis[0].delete(`/users/${user.id}/notifications/${id}`)).status, 204);
    for (const client of mine) assert.equal((await client.waitFor("notification:deleted")).notificationId, id);
  });

  test("lost pushes are repaired: the subscriptions of the nodes cut repeatedly", async () => {
    const user = cluster.user();
    const clients = await devices(user);
    for (let n = 1; n <= 5; n++) {
      const cut = redisCommand(cluster, "CLIENT KILL TYPE pubsub");
      await notify(choose(apis), user);
      assert.match(await cut, /^:[1-9]/);
      await notify(choose(apis), user);
      await allShow(clients, 2 * n);
    }
    for (const client of clients) assert.deepEqual(client.disconnects, []);
  });

  test("lost pushes are repaired: Redis stopped, and started with its data and without", async () => {
    const user = cluster.user();
    const clients = await devices(user);
    await notify(apis[0], user);
    await allShow(clients, 1);
    for (const empty of [false, true]) {
      await cluster.stopRedis();
      await cluster.allReadinessIs(503, here(AGREE_MS));
      assert.equal((await clients[0].ask("notification:list")).code, "unavailable");
      assert.equal((await clients[0].ask("notification:mark_read", { all: true })).code, "unavailable");
      const counts = clients.map((client) => client.all("notification:unread_count").length);
      await cluster.startRedis({ empty });
      await until("all devices have the count again", () =>
        clients.every((client, index) => client.all("notification:unread_count").length > counts[index]));
      await allShow(clients, empty ? 0 : 1);
    }
    await cluster.allReadinessIs(200);
    await notify(apis[1], user);
    await allShow(clients, 1);
    for (const client of clients) assert.deepEqual(client.disconnects, []);
  });

  test("lost pushes are repaired: a node frozen for longer than its lease", async () => {
    const user = cluster.user();
    const clients = await devices(user);
    const frozen = cluster.gateways[1];
    cluster.signal(frozen, "SIGSTOP");
    try {
      // The node that reaps the frozen one removes its sessions: later notifications are not sent to them.
      await until("the frozen node's session is gone", async () => {
        const { sockets } = await apis[0].read(`/users/${user.id}`);
        if (sockets !== 2) throw new NotYet(`${sockets} sockets`);
        return true;
      });
      await notify(apis[0], user);
      await allShow([clients[0], clients[2]], 1);
    } finally {
      cluster.signal(frozen, "SIGCONT");
    }
    await allShow(clients, 1);
    await notify(apis[2], user);
    await allShow(clients, 2);
    for (const client of clients) assert.deepEqual(client.disconnects, []);
  });

  test(`${OPERATIONS} random operations on all nodes, one of them killed meanwhile: all devices agree`, async (t) => {
    const user = cluster.user();
    const clients = await devices(user);
    const victim = cluster.gateways[1];
    const known = [];
    const done = {};
    const failed = {};

    const operations = {
      "API add": [9, async (api) => known.push(await notify(api, user))],
      "API add to many": [1, async (api) => {
        const { status, body } = await api.post("/users/notifications", {
          userIds: [user.id, randomUUID(), randomUUID()], title: "t", message: "m", type: "info",
        });
        assert.equal(status, 201);
        known.push(body.notificationId);
      }],
      "API delete": [4, async (api) => {
        const { status } = await api.delete(`/users/${user.id}/notifications/${choose(known) ?? randomUUID()}`);
        assert.ok(status === 204 || status === 404, `${status}`);
      }],
      "API list": [2, (api) => stored(api, user)],
      "socket mark_read": [6, async (_, device) => {
        if (known.length === 0) return;
        assert.deepEqual(await device.ask("notification:mark_read", { notificationId: choose(known) }), { success: true });
      }],
      "socket mark_read all": [0.3, async (_, device) => {
        assert.deepEqual(await device.ask("notification:mark_read", { all: true }), { success: true });
      }],
      "socket list": [2, async (_, device) => {
        const { notifications, unreadCount, more } = await device.ask("notification:list", { limit: 100 });
        const unread = notifications.filter(({ read }) => !read).length;
        assert.ok(more ? unread <= unreadCount : unread === unreadCount, `${unread} of ${unreadCount}, more: ${more}`);
      }],
    };
    const weighted = Object.entries(operations).flatMap(([name, [weight]]) => Array(weight * 10).fill(name));

    let begun = 0;
    let killed, back, dying;
    async function kill() {
      dying = clients[1];
      killed = Date.now();
      cluster.signal(victim, "SIGKILL");
      await dying.disconnected();
      dying.close();
      clients[1] = await signedIn(cluster.urls[2], user);
      back = Date.now() - killed;
    }
    async function worker() {
      while (begun < OPERATIONS) {
        const number = begun++;
        if (number === OPERATIONS / 2) await kill();
        const name = choose(weighted);
        const api = choose(apis.filter((_, node) => killed === undefined || cluster.gateways[node] !== victim));
        const early = killed === undefined;
        try {
          await operations[name][1](api, choose(clients.filter((client) => client !== dying)));
          done[name] = (done[name] ?? 0) + 1;
        } catch (error) {
          // Only operations that were under way at the node when it died may fail.
          if (!early || killed === undefined || error instanceof assert.AssertionError) throw error;
          failed[name] = (failed[name] ?? 0) + 1;
        }
      }
    }
    const start = Date.now();
    await Promise.all(Array.from({ length: WIDTH }, worker));
    const last = Date.now();

    const { all, unreadCount } = await stored(apis[0], user);
    assert.equal(all.filter(({ read }) => !read).length, unreadCount);
    assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
    await allShow(clients, unreadCount);
    const agreed = Date.now() - last;
    const [first, , third] = clients;
    for (const client of [first, third]) {
      assert.deepEqual(client.disconnects, []);
      assert.deepEqual(wrongCounts(client), [], "every count was right");
    }
    const counts = [first, third].map((client) => client.all("notification:unread_count").length);
    t.diagnostic(JSON.stringify({
      operations: done, failedAtTheDeadNode: failed, seconds: (last - start) / 1000, backElsewhereMs: back, agreedMs: agreed,
      stored: all.length, unreadCount, countsReceived: counts,
    }));
    await cluster.restartGateway(victim.id);
    await cluster.allReadinessIs(200);
    // The node that was killed takes part again.
    clients.push(await signedIn(victim.url, user));
    await notify(apis[1], user);
    await allShow(clients, unreadCount + 1);
  });
});
