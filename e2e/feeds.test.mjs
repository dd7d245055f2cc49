// Feeds: every client version and transport, one order for all readers, expiring tokens, and a Redis that stops.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { VERSIONS, closeAll, connect } from "./support/clients.mjs";
import { GREETING, reading, receivedBy } from "./support/feeds.mjs";
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
    test(`client ${version}: any client can read, over every transport, and gets a greeting first, then updates of clients and backends`, async () => {
      const api = new Api(cluster, 1);
      const writer = await reading(cluster.urls[0], { version, token: admin.token });
      for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
        const readers = await onEach({ version, transports });
        const data = { id: 7, via: transports.join() };
        assert.deepEqual(await writer.ask("updateProduct", data), { status: "ok" });
        assert.equal((await api.post("/feeds/productos", { type: "DELETE", data: { id: 7 } })).status, 202);
        for (const reader of readers) {
          const { createdAt, ...deleted } = await reader.waitFor("updates", ({ type }) => type === "DELETE");
          assert.deepEqual(deleted, { entity: "PRODUCTOS", type: "DELETE", data: { id: 7 } });
          assert.match(createdAt, TIMESTAMP);
          const updated = { message: UPDATED, data };
          assert.deepEqual(receivedBy(reader), [["connection", GREETING], ["updates", updated], ["updates", { createdAt, ...deleted }]]);
        }
        for (const reader of readers) reader.close();
      }
    });
  }

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
    await reader.waitFor("updates");
    assert.deepEqual(receivedBy(reader), [["connection", GREETING], ["updates", { message: UPDATED, data: { id: 1 } }]]);
    const other = connect(program.url, { namespace: "/ws/v1/pedidos" });
    assert.equal(await other.refused(), "invalid_namespace");
  });
});
