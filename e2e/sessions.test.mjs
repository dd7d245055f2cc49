// One session per user, in the whole cluster.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { alsoIn, closeAll, connect, listed, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { grace, here } from "./support/pace.mjs";
import { NotYet, until } from "./support/until.mjs";
import { login, registerMany } from "./support/users.mjs";

/** The older session is closed within this time. */
const REPLACED_MS = 1000;
/** Rounds of the storm; more with `STORM_ROUNDS=100`. */
const ROUNDS = Number(process.env.STORM_ROUNDS ?? 20);

const pick = (list) => list[Math.floor(Math.random() * list.length)];

/** Evicted by a newer session: received the reason, then a DISCONNECT, and does not reconnect. */
function assertReplaced(client) {
  // A temporary refusal closes the transport before the namespace is joined; the client reconnects by itself.
  assert.equal(client.connects, 1);
  assert.equal(client.disconnects.at(-1), "io server disconnect");
  assert.equal(client.willReconnect, false);
  assert.equal(client.all("session:replaced").length, 1);
  assert.equal(client.events.at(-1).name, "session:replaced");
}

describe("one session per user", () => {
  let cluster, users;
  before(async () => {
    cluster = await startCluster({ set: { "presence.grace": `${grace(2000)}ms` } });
    users = await registerMany(cluster, 50);
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** Waits until exactly one client of each user is left, and until the roster shows the same. */
  async function oneEach(groups, ms) {
    const clients = groups.flat();
    await until("one connected socket for each user, and the others disconnected", () => {
      const left = groups.map((group) => group.filter((client) => client.connected).length);
      const undecided = clients.filter((client) => !client.connected && client.willReconnect);
      if (undecided.length > 0) throw new NotYet(`${undecided.length} still try: ${undecided[0].errors.at(-1)}`);
      if (left.some((count) => count !== 1)) throw new NotYet(`connected by user: ${left}`);
      return true;
    }, ms);
    const survivors = groups.map((group) => group.find((client) => client.connected));
    for (const client of clients) {
      if (survivors.includes(client)) assert.deepEqual(client.all("session:replaced"), []);
      else assertReplaced(client);
    }
    await listed(survivors, survivors);
    return survivors;
  }

  test("a second login on another node disconnects the first one", async () => {
    const [ana, bob, eve] = await registerMany(cluster, 3);
    const witness = await signedIn(cluster.urls[2], bob);
    for (const transports of [["websocket"], ["polling"]]) {
      const first = await signedIn(cluster.urls[0], ana, { transports });
      const second = await signedIn(cluster.urls[1], { token: await login(cluster, ana) }, { transports });
      assert.equal(await first.disconnected(here(REPLACED_MS)), "io server disconnect");
      assertReplaced(first);
      const { at } = first.last("session:replaced");
      assert.match(at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.equal((await second.ask("message", "I am the one")).status, "ok");
      await witness.waitFor("message", ({ sender }) => sender === second.id);
      if (transports[0] === "websocket") second.close();
    }
    // A replaced session is no absence. Eve leaves now: once she is announced, Ana would have been, too.
    (await signedIn(cluster.urls[0], eve)).close();
    await witness.waitFor("user:offline", ({ userId }) => userId === eve.id);
    assert.deepEqual(witness.all("user:offline").filter(({ userId }) => userId === ana.id), []);
  });

  test("a second login on the same node, too", async () => {
    const first = await signedIn(cluster.urls[0], users[0]);
    const second = await signedIn(cluster.urls[0], users[0]);
    assert.equal(await first.disconnected(here(REPLACED_MS)), "io server disconnect");
    assertReplaced(first);
    assert.equal(second.connected, true);
  });

  test("one client in two namespaces is one session, and is disconnected as one", async () => {
    const main = await signedIn(cluster.urls[0], users[0]);
    const chat = await alsoIn(main, "/chat", users[0].token).ready();
    assert.equal((await main.ask("message", "here")).status, "ok");
    assert.equal((await chat.ask("message", "and here")).status, "ok");
    assert.deepEqual([...main.disconnects, ...chat.disconnects], []);

    const second = await signedIn(cluster.urls[1], users[0]);
    for (const client of [main, chat]) {
      assert.equal(await client.disconnected(here(REPLACED_MS)), "io server disconnect");
      assertReplaced(client);
    }
    assert.equal(second.connected, true);
  });

  test("leaving a namespace keeps the session, leaving the last one ends it", async () => {
    const [ana, bob, eve] = await registerMany(cluster, 3);
    const witness = await signedIn(cluster.urls[2], bob);
    const main = await signedIn(cluster.urls[0], ana);
    const chat = await alsoIn(main, "/chat", ana.token).ready();
    await witness.waitFor("user:online", ({ userId }) => userId === ana.id);
    const offline = (user) => witness.all("user:offline").filter(({ userId }) => userId === user.id).length;
    const online = async () => (await witness.ask("presence:subscribe", { userIds: [ana.id] })).online.length;

    main.close();
    assert.equal((await chat.ask("message", "still here")).status, "ok");
    // Eve leaves later than Ana left `/`: once she is announced, Ana would have been, too.
    (await signedIn(cluster.urls[1], eve)).close();
    await witness.waitFor("user:offline", ({ userId }) => userId === eve.id);
    assert.deepEqual([offline(ana), await online()], [0, 1]);
    assert.deepEqual([chat.connected, chat.disconnects], [true, []]);

    chat.close();
    await witness.waitFor("user:offline", ({ userId }) => userId === ana.id);
    assert.deepEqual([offline(ana), await online()], [1, 0]);
  });

  for (const round of [1, 2, 3]) {
    test(`400 clients of 50 users at random nodes end as 50 sockets (${round} of 3)`, async () => {
      const groups = users.map(() => []);
      for (let number = 0; number < 400; number++) {
        const index = number < users.length ? number : Math.floor(Math.random() * users.length);
        const transports = Math.random() < 0.2 ? ["polling"] : ["websocket"];
        groups[index].push(connect(pick(cluster.urls), { token: users[index].token, transports }));
      }
      const survivors = await oneEach(groups, 30_000);
      // The one that is left is the last in the server's order: only a login after it can evict it.
      const next = await Promise.all(users.map((user) => signedIn(pick(cluster.urls), user)));
      for (const survivor of survivors) {
        await survivor.disconnected();
        assertReplaced(survivor);
      }
      assert.ok(next.every((client) => client.connected));
    });
  }

  test(`20 clients of one user in the same instant, ${ROUNDS} times`, async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const user = users[round % users.length];
      const group = Array.from({ length: 20 }, (_, index) =>
        connect(cluster.urls[index % 3], { token: user.token }));
      await oneEach([group], 15_000);
      closeAll();
    }
  });
});
