// Events for one user: every device gets each of them once and in one order, also if nodes lose some meanwhile.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { notify } from "./support/notifications.mjs";
import { here } from "./support/pace.mjs";
import { redisCommand } from "./support/redis.mjs";
import { done, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

const ALL_MS = 5000;

describe("events for one user", OWN, () => {
  let cluster, apis;
  before(async () => {
    cluster = await startRooms({ set: { "session.policy": "multi" } });
    apis = cluster.gateways.map((_, node) => new Api(cluster, node));
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** The user's devices, one on each node, and another user who writes to the user. */
  async function start() {
    const [user, friend] = [cluster.user(), cluster.user()];
    const devices = await Promise.all(cluster.urls.map((url) => signedIn(url, user)));
    return { user, devices, friend: await signedIn(cluster.urls[0], friend) };
  }

  /** Sends the `n`-th event, of one kind after the other, from one node after the other; returns its id. */
  async function send({ user, friend }, n) {
    const api = apis[n % apis.length];
    switch (n % 3) {
      case 0:
        return notify(api, user);
      case 1: {
        const answer = await api.post("/emit", { event: "own:event", data: { id: `${n}` }, to: { user: user.id } });
        assert.equal(answer.status, 202);
        return `${n}`;
      }
      default:
        return (await done(friend, "private-message", { to: user.id, content: `${n}` })).messageId;
    }
  }

  const ID_OF = {
    "notification:new": (data) => data.notification.id,
    "own:event": (data) => data.id,
    "private-message": (data) => data.id,
  };
  const received = (device) =>
    device.events.filter(({ name }) => name in ID_OF).map(({ name, args: [data] }) => ID_OF[name](data));

  const allHave = (devices, sent) =>
    until("every device has every event once and in order", () => {
      for (const device of devices) {
        const got = received(device);
        if (got.length < sent.length) throw new NotYet(`${got.length} of ${sent.length}`);
        assert.deepEqual(got, sent);
      }
      return true;
    }, here(ALL_MS));

  /** Cuts at least one, which may have to be there again first. */
  const cutSubscriptions = () =>
    until("a subscription was cut", async () => {
      assert.match(await redisCommand(cluster, "CLIENT KILL TYPE pubsub"), /^:[1-9]/);
      return true;
    });

  test("the nodes' subscriptions are cut again and again", async () => {
    const all = await start();
    const sent = [];
    for (let n = 0; n < 60; n++) {
      // One event at the time of the cut, and some after it, before and while the nodes subscribe again.
      const cut = n % 6 === 5 && cutSubscriptions();
      sent.push(await send(all, n));
      await cut;
    }
    await allHave(all.devices, sent);
    for (const device of all.devices) assert.deepEqual(device.disconnects, []);
  });

  test("a node is frozen for longer than its lease", async () => {
    const all = await start();
    const sent = [await send(all, 0)];
    await allHave(all.devices, sent);
    const frozen = cluster.gateways[1];
    cluster.signal(frozen, "SIGSTOP");
    try {
      await until("the frozen node's session is gone", async () => {
        const { sockets } = await apis[0].read(`/users/${all.user.id}`);
        if (sockets !== 2) throw new NotYet(`${sockets} sockets`);
        return true;
      });
      // Through the other nodes.
      for (const n of [2, 6, 8, 12]) sent.push(await send(all, n));
      await allHave([all.devices[0], all.devices[2]], sent);
    } finally {
      cluster.signal(frozen, "SIGCONT");
    }
    await allHave(all.devices, sent);
    sent.push(await send(all, 1));
    await allHave(all.devices, sent);
    for (const device of all.devices) assert.deepEqual(device.disconnects, []);
  });

  test("Redis is stopped, and started with its data", async () => {
    const all = await start();
    const sent = [];
    for (let n = 0; n < 6; n++) sent.push(await send(all, n));
    await cluster.stopRedis();
    await cluster.allReadinessIs(503, here(ALL_MS));
    await cluster.startRedis();
    await cluster.allReadinessIs(200);
    for (let n = 6; n < 12; n++) sent.push(await send(all, n));
    await allHave(all.devices, sent);
    for (const device of all.devices) assert.deepEqual(device.disconnects, []);
  });
});
