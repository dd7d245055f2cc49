// One session per user, in the whole cluster: stock clients, and storms of logins over real nodes and a real Redis. Its
// other behaviour is tested in `gateway/tests/it/sessions.rs`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, connect, listed, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { here } from "./support/pace.mjs";
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
    cluster = await startCluster();
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

  test("a second login on another node disconnects the first one, which does not reconnect", async () => {
    for (const [index, transports] of [["websocket"], ["polling"]].entries()) {
      const first = await signedIn(cluster.urls[0], users[index], { transports });
      const second = await signedIn(cluster.urls[1], { token: await login(cluster, users[index]) }, { transports });
      assert.equal(await first.disconnected(here(REPLACED_MS)), "io server disconnect");
      assertReplaced(first);
      assert.equal((await second.ask("message", "I am the one")).status, "ok");
    }
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
