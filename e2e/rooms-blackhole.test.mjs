// A peer whose packets vanish: its connection is not closed, and nothing is answered on it. Its rooms must see it
// leave, and it must not hold up a gateway that is to end.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { startLink } from "./support/link.mjs";
import { here } from "./support/pace.mjs";
import { complete, done, join, newRoom, sendMany, startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

/** Of the gateways that must notice it. With the defaults (25 s, 20 s, 5 s) the same sum is below the promised 60 s. */
const PING = { "ping.interval": "1s", "ping.timeout": "1s", "presence.grace": "500ms" };
/** The sum of those: until the next ping, without an answer, the grace. */
const NOTICED_MS = 2500;
/** Further delays: Redis, and the time between checks. */
const SLACK_MS = 5000;
/** The most messages in its absence. */
const MOST = 800;
/** Of the gateway that is to end. */
const DRAIN = { "drain.delay": "0s", "drain.window": "1s" };
/** The window, and the grace of 10 s for work that is still in progress then. */
const ENDED_MS = 11_000 + SLACK_MS;

describe("a black hole", () => {
  let cluster;
  const links = [];
  after(() => cluster?.stop());
  afterEach(() => {
    closeAll();
    links.splice(0).forEach((link) => link.stop());
  });

  /** A member of `room` behind a link to a gateway. */
  async function behindLink(gateway, room) {
    const link = await startLink(gateway.url);
    links.push(link);
    const user = cluster.user();
    const client = await signedIn(link.url, user, { reconnection: false });
    await join(client, room);
    return { link, user, client };
  }

  describe("with short pings", () => {
    before(async () => {
      cluster = await startRooms({ nodes: 2, set: PING });
    });
    after(() => cluster.stop().finally(() => (cluster = undefined)));

    test("a silent client leaves its rooms in time, and is announced once", async () => {
      const room = newRoom();
      const observer = await signedIn(cluster.urls[0], cluster.user());
      await join(observer, room);
      const holes = await Promise.all([0, 1, 1].map((node) => behindLink(cluster.gateways[node], room)));
      const count = async () => (await done(observer, "room-members", { room })).count;
      assert.equal(await count(), 4);
      for (const { link } of holes) link.swallow();
      const swallowed = Date.now();
      for (const { user } of holes) {
        await observer.waitFor("user-left", ({ userId }) => userId === user.id, here(NOTICED_MS + SLACK_MS));
      }
      assert.equal(await count(), 1);
      assert.ok(Date.now() - swallowed < here(NOTICED_MS + SLACK_MS));
      await until("each was announced", () => observer.all("user-left").length === holes.length);
      assert.deepEqual(observer.disconnects, [], "a client that answers stays");
    });

    test("a client with constant traffic delays no other and leaves as soon; after its return it gets the missed messages", async () => {
      const room = newRoom();
      const [sender, other] = await Promise.all(cluster.urls.map((url) => signedIn(url, cluster.user())));
      await join(sender, room);
      await join(other, room);
      const { link, user, client } = await behindLink(cluster.gateways[1], room);
      const before = await sendMany([sender], room, 5, "before");
      await complete(client, room, before);
      link.swallow();
      const gone = () => sender.all("user-left").some(({ userId }) => userId === user.id);
      const swallowed = Date.now();
      const during = [];
      while (!gone()) {
        // No more than a room keeps.
        if (during.length < MOST) during.push(...await sendMany([sender, other], room, 20, "during"));
        else await done(sender, "room-members", { room });
        assert.ok(Date.now() - swallowed < here(NOTICED_MS + SLACK_MS), "it is still there");
      }
      const log = [...before, ...during.sort()];
      for (const member of [sender, other]) await complete(member, room, log);
      const back = await signedIn(cluster.urls[0], user);
      const { recent, recovered } = await join(back, room, before.at(-1));
      assert.deepEqual([recent.map(({ id }) => id), recovered], [log.slice(5), true]);
    });
  });

  describe("that the gateway has not noticed yet", () => {
    before(async () => {
      cluster = await startRooms({ nodes: 2, set: DRAIN });
    });

    test("does not block the drain of the gateway", async () => {
      const [ending, other] = cluster.gateways;
      const room = newRoom();
      const observer = await signedIn(other.url, cluster.user());
      await join(observer, room);
      const holes = await Promise.all([0, 1, 2].map(() => behindLink(ending, room)));
      for (const { link } of holes) link.swallow();
      cluster.signal(ending, "SIGTERM");
      await until("the gateway has exited", () => !cluster.alive(ending), here(ENDED_MS));
      // It has removed them from the room.
      for (const { user } of holes) await observer.waitFor("user-left", ({ userId }) => userId === user.id);
      assert.equal((await done(observer, "room-members", { room })).count, 1);
    });
  });
});
