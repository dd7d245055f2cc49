// Backends reach sockets on any node: emit to one and except some, wait for acknowledgements, let them into rooms, and make
// many calls at once; with stock clients.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { ownEvents } from "./support/contract.mjs";
import { here } from "./support/pace.mjs";
import { done, newRoom, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

ownEvents("own:batch");

describe("backends reach sockets on every node", OWN, () => {
  let cluster, apis;
  before(async () => {
    cluster = await startRooms({ nodes: 2, set: { "session.policy": "multi" } });
    apis = [0, 1].map((node) => new Api(cluster, node));
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const clients = (count, options) =>
    Promise.all(Array.from({ length: count }, (_, index) => signedIn(cluster.urls[index % 2], cluster.user(), options)));
  const id = (client) => client.last("authenticated").userId;

  test("to one socket; to a room, to everyone and to a user, except some", async () => {
    const all = await clients(4);
    const room = newRoom();
    for (const client of all) await done(client, "join-room", room);
    const to = [
      [{ socket: all[1].id }, [1]],
      [{ room, except: [all[0].id, `user:${id(all[1])}`] }, [2, 3]],
      [{ everyone: true, except: [room] }, []],
      [{ users: all.map(id), except: [all[2].id, `user:${id(all[3])}`] }, [0, 1]],
    ];
    for (const [n, [receivers]] of to.entries()) {
      const { status } = await apis[n % 2].post("/emit", { event: "own:reach", data: { n }, to: receivers });
      assert.equal(status, 202);
    }
    await apis[0].post("/emit", { event: "own:end", to: { room } });
    for (const [index, client] of all.entries()) {
      await client.waitFor("own:end");
      const expected = [...to.entries()].filter(([, [, indices]]) => indices.includes(index)).map(([n]) => n);
      // An event for users takes another way than one for a room.
      const got = client.all("own:reach").map(({ n }) => n).sort();
      assert.deepEqual(got, expected);
    }
  });

  test("acknowledgements of clients of several versions and transports, with binary data", async () => {
    const room = newRoom();
    const all = await Promise.all([
      ...await clients(2, { version: "4.8" }), ...await clients(2, { version: "4.0", transports: ["polling"] }),
      ...await clients(2, { version: "3.1" }),
    ]);
    for (const client of all) {
      await done(client, "join-room", room);
      client.socket.on("own:ask", ({ add }, answer) => answer({ sum: add + 1 }, Buffer.from([add])));
    }
    for (const api of apis) {
      const { status, body } = await api.post("/emit", { event: "own:ask", data: { add: 6 }, to: { room }, ack: true });
      assert.equal(status, 200);
      assert.equal(body.missing, 0);
      const expected = all.map((client) => ({
        socketId: client.id, user: id(client), args: [{ sum: 7 }, { $binary: "Bg==" }],
      }));
      const sort = (acks) => acks.sort((a, b) => (a.socketId < b.socketId ? -1 : 1));
      assert.deepEqual(sort(body.acks), sort(expected));
    }
    // One does not answer.
    all[0].socket.off("own:ask");
    const began = Date.now();
    const { body } = await apis[1].post("/emit", {
      event: "own:ask", data: { add: 1 }, to: { room, except: [all[1].id] }, ack: true, timeout: 700,
    });
    assert.deepEqual([body.acks.length, body.missing], [4, 1]);
    assert.ok(Date.now() - began >= 700);
    const nobody = await apis[0].post("/emit", { event: "own:ask", to: { user: "nobody" }, ack: true });
    assert.deepEqual([nobody.status, nobody.body], [200, { acks: [], missing: 0 }]);
  });

  test("sockets join and leave rooms", async () => {
    const [one, two, other] = await clients(3);
    const room = newRoom();
    const joined = await apis[1].post(`/rooms/${room}/join`, { users: [id(one), id(two)] });
    assert.deepEqual([joined.status, joined.body], [202, {}]);
    for (const client of [one, two]) assert.deepEqual(await client.waitFor("joined"), { room });
    await done(two, "send-message", { room, content: "hello" });
    await one.waitFor("new-message", ({ content }) => content === "hello");
    assert.equal((await apis[0].read(`/rooms/${room}/members`)).count, 2);
    await apis[0].post(`/rooms/${room}/join`, { sockets: [other.id] });
    await one.waitFor("user-joined", ({ userId }) => userId === id(other));
    const left = await apis[0].post(`/rooms/${room}/leave`, { sockets: [one.id, two.id] });
    assert.equal(left.status, 202);
    for (const client of [one, two]) {
      assert.deepEqual(await client.waitFor("left"), { room, code: "by_backend" });
      await other.waitFor("user-left", ({ userId }) => userId === id(client));
    }
    assert.equal((await two.ask("send-message", { room, content: "x" })).code, "not_in_room");
  });

  test("a thousand calls in one, in their order, repeated without doing them twice", async () => {
    const [one, two] = await clients(2);
    const emit = (n) => ({
      method: "POST", path: "/v1/emit",
      body: { event: "own:batch", data: { n }, to: n % 2 ? { user: id(one) } : { socket: one.id } },
    });
    const calls = Array.from({ length: 998 }, (_, n) => emit(n));
    const room = newRoom();
    calls.push({ method: "POST", path: `/v1/rooms/${room}/join`, body: { sockets: [two.id] } });
    calls.push({ method: "POST", path: "/v1/nowhere", body: {} });
    const headers = { "idempotency-key": randomUUID() };
    const { status, body } = await apis[1].post("/batch", { calls }, headers);
    assert.equal(status, 200);
    assert.deepEqual(body.results.map(({ status }) => status), [...Array(999).fill(202), 404]);
    await two.waitFor("joined");
    await until("all have arrived", () => one.all("own:batch").length >= 998, here(10_000));
    const again = await apis[0].post("/batch", { calls }, headers);
    assert.deepEqual(again.body, body);
    await apis[0].post("/emit", { event: "own:end", to: { user: id(one) } });
    await one.waitFor("own:end");
    const got = one.all("own:batch").map(({ n }) => n);
    for (const rest of [0, 1]) {
      const expected = Array.from({ length: 499 }, (_, n) => 2 * n + rest);
      assert.deepEqual(got.filter((n) => n % 2 === rest), expected, "one order for each kind of receiver");
    }
  });
});
