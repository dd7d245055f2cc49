// The roster between processes: lists, a count above `roster.max`, and announcements. The rest is tested in process.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, listed, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { done, startRooms } from "./support/rooms.mjs";

describe("roster", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ set: { "presence.grace": "1s", "roster.max": 4 } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("all nodes list all sockets, announce users once, and count sockets above the maximum", async () => {
    const observers = await Promise.all(cluster.urls.map((url) => signedIn(url, cluster.user())));
    await listed(observers, observers);
    const user = cluster.user();
    const client = await signedIn(cluster.urls[2], user);
    await listed([...observers, client], [...observers, client]);
    const { online } = await done(observers[0], "presence:subscribe", { userIds: [user.id, cluster.user().id] });
    assert.deepEqual(online, [user.id]);
    client.close();
    for (const event of ["user:online", "user:offline"]) {
      for (const observer of observers) await observer.waitFor(event, ({ userId }) => userId === user.id);
    }
    await done(observers[2], "message", "the last word");
    for (const observer of observers) {
      await observer.waitFor("message");
      for (const event of ["user:online", "user:offline"]) {
        assert.equal(observer.all(event).filter(({ userId }) => userId === user.id).length, 1, event);
      }
    }

    await Promise.all([0, 1].map((node) => signedIn(cluster.urls[node], cluster.user())));
    for (const observer of observers) await observer.waitFor("clients-count", ({ count }) => count === 5);
  });
});
