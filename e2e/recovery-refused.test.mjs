// Recovery in `/` and `/chat`: who gets a pid and offsets, and every cause for which a client that comes back is not
// recovered. It learns that, and begins anew without an error.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { startNode } from "./support/node.mjs";
import { USER_EVENTS, Sent, comeBack, cut, passed, tell } from "./support/recovering.mjs";
import {
  complete, ids, join, newRoom, refused, roomMessages, sendMany, startRooms,
} from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** The default of `recovery.rooms`; and messages, fewer and more than a room keeps. */
const MOST_ROOMS = 16;
const [FEW, TOO_MANY] = [900, 1040];
/** A join without what was missed returns so many messages. */
const NEWEST = 50;
const WINDOW_MS = 1000;

describe("who is recovered", OWN, () => {
  let cluster, apis;
  before(async () => {
    cluster = await startRooms({ set: { "rooms.rules": "staff:*;join=ADMIN" } });
    apis = cluster.gateways.map((_, node) => new Api(cluster, node));
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const hasNoSession = async (api, user) => (await api.read(`/users/${user.id}`)).sockets === 0;

  test("a client gets a pid and offsets only if it asks for them", async () => {
    const [friend, room, sent] = [await signedIn(cluster.urls[0], cluster.user()), newRoom(), new Sent()];
    await join(friend, room);
    const start = async (recover) => {
      const user = cluster.user();
      const client = await connect(cluster.urls[1], { auth: { token: user.token, recover } }).ready();
      await join(client, room);
      for (const one of apis) assert.ok(await tell(user, { api: one, friend }, sent));
      return client;
    };
    const [asks, plain] = [await start(true), await start(undefined)];
    await sendMany([friend], room, 1);
    const names = ["authenticated", "recent-messages", "new-message", ...USER_EVENTS];
    for (const client of [asks, plain]) for (const name of names) await client.waitFor(name);
    for (const { name, args } of plain.events) {
      assert.equal(args.length, name === "recent-messages" ? 2 : 1, `${name} has no further argument`);
    }
    for (const { name, args } of asks.events.filter(({ name }) => names.includes(name))) {
      assert.match(`${args.at(-1)}`, /^r1\./, `${name} has an offset`);
    }
    assert.ok(asks.socket._pid);
    await cut(plain);
    await comeBack(plain);
    assert.deepEqual([plain.socket._pid, Boolean(plain.socket.recovered)], [undefined, false]);
    await refused(plain, "send-message", { room, content: "x" }, "not_in_room");
  });

  /** A client that asks for recovery and another one, both in a room; at the cluster, or at one node. */
  async function members({ place = cluster, room = newRoom(), as } = {}) {
    const url = place.balancer ?? place.url;
    const user = place.user(as);
    const client = await connect(url, { auth: { token: user.token, recover: true } }).ready();
    const other = await signedIn(url, place.user(as));
    const { position } = await join(client, room);
    await join(other, room);
    return { user, client, other, room, position };
  }

  /**
   * A client comes back after `change`, which may return ids of messages that it missed. It must not be recovered: it
   * has another id and is in no room. But it is not refused, and joins with `since` as usual: the room has `kept` them,
   * or the newest of them.
   */
  async function assertNotRecovered(change, { place, kept = true } = {}) {
    const all = await members({ place });
    const { client, other, room, position } = all;
    const [id, pid] = [client.id, client.socket._pid];
    const missed = await change(all) ?? [];
    missed.push(...await sendMany([other], room, 3));
    const before = roomMessages(client, room);
    await comeBack(client);
    assert.equal(Boolean(client.socket.recovered), false);
    assert.notEqual(client.id, id);
    if (pid) assert.notEqual(client.socket._pid, pid);
    assert.equal(client.refusal, undefined);
    await refused(client, "send-message", { room, content: "x" }, "not_in_room");
    assert.deepEqual(roomMessages(client, room), before);
    const { recent, recovered } = await join(client, room, position);
    assert.deepEqual([ids(recent), recovered], [missed.sort().slice(kept ? 0 : -NEWEST), kept]);
  }

  /** Joins further rooms until the client is in so many. */
  async function joinRooms(client, count) {
    for (let n = 1; n < count; n++) await join(client, newRoom());
  }

  test("as many rooms and missed messages as allowed are recovered", async () => {
    const { client, other, room } = await members();
    await joinRooms(client, MOST_ROOMS);
    await cut(client);
    const missed = await sendMany(Array(4).fill(other), room, FEW);
    await comeBack(client);
    assert.equal(client.socket.recovered, true);
    await complete(client, room, missed.sort());
  });

  const CAUSES = {
    "more rooms than `recovery.rooms`": async ({ client }) => {
      await joinRooms(client, MOST_ROOMS + 1);
      await cut(client);
    },
    "evicted by a newer session": async ({ client, user }) => {
      await signedIn(cluster.urls[1], user);
      assert.equal(await client.disconnected(), "io server disconnect");
    },
    "disconnected by a backend": async ({ client, user }) => {
      assert.equal((await apis[0].post(`/users/${user.id}/disconnect`, {})).status, 202);
      assert.equal(await client.disconnected(), "io server disconnect");
    },
    "disconnected by the client itself": async ({ client, user }) => {
      client.socket.disconnect();
      await until("its session has ended", () => hasNoSession(apis[0], user));
    },
  };
  for (const offset of ["f1.x", "", "x"]) {
    CAUSES[`the foreign offset "${offset}"`] = async ({ client }) => {
      await cut(client);
      client.socket._lastOffset = offset;
    };
  }
  for (const [name, change] of Object.entries(CAUSES)) {
    test(`not recovered: ${name}`, () => assertNotRecovered(change));
  }

  test("not recovered: more missed messages than a room keeps", () =>
    assertNotRecovered(async ({ client, other, room }) => {
      await cut(client);
      return sendMany(Array(4).fill(other), room, TOO_MANY);
    }, { kept: false }));

  test("not recovered: Redis lost its data", () =>
    assertNotRecovered(async ({ client, other, room }) => {
      await complete(client, room, await sendMany([other], room, 1));
      await cut(client);
      await cluster.stopRedis();
      await cluster.startRedis({ empty: true });
      // Its node has noticed.
      await other.waitFor("room-reset");
      await cluster.allReadinessIs(200);
      // A node that is ready may still use a connection that died with Redis for a moment.
      await until("it answers again", async () => (await other.ask("room-history", { room })).status === "ok");
    }, { kept: false }));

  test("not recovered: a rule keeps it from a room now", async () => {
    const { client, user, room } = await members({ room: newRoom("staff:"), as: { roles: ["ADMIN"] } });
    await cut(client);
    client.socket.auth.token = cluster.token({ sub: user.id, name: user.fullName, roles: ["USER"] });
    await comeBack(client);
    assert.equal(client.socket.recovered, false);
    await refused(client, "join-room", room, "forbidden");
  });

  test("not recovered: the pid of another user, who is there or away", async () => {
    const { client, other, room } = await members();
    const [{ _pid, _lastOffset }, { id }] = [client.socket, client];
    const auth = { token: cluster.user().token, recover: true };
    const thief = connect(cluster.balancer, { auth, autoConnect: false });
    const steal = async () => {
      Object.assign(thief.socket, { _pid, _lastOffset });
      await comeBack(thief);
      assert.equal(thief.socket.recovered, false);
      assert.notEqual(thief.id, id);
      assert.notEqual(thief.socket._pid, _pid);
      await refused(thief, "send-message", { room, content: "x" }, "not_in_room");
    };
    await steal();
    await cut(client);
    const missed = await sendMany([other], room, 3);
    await cut(thief);
    await steal();
    await comeBack(client);
    assert.deepEqual([client.socket.recovered, client.id], [true, id]);
    await complete(client, room, missed);
    assert.deepEqual([client.all("session:replaced"), roomMessages(thief, room)], [[], []]);
  });

  const ELSEWHERE = {
    "away for longer than `recovery.window`": {
      set: { "recovery.window": `${WINDOW_MS}ms` },
      change: async ({ client, user, node }) => {
        await cut(client);
        await until("its session has ended", () => hasNoSession(new Api(node), user));
        await passed(WINDOW_MS + 100);
      },
    },
    "another engine": {
      set: { engine: "oxide" },
      change: async ({ client }) => {
        assert.equal(client.socket._pid, undefined);
        await cut(client);
      },
    },
  };
  for (const [name, { set, change }] of Object.entries(ELSEWHERE)) {
    test(`not recovered: ${name}`, async () => {
      const node = await startNode({ set });
      try {
        await assertNotRecovered((all) => change({ ...all, node }), { place: node });
      } finally {
        await node.stop();
      }
    });
  }
});
