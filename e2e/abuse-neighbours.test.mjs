// One user takes little from the others: all connections of a user share one budget of events, a smaller one applies to
// events that go to many or to one person, and old messages are read once.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { fanOut } from "./abuse/fan-out.mjs";
import { freshBursts } from "./abuse/fresh-bursts.mjs";
import { fillRoom, oldJoins } from "./abuse/old-joins.mjs";
import { privateBurst } from "./abuse/private-burst.mjs";
import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { growth, startNode } from "./support/node.mjs";
import { redisNumber } from "./support/redis.mjs";
import { done, roomMessages } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** Attackers come from another address. */
const from = "127.0.0.2";
const MB = 1e6;
const attacked = (seconds) => AbortSignal.timeout(seconds * 1000);

describe("one user beside others", OWN, () => {
  let node;
  before(async () => {
    node = await startNode();
  });
  after(() => node?.stop());
  afterEach(closeAll);

  /** Clients of other users, one each. */
  const honest = (number) => Promise.all(node.users(number).map((user) => signedIn(node.url, user)));

  function undisturbed(clients) {
    for (const client of clients) assert.deepEqual([client.connected, client.disconnects], [true, []]);
  }

  test("`message-client` has the length of `message`", async () => {
    const [client] = await honest(1);
    assert.equal((await client.ask("message-client", { message: "x".repeat(1000) })).status, "ok");
    const long = await client.ask("message-client", { message: "x".repeat(1001) });
    assert.equal(long.code, "validation_failed", JSON.stringify(long));
    // The limit counts characters, not bytes or halves of a surrogate pair.
    assert.equal((await client.ask("message-client", { message: "🙂".repeat(1000) })).status, "ok");
  });

  test("a burst of broadcasts is mostly refused, and closes no other connection", async () => {
    const clients = await honest(5);
    const begun = Date.now();
    const attack = { url: node.url, users: node.users(2), from, events: 300, signal: attacked(60) };
    const counts = await fanOut({ ...attack, size: 1000 });
    const seconds = (Date.now() - begun) / 1000;
    // Each of two users: 20 at once, and 5 a second.
    const most = 2 * (20 + 5 * seconds + 1);
    assert.ok(counts.ok >= 20 && counts.ok <= most, `${counts.ok} of at most ${most}: ${JSON.stringify(counts)}`);
    assert.ok(counts.rate_limited > 0, JSON.stringify(counts));
    for (const client of clients) {
      assert.equal(await client.ask("echo", "earlier messages are in the page"), "earlier messages are in the page");
      assert.ok(client.all("message-server").length <= most, `${client.all("message-server").length} came`);
    }
    undisturbed(clients);
  });

  test("long broadcasts over new connections close no other connection", async () => {
    const clients = await honest(5);
    const counts = await fanOut({ url: node.url, users: node.users(2), from, events: 300, signal: attacked(60) });
    assert.equal(counts.ok, undefined, JSON.stringify(counts));
    for (const client of clients) assert.equal(await client.ask("echo", "still here"), "still here");
    undisturbed(clients);
  });

  test("bursts of private messages do not end a polling session", async () => {
    const counts = await privateBurst({ url: node.url, users: node.users(5), from, signal: attacked(60) });
    assert.equal(counts.victimLost, 0, JSON.stringify(counts));
    assert.ok(counts.victimReceived > 0, JSON.stringify(counts));
  });

  test("bursts of private messages do not block those of another sender", async () => {
    const [victim, friend] = await honest(2);
    const to = JSON.parse(Buffer.from(victim.socket.auth.token.split(".")[1], "base64url")).sub;
    const users = [{ id: to, token: victim.socket.auth.token }, ...node.users(4)];
    const attack = privateBurst({ url: node.url, users, from, events: 300, signal: attacked(60) });
    await until("it has begun", () => victim.all("private-message").length > 20);
    assert.equal((await friend.ask("private-message", { to, content: "of a friend" })).status, "ok");
    await victim.waitFor("private-message", ({ content }) => content === "of a friend");
    await attack;
    undisturbed([victim, friend]);
  });
});

describe("events of one user", OWN, () => {
  let node;
  before(async () => {
    node = await startNode({ set: { "limits.eventRate": 10, "limits.eventBurst": 100 } });
  });
  after(() => node?.stop());
  afterEach(closeAll);

  // The 90 events of the first connection pass, and in all no more than the burst and its refill.
  test("a new connection has no new burst", async () => {
    const begun = Date.now();
    const users = node.users(2);
    const counts = await freshBursts({ url: node.url, users, from, connections: 4, events: 90, signal: attacked(60) });
    const most = 100 + (10 * (Date.now() - begun)) / 1000 + 1;
    assert.ok(counts.ok >= 90 && counts.ok <= most, `${counts.ok} of at most ${most}: ${JSON.stringify(counts)}`);
    // The budget is this user's alone.
    const other = await freshBursts({ url: node.url, users: users.slice(1), from, connections: 1, events: 90 });
    assert.equal(other.ok, 90, JSON.stringify(other));
  });

  test("two connections at a time share one burst", async () => {
    const begun = Date.now();
    const users = node.users(1);
    const attack = { url: node.url, users, from, events: 90, signal: attacked(60) };
    const counts = await freshBursts({ ...attack, width: 3, connections: 1 });
    const most = 100 + (10 * (Date.now() - begun)) / 1000 + 1;
    assert.ok(counts.ok >= 90 && counts.ok <= most, `${counts.ok} of at most ${most}: ${JSON.stringify(counts)}`);
  });
});

describe("a room of long messages", OWN, () => {
  const MESSAGES = 300;
  /** Bytes of one message, as JSON: a thousand times `\u0001`, and the fields around it. */
  const EACH = 6200;
  let node, kept;
  before(async () => {
    node = await startNode();
    kept = await fillRoom(new Api(node), { messages: MESSAGES });
  });
  after(() => node?.stop());
  afterEach(closeAll);

  test("a member that was away gets all of them, in pages of bounded size", async () => {
    const client = await signedIn(node.url, node.user());
    assert.equal((await done(client, "join-room", kept)).recovered, true);
    assert.equal(roomMessages(client, kept.room).length, MESSAGES - 1);
    const counts = await oldJoins({ url: node.url, users: node.users(1), from, ...kept, joins: 1 });
    assert.ok(counts.received > MESSAGES * 6000, JSON.stringify(counts));
    assert.ok(counts.longest < 300_000, `${counts.longest} bytes in one message`);
  });

  test("repeated joins do not get them repeatedly", async () => {
    const read = () => redisNumber(node, "stats", "total_net_output_bytes");
    const [most, before] = [2.5 * MESSAGES * EACH, await read()];
    const counts = await oldJoins({ url: node.url, users: node.users(1), from, ...kept, joins: 30, signal: attacked(60) });
    assert.ok(counts.received < most, `${counts.received / MB} MB: ${JSON.stringify(counts)}`);
    assert.ok(await read() - before < most, `${(await read() - before) / MB} MB were read from Redis`);
  });

  test("unread answers to joins cost no more than a queue", async () => {
    const attack = { url: node.url, users: node.users(3), from, ...kept, width: 3, joins: 30, read: false };
    const { result, grown } = await growth(node.pid, () => oldJoins({ ...attack, signal: attacked(10) }));
    assert.ok(grown < 3 * 2 * MB + 16 * MB, `${grown / MB} MB: ${JSON.stringify(result)}`);
  });
});
