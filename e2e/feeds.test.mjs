// Feeds: permissions to read and to update, one order for all readers, and independence of sessions.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { VERSIONS, alsoIn, closeAll, connect, listed, signedIn } from "./support/clients.mjs";
import { GREETING, PRODUCTS, reading, receivedBy } from "./support/feeds.mjs";
import { TIMESTAMP, done, refused, startRooms } from "./support/rooms.mjs";
import { startStandalone } from "./support/standalone.mjs";
import { until } from "./support/until.mjs";
import { login } from "./support/users.mjs";

const UPDATED = "Se ha actualizado un producto";
const FEEDS = [
  `productos;greeting=${GREETING};read=anyone;update=ADMIN+SUPERUSER`,
  "pedidos;greeting=Pedidos, al momento;entity=ORDERS;read=token;update=*;keep=3",
];
const ORDERS = "/ws/v1/pedidos";

/** Waits until a reader received so many updates; they must be these, each once, in order. */
async function complete(reader, expected, ms) {
  const updates = () => reader.all("updates").map(({ data }) => data);
  await until(`${expected.length} updates`, () => updates().length >= expected.length, ms);
  assert.deepEqual(updates(), expected);
}

describe("feeds of a cluster", () => {
  let cluster, admin, user;
  before(async () => {
    cluster = await startRooms({ set: { feeds: JSON.stringify(FEEDS) } });
    admin = cluster.user({ roles: ["ADMIN", "USER"] });
    user = cluster.user();
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** A reader on each node, without a token. */
  const onEach = (options) => Promise.all(cluster.urls.map((url) => reading(url, options)));

  for (const version of Object.keys(VERSIONS)) {
    test(`client ${version}: any client can read, over every transport, and gets a greeting first`, async () => {
      const writer = await reading(cluster.urls[0], { version, token: admin.token });
      for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
        const readers = await onEach({ version, transports });
        const data = { id: 7, via: transports.join() };
        assert.deepEqual(await writer.ask("updateProduct", data), { status: "ok" });
        for (const reader of readers) {
          await reader.waitFor("updates");
          assert.deepEqual(receivedBy(reader), [["connection", GREETING], ["updates", { message: UPDATED, data }]]);
        }
        for (const reader of readers) reader.close();
      }
    });
  }

  test("CREATE, UPDATE and DELETE of a backend on any node reach readers on every node, as `updates`", async () => {
    const readers = [...await onEach(), ...await onEach({ version: "3.1" })];
    const apis = cluster.gateways.map((_, node) => new Api(cluster, node));
    const expected = [];
    for (const [node, api] of apis.entries()) {
      for (const type of ["CREATE", "UPDATE", "DELETE"]) {
        const data = { id: node, price: 1.5, name: "Camión \"grande\"" };
        const { status, body } = await api.post("/feeds/productos", { type, data });
        assert.equal(status, 202);
        expected.push({ id: body.id, entity: "PRODUCTOS", type, data });
      }
    }
    const other = await apis[0].post("/feeds/productos", { type: "UPDATE", entity: "PRECIOS", data: null });
    expected.push({ id: other.body.id, entity: "PRECIOS", type: "UPDATE", data: null });
    const ids = expected.map(({ id }) => id);
    assert.deepEqual(ids, [...ids].sort(), "ids sort in the order of the feed");

    for (const reader of readers) {
      await until("all updates", () => reader.all("updates").length >= expected.length);
      for (const [index, { createdAt, ...update }] of reader.all("updates").entries()) {
        const { entity, type, data } = expected[index];
        assert.deepEqual(update, { entity, type, data });
        assert.match(createdAt, TIMESTAMP);
      }
      assert.equal(reader.all("updates").length, expected.length);
    }
    assert.equal((await apis[1].post("/feeds/pedidos", { type: "CREATE", data: 1 })).status, 202);
    assert.equal((await apis[1].post("/feeds/nothing", { type: "CREATE", data: 1 })).status, 404);
  });

  test("all readers receive one order, from any sender on any node", async () => {
    const readers = await onEach();
    const writers = await Promise.all(cluster.urls.map((url) => reading(url, { token: admin.token })));
    const each = 60;
    await Promise.all(writers.map(async (writer, from) => {
      for (let number = 0; number < each; number++) await done(writer, "updateProduct", { from, number });
    }));
    const total = writers.length * each;
    await until("all have received all updates", () => [...readers, ...writers].every((one) => one.all("updates").length >= total));
    const [first, ...others] = [...readers, ...writers].map((one) => one.all("updates").map(({ data }) => data));
    for (const other of others) assert.deepEqual(other, first);
    for (const from of writers.keys()) {
      const numbers = first.filter((data) => data.from === from).map(({ number }) => number);
      assert.deepEqual(numbers, Array.from({ length: each }, (_, index) => index));
    }
  });

  test("any JSON may be an update, and arrives unchanged", async () => {
    const [reader] = await onEach();
    const writer = await reading(cluster.urls[1], { token: admin.token });
    const values = [{ id: 1, name: "a \"b\" \u2028 ñ" }, [1, [2]], "text", 1.5, false, null, {}];
    for (const value of values) await done(writer, "updateProduct", value);
    await complete(reader, values);
    writer.send("updateProduct");
    await complete(reader, [...values, null]);
  });

  test("`updateProduct` requires a role that the feed names, and works only in feeds", async () => {
    const witness = await reading(cluster.urls[2]);
    const [nobody, somebody] = [await reading(cluster.urls[0]), await reading(cluster.urls[0], { token: user.token })];
    for (const reader of [nobody, somebody]) {
      await refused(reader, "updateProduct", { id: 1 }, "forbidden");
      reader.send("updateProduct", { id: 1 });
      const { status, code, event } = await reader.waitFor("error");
      assert.deepEqual({ status, code, event }, { status: "error", code: "forbidden", event: "updateProduct" });
    }
    const chatting = await signedIn(cluster.urls[0], admin);
    await refused(chatting, "updateProduct", { id: 1 }, "unknown_event");

    const superuser = await reading(cluster.urls[1], { token: cluster.user({ roles: ["SUPERUSER"] }).token });
    await done(superuser, "updateProduct", "from the superuser");
    await complete(witness, ["from the superuser"]);
  });

  test("events of `/` and `/chat` are unknown in feeds, and are not delivered there", async () => {
    const reader = await reading(cluster.urls[0], { token: admin.token });
    for (const event of ["send-message", "join-room", "message-client", "private-message", "notification:list", "echo"]) {
      await refused(reader, event, { room: "r", content: "c", message: "m" }, "unknown_event");
    }
    const main = await signedIn(cluster.urls[1], user);
    const friend = await signedIn(cluster.urls[2], admin);
    await done(friend, "private-message", { to: user.id, content: "psst" });
    await main.waitFor("private-message");
    await done(main, "message-client", { message: "to all" });
    await main.waitFor("message-server");
    await done(reader, "updateProduct", "last");
    await reader.waitFor("updates");
    assert.deepEqual(receivedBy(reader), [["connection", GREETING], ["updates", { message: UPDATED, data: "last" }]]);
  });

  test("a feed that is not configured is refused for good", async () => {
    for (const namespace of ["/ws/v1/nothing", "/ws/v1/", "/ws/v1/productos/", "/ws/v1/PRODUCTOS", "/ws/v2/productos"]) {
      const client = connect(cluster.balancer, { namespace, token: admin.token });
      assert.equal(await client.refused(), "invalid_namespace");
      assert.equal(client.willReconnect, false);
    }
  });

  test("a token must be valid if one is given, and a feed for token holders requires one", async () => {
    const [expired, forged] = [cluster.token({ exp: 1_000_000_000 }), `${user.token.slice(0, -4)}AAAA`];
    for (const [namespace, token, code] of [
      [PRODUCTS, expired, "token_expired"],
      [PRODUCTS, forged, "invalid_token"],
      [ORDERS, expired, "token_expired"],
      [ORDERS, undefined, "missing_token"],
    ]) {
      const client = connect(cluster.balancer, { namespace, token });
      assert.equal(await client.refused(), code, `${namespace} ${code}`);
      assert.deepEqual(client.events, []);
    }
    const reader = await reading(cluster.balancer, { namespace: ORDERS, token: user.token });
    assert.deepEqual(receivedBy(reader)[0], ["connection", "Pedidos, al momento"]);
  });

  test("new readers receive the kept updates, in order, before live ones", async () => {
    const open = (url) => reading(url, { namespace: ORDERS, token: user.token });
    const writer = await open(cluster.urls[0]);
    const sent = Array.from({ length: 8 }, (_, number) => ({ number }));
    for (const data of sent.slice(0, 5)) await done(writer, "updateProduct", data);
    // A node may not have received all of them yet: a reader there gets each of them once either way.
    const readers = await Promise.all(cluster.urls.map(open));
    for (const data of sent.slice(5)) await done(writer, "updateProduct", data);
    for (const reader of readers) {
      await reader.waitFor("updates", ({ data }) => data.number === 7);
      // Updates that were kept before may come first.
      const numbers = reader.all("updates").map(({ data }) => data.number).filter((number) => number !== undefined);
      const first = numbers[0];
      assert.ok(first <= 2, `${numbers}`);
      assert.deepEqual(numbers, Array.from({ length: 8 - first }, (_, index) => first + index));
      assert.equal(reader.events[0].name, "connection");
    }
    const late = await open(cluster.urls[1]);
    await complete(late, sent.slice(5));
  });

  test("the expiry of a token is announced, and disconnects readers of a feed that requires one; a new token can be given", async () => {
    // Enough time to connect, on a busy machine too.
    const soon = Math.floor(Date.now() / 1000) + 6;
    const ending = () => cluster.token({ sub: user.id, exp: soon });
    const [ends, goes, free] = await Promise.all([
      reading(cluster.urls[0], { namespace: ORDERS, token: ending() }),
      reading(cluster.urls[0], { namespace: ORDERS, token: ending() }),
      reading(cluster.urls[0], { token: cluster.token({ roles: ["ADMIN"], exp: soon }) }),
    ]);
    await ends.waitFor("token:expiring");
    await refused(goes, "token:refresh", { token: admin.token }, "forbidden");
    const renewed = await done(goes, "token:refresh", { token: user.token });
    assert.ok(Date.parse(renewed.expiresAt) > Date.now() + 60_000);

    assert.equal(await ends.disconnected(), "io server disconnect");
    assert.equal(ends.events.at(-1).name, "token:expired");
    await done(goes, "updateProduct", "still here");
    // A reader that needs no token goes on reading, but loses its roles.
    await until("its roles have expired", async () => (await free.ask("updateProduct", "x")).code === "forbidden");
    assert.equal(free.connected, true);
    await refused(await reading(cluster.urls[0]), "token:refresh", { token: user.token }, "forbidden");
  });

  test("a feed claims no session, is not counted as presence, and outlives the session beside it", async () => {
    const [ana, bob] = [cluster.user(), cluster.user()];
    const witness = await signedIn(cluster.urls[2], bob);
    const chat = await signedIn(cluster.urls[0], ana);
    const reader = await reading(cluster.urls[1], { token: ana.token });
    await listed([witness, chat], [witness, chat]);
    // Another node's news of a newer session would have arrived before this.
    await done(witness, "message", "after the reader");
    await chat.waitFor("message", ({ message }) => message === "after the reader");
    assert.deepEqual([chat.connected, chat.all("session:replaced")], [true, []]);

    const beside = alsoIn(chat, PRODUCTS, ana.token);
    await beside.waitFor("connection");
    const newer = await signedIn(cluster.urls[1], ana);
    assert.equal(await chat.disconnected(), "io server disconnect");
    const writer = await reading(cluster.urls[2], { token: admin.token });
    await done(writer, "updateProduct", "after the session");
    for (const one of [reader, beside]) await complete(one, ["after the session"]);
    assert.deepEqual([beside.connects, beside.disconnects], [1, []]);

    // A client that leaves the feed receives no more of it; the rest of its connection goes on.
    const left = alsoIn(newer, PRODUCTS, ana.token);
    await left.waitFor("connection");
    left.close();
    await done(writer, "updateProduct", "after leaving");
    await complete(reader, ["after the session", "after leaving"]);
    assert.equal((await newer.ask("message", "still here")).status, "ok");
    assert.deepEqual(left.all("updates"), []);

    const absent = cluster.user();
    await reading(cluster.urls[0], { token: absent.token });
    const { online } = await done(witness, "presence:subscribe", { userIds: [absent.id, ana.id] });
    assert.deepEqual(online, [ana.id]);
  });

  test("a disconnect by a backend ends all feeds of that user, on every node, and no others", async () => {
    const ana = cluster.user();
    const mine = await onEach({ token: ana.token });
    const session = await signedIn(cluster.urls[2], ana);
    mine.push(alsoIn(session, PRODUCTS, ana.token), await reading(cluster.urls[0], { namespace: ORDERS, token: ana.token }));
    await mine.at(-2).waitFor("connection");
    const others = [...await onEach(), await reading(cluster.urls[1], { token: user.token })];

    const api = new Api(cluster, 1);
    const { status, body } = await api.post(`/users/${ana.id}/disconnect`, { reason: "enough \"now\"" });
    assert.deepEqual([status, body], [202, { sessions: 1 }]);
    for (const one of [...mine, session]) {
      assert.equal(await one.disconnected(), "io server disconnect");
      assert.equal(one.willReconnect, false);
      assert.deepEqual(one.all("session:ended").map(({ reason }) => reason), ["enough \"now\""]);
      assert.match(one.last("session:ended").at, TIMESTAMP);
    }
    const writer = await reading(cluster.urls[2], { token: admin.token });
    await done(writer, "updateProduct", "after");
    for (const other of others) await complete(other, ["after"]);
    for (const one of mine) assert.equal(one.events.at(-1).name, "session:ended");
    for (const other of others) assert.deepEqual([other.connected, other.disconnects], [true, []]);
  });

  test("Redis stops and starts: readers stay, and receive every acknowledged update", async () => {
    const readers = await onEach();
    const writer = await reading(cluster.urls[0], { token: admin.token });
    await done(writer, "updateProduct", 0);
    await cluster.stopRedis();
    await refused(writer, "updateProduct", "lost", "unavailable");
    await cluster.startRedis();
    // A node that is ready may still use a connection that died with Redis for a moment.
    await until("updates are accepted again", async () => (await writer.ask("updateProduct", "lost")).status === "ok");
    for (let number = 1; number <= 20; number++) await done(writer, "updateProduct", number);
    for (const reader of readers) {
      await reader.waitFor("updates", ({ data }) => data === 20);
      // An update that was answered `unavailable` may have been stored or not.
      const received = reader.all("updates").map(({ data }) => data).filter((data) => data !== "lost");
      assert.deepEqual(received, Array.from({ length: 21 }, (_, number) => number));
      assert.equal(reader.connects, 1);
    }
  });
});

describe("feeds of the standalone program", () => {
  let program;
  before(async () => {
    program = await startStandalone();
  });
  after(() => program?.stop());
  afterEach(closeAll);

  test("the feed of the seed exists without any setting", async () => {
    const reader = await reading(program.url);
    const token = await login(program, { email: "test1@mail.com", password: "test123" });
    const writer = await reading(program.url, { token });
    await done(writer, "updateProduct", { id: 1 });
    await complete(reader, [{ id: 1 }]);
    assert.deepEqual(receivedBy(reader)[0], ["connection", GREETING]);
    const other = connect(program.url, { namespace: "/ws/v1/pedidos" });
    assert.equal(await other.refused(), "invalid_namespace");
  });

  test("a reader that floods is disconnected, and no other", async () => {
    const [witness, flooding] = [await reading(program.url), await reading(program.url)];
    for (let number = 0; number < 3_000; number++) flooding.send("updateProduct", number);
    assert.equal(await flooding.disconnected(), "io server disconnect");
    assert.equal(flooding.last("error").code, "rate_limited");
    await refused(witness, "updateProduct", 1, "forbidden");
    assert.deepEqual([witness.connects, witness.disconnects], [1, []]);
  });
});
