// The roster: lists, counts, and announcements.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, listed, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { grace } from "./support/pace.mjs";
import { done } from "./support/rooms.mjs";
import { registerMany } from "./support/users.mjs";

const sorted = (list) => [...list].sort();
/** Enough time to reconnect within it, on a busy machine too. */
const GRACE = { "presence.grace": `${grace(2000)}ms` };
/** The events that a socket receives about itself on connecting. */
const PERSONAL = ["authenticated", "notification:unread_count"];

describe("roster of a small cluster", () => {
  let cluster, users, fresh;
  before(async () => {
    cluster = await startCluster({ set: GRACE });
    users = await registerMany(cluster, 34);
    // For tests of announcements: users who were not online a moment ago, so that no grace is running for them.
    fresh = await registerMany(cluster, 6);
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("every socket of the cluster is in all lists, until it disconnects", async () => {
    const clients = await Promise.all(users.slice(0, 6).map((user, i) => signedIn(cluster.urls[i % 3], user)));
    await listed(clients, clients);
    const [first, ...rest] = clients;
    first.close();
    await listed(rest, rest);
    const back = await signedIn(cluster.urls[1], users[0]);
    await listed([...rest, back], [...rest, back]);
  });

  test("many connects are one list every 250 ms", async () => {
    const observers = await Promise.all(cluster.urls.map((url, i) => signedIn(url, users[i])));
    await listed(observers, observers);
    for (const observer of observers) observer.events.length = 0;
    const begun = Date.now();
    const crowd = await Promise.all(users.slice(3).map((user, i) => signedIn(cluster.urls[i % 3], user)));
    await listed(observers, [...observers, ...crowd]);
    const most = Math.ceil((Date.now() - begun) / 250) + 1;
    for (const observer of observers) {
      const lists = observer.all("clients-updated").length;
      assert.ok(lists <= most, `${lists} lists, at most ${most} expected for ${crowd.length} connects`);
    }
  });

  test("presence is announced once, on every node, and only in /", async () => {
    const observers = await Promise.all(cluster.urls.map((url, i) => signedIn(url, users[i])));
    const inChat = await signedIn(cluster.urls[0], users[3], { namespace: "/chat" });
    const ana = fresh[0];
    const announcements = (client, event) => client.all(event).filter((one) => one.userId === ana.id);

    const client = await signedIn(cluster.urls[2], ana);
    for (const observer of observers) {
      const online = await observer.waitFor("user:online", ({ userId }) => userId === ana.id);
      assert.deepEqual(online, { userId: ana.id, timestamp: online.timestamp });
      assert.match(online.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    client.close();
    for (const observer of observers) {
      const offline = await observer.waitFor("user:offline", ({ userId }) => userId === ana.id);
      assert.deepEqual(offline, { userId: ana.id, timestamp: offline.timestamp });
    }
    // Any other announcement of her would have arrived before this, in /chat too.
    await done(observers[2], "message", "the last word");
    for (const observer of observers) await observer.waitFor("message", ({ message }) => message === "the last word");
    await done(inChat, "message", "the last word in /chat");
    await inChat.waitFor("message");
    for (const observer of observers) {
      assert.equal(announcements(observer, "user:online").length, 1);
      assert.equal(announcements(observer, "user:offline").length, 1);
    }
    assert.deepEqual(inChat.events.map(({ name }) => name).filter((name) => !PERSONAL.includes(name)), ["message"]);
  });

  test("returning within the grace is silent, on another node too", async () => {
    const observers = await Promise.all(cluster.urls.map((url, i) => signedIn(url, users[i])));
    const [ana, bob] = fresh.slice(1, 3);
    const clients = [await signedIn(cluster.urls[0], ana), await signedIn(cluster.urls[0], bob)];
    for (const observer of observers) {
      for (const user of [ana, bob]) await observer.waitFor("user:online", ({ userId }) => userId === user.id);
    }
    clients[0].close();
    const back = await signedIn(cluster.urls[1], ana);
    // Bob leaves later than Ana did and stays away: when he is announced, her grace would be over, too.
    clients[1].close();
    for (const observer of observers) {
      await observer.waitFor("user:offline", ({ userId }) => userId === bob.id);
      assert.deepEqual(observer.all("user:offline").filter(({ userId }) => userId === ana.id), []);
      assert.equal(observer.all("user:online").filter(({ userId }) => userId === ana.id).length, 1);
    }
    assert.equal(back.connected, true);
  });

  test("presence:subscribe returns the users that are online", async () => {
    const observer = await signedIn(cluster.urls[0], users[0]);
    const [ana, bob, eve] = fresh.slice(3);
    await signedIn(cluster.urls[1], ana);
    await signedIn(cluster.urls[2], bob);
    const userIds = [ana, bob, eve].map(({ id }) => id);
    const answer = await observer.ask("presence:subscribe", { userIds });
    assert.equal(answer.status, "ok");
    assert.deepEqual(sorted(answer.online), sorted([ana.id, bob.id]));
    assert.deepEqual(await observer.ask("presence:subscribe", { userIds: [] }), { status: "ok", online: [] });

    const tooMany = Array.from({ length: 501 }, (_, index) => `user-${index}`);
    const refused = await observer.ask("presence:subscribe", { userIds: tooMany });
    assert.equal(refused.code, "validation_failed");
    assert.match(refused.message, /userIds/);
    const notAList = await observer.ask("presence:subscribe", { userIds: "all" });
    assert.equal(notAList.code, "validation_failed");
    assert.match(notAList.message, /userIds/);
  });
});

describe("roster above roster.max", () => {
  let cluster, users;
  before(async () => {
    cluster = await startCluster({ set: { ...GRACE, "roster.max": 5 } });
    users = await registerMany(cluster, 10);
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("a count instead of the list, and the list again below", async () => {
    const few = await Promise.all(users.slice(0, 4).map((user, i) => signedIn(cluster.urls[i % 3], user)));
    await listed(few, few);
    const more = await Promise.all(users.slice(4, 8).map((user, i) => signedIn(cluster.urls[i % 3], user)));
    for (const client of [...few, ...more]) await client.waitFor("clients-count", ({ count }) => count === 8);
    for (const client of few) assert.ok(client.all("clients-updated").every((list) => list.length <= 5));
    for (const client of more) client.close();
    for (const client of few) client.events.length = 0;
    await listed(few, few);
  });

  test("presence is sent only to subscribers, by their newest list", async () => {
    const crowd = await Promise.all(users.slice(0, 7).map((user, i) => signedIn(cluster.urls[i % 3], user)));
    for (const client of crowd) await client.waitFor("clients-count", ({ count }) => count === 7);
    const [watcher, former, ...others] = crowd;
    const [ana, bob] = users.slice(8);
    assert.equal((await watcher.ask("presence:subscribe", { userIds: [ana.id, bob.id] })).status, "ok");
    assert.equal((await former.ask("presence:subscribe", { userIds: [ana.id] })).status, "ok");
    assert.equal((await former.ask("presence:subscribe", { userIds: [bob.id] })).status, "ok");
    for (const client of crowd) client.events.length = 0;

    for (const user of [ana, bob]) (await signedIn(cluster.urls[2], user)).close();
    for (const event of ["user:online", "user:offline"]) {
      for (const user of [ana, bob]) await watcher.waitFor(event, ({ userId }) => userId === user.id);
      await former.waitFor(event, ({ userId }) => userId === bob.id);
      // Any announcement to the others would have arrived before this.
      await done(watcher, "message", event);
      for (const client of crowd) await client.waitFor("message", ({ message }) => message === event);
      assert.deepEqual(former.all(event).map(({ userId }) => userId), [bob.id]);
      for (const client of others) assert.deepEqual(client.all(event), []);
    }
  });
});
