// The stock npm package `@socket.io/redis-emitter`, over two nodes, with stock clients.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { ownEvents } from "./support/contract.mjs";
import { metric } from "./support/metrics.mjs";
import { here } from "./support/pace.mjs";
import { redisCommand } from "./support/redis.mjs";
import { done, newRoom, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

ownEvents("order", "end", "many");

describe("redis-emitter", OWN, () => {
  let cluster, redis, emitter, rounds = 0;
  before(async () => {
    cluster = await startRooms({ nodes: 2, set: { "session.policy": "multi", "emitter.prefix": "socket.io" } });
    redis = await createClient({ url: cluster.redis.url }).connect();
    emitter = new Emitter(redis);
  });
  after(async () => {
    await redis?.quit();
    await cluster?.stop();
  });
  afterEach(closeAll);

  /** Clients of new users, on the nodes in turn. */
  const clients = (count, options) =>
    Promise.all(Array.from({ length: count }, (_, index) => signedIn(cluster.urls[index % 2], cluster.user(), options)));

  /** The arguments of `order` that each client has got, once all have got everything that was emitted before. */
  async function got(all, namespace = "/") {
    const round = ++rounds;
    emitter.of(namespace).emit("end", round);
    await Promise.all(all.map((client) => client.waitFor("end", (n) => n === round)));
    return all.map((client) => client.events.filter(({ name }) => name === "order").map(({ args }) => args));
  }

  const numbers = async (all, namespace) => (await got(all, namespace)).map((orders) => orders.map(([n]) => n));

  test("JSON and binary data of every kind, to everyone", async () => {
    const all = await clients(3);
    const date = new Date();
    const nested = { list: [1, "2", null, { deep: [true] }], text: "ñ \"quoted\" 👋", half: 0.5, big: 2 ** 40, less: -7 };
    emitter.emit("order", 1, "two", [3], nested, date, undefined, new Set([1]).size);
    emitter.emit("order", Buffer.from("asdf"), { at: [Uint8Array.of(0, 255).buffer] });
    emitter.emit("order");
    for (const [json, binary, nothing] of await got(all)) {
      assert.deepEqual(json, [1, "two", [3], nested, date.toISOString(), null, 1]);
      assert.deepEqual(binary, [Buffer.from("asdf"), { at: [Buffer.from([0, 255])] }]);
      assert.deepEqual(nothing, []);
    }
  });

  test("to rooms, users and sockets, each once; except; flags; namespaces", async () => {
    const all = await clients(4);
    const chat = await signedIn(cluster.urls[1], cluster.user(), { namespace: "/chat" });
    const [one, two] = [newRoom(), newRoom()];
    await done(all[0], "join-room", one);
    await done(all[0], "join-room", two);
    await done(all[1], "join-room", two);
    await done(chat, "join-room", one);
    const id = (client) => client.last("authenticated").userId;
    emitter.to(one).emit("order", 1);
    emitter.to([one, two]).to(`user:${id(all[0])}`).emit("order", 2);
    emitter.in(all[3].id).emit("order", 3);
    emitter.to(`user:${id(all[2])}`).emit("order", 4);
    emitter.except(two).except(all[3].id).emit("order", 5);
    emitter.to(two).except(`user:${id(all[1])}`).emit("order", 6);
    emitter.volatile.emit("order", 7);
    emitter.compress(false).volatile.to(two).emit("order", 8);
    emitter.of("/chat").emit("order", 9);
    emitter.of("chat").to(one).emit("order", 10);
    emitter.of("/elsewhere").emit("order", 11);
    assert.deepEqual(await numbers(all), [[1, 2, 6, 7, 8], [2, 7, 8], [4, 5, 7], [3, 7]]);
    assert.deepEqual(await numbers([chat], "/chat"), [[9, 10]]);
  });

  test("sockets join, leave and are disconnected, in the order of the calls", async () => {
    const all = await clients(4);
    const [everyone, some, left] = [newRoom(), newRoom(), newRoom()];
    emitter.socketsJoin([everyone, left]);
    emitter.to(everyone).emit("order", 1);
    emitter.in([all[0].id, all[1].id]).socketsJoin(some);
    emitter.in(some).except(all[0].id).socketsLeave(left);
    emitter.to(some).emit("order", 2);
    emitter.to(left).emit("order", 3);
    assert.deepEqual(await numbers(all), [[1, 2, 3], [1, 2], [1, 3], [1, 3]]);
    // They are members like all others.
    const members = (await new Api(cluster, 0).read(`/rooms/${some}/members`)).members.map(({ userId }) => userId);
    assert.deepEqual(members.sort(), [all[0], all[1]].map((client) => client.last("authenticated").userId).sort());
    await done(all[1], "send-message", { room: some, content: "hello" });
    await all[0].waitFor("new-message", ({ content }) => content === "hello");
    assert.deepEqual(all[1].last("left"), { room: left, code: "by_backend" });

    emitter.in(some).disconnectSockets();
    emitter.in(all[2].id).disconnectSockets(true);
    for (const client of all.slice(0, 3)) {
      assert.equal(await client.disconnected(), "io server disconnect");
      assert.equal(client.willReconnect, false);
      assert.equal(client.last("session:ended").reason, "disconnected by a backend");
    }
    assert.deepEqual((await numbers([all[3]]))[0], [1, 3]);
  });

  test("what it cannot be made of is counted, and disturbs nothing", async () => {
    const all = await clients(2);
    const count = async (outcome) => (await metric(cluster.gateways, `jackfield_emitter_messages_total{outcome="${outcome}"}`));
    const before = await Promise.all([count("malformed"), count("ignored")]);
    emitter.serverSideEmit("hello", "world");
    await redis.publish("socket.io#/#", "no MessagePack");
    await redis.publish("socket.io-request#/#", "{");
    await redis.publish("socket.iox#/#", "of another one");
    emitter.emit("order", 1);
    assert.deepEqual(await numbers(all), [[1], [1]]);
    const after = await Promise.all([count("malformed"), count("ignored")]);
    assert.deepEqual(after.map((number, index) => number - before[index]), [4, 2], "on each of two nodes");
  });

  test("ten thousand emissions arrive once and in order; after a lost connection they arrive again", async () => {
    const all = await clients(2);
    const COUNT = 10_000;
    for (let n = 0; n < COUNT; n++) {
      emitter.emit("many", n);
      // As many as a backend would have on their way.
      if (n % 500 === 499) await redis.ping();
    }
    await until("all have arrived", () => {
      for (const client of all) {
        const numbers = client.all("many");
        if (numbers.length < COUNT) throw new NotYet(`${numbers.length}`);
        assert.deepEqual(numbers, Array.from({ length: COUNT }, (_, n) => n));
      }
      return true;
    }, here(20_000));
    await redisCommand(cluster, "CLIENT KILL TYPE pubsub");
    let n = 0;
    await until("emissions arrive again", () => {
      emitter.emit("order", ++n);
      if (!all.every((client) => client.all("order").length > 0)) throw new NotYet("not yet");
      return true;
    }, here(10_000));
  });
});
