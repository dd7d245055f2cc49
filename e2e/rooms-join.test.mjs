// Joining rooms over real nodes and a real Redis: neither gaps nor duplicates while others send. All other behaviour is
// tested in `gateway/tests/it/rooms_join.rs`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import {
  complete, done, history, ids, join, newRoom, onEachNode, roomMessages, sendMany, sendOn, startRooms,
} from "./support/rooms.mjs";
import { until } from "./support/until.mjs";

describe("joining a room", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms();
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("the newest 50 messages, then live ones, and the history, on /chat", async () => {
    const [sender, ...others] = await onEachNode(cluster, { namespace: "/chat" });
    const room = newRoom();
    await join(sender, room);
    const sent = await sendMany([sender], room, 60);
    for (const [index, other] of others.entries()) {
      const { recent, position, members } = await join(other, room);
      assert.deepEqual(ids(recent), sent.slice(-50));
      assert.equal(position, recent.at(-1).id);
      assert.equal(members, index + 2);
    }
    sent.push(...await sendMany([sender], room, 5));
    await complete(sender, room, sent);
    for (const other of others) {
      await complete(other, room, sent.slice(-55));
      assert.deepEqual(await history(other, room), roomMessages(sender, room));
    }
  });

  test("a join while others send at full speed: pages and live messages have neither gap nor duplicate", async () => {
    const senders = await onEachNode(cluster);
    const room = newRoom();
    for (const sender of senders) await join(sender, room);
    const load = sendOn(senders, room);
    await live(senders[0], 100);
    const joiners = await Promise.all(Array.from({ length: 12 }, async (_, index) => {
      const client = await signedIn(cluster.urls[index % 3], cluster.user());
      const answer = await join(client, room);
      assert.ok(answer.recent.length <= 50);
      assert.ok(answer.recent.every(({ id }) => id <= answer.position));
      await live(client, 50);
      assert.ok(client.all("new-message")[0].id > answer.position, "messages after the position are live");
      return client;
    }));
    await load.stop();
    const log = [...load.acked].sort();
    for (const sender of senders) await complete(sender, room, log);
    for (const joiner of joiners) await complete(joiner, room, log.slice(log.indexOf(roomMessages(joiner, room)[0].id)));
  });

  test("leaving and rejoining with the last received message, while others send at full speed", async () => {
    const room = newRoom();
    // The last node has no other member: when its traveller leaves, the node leaves the room, too.
    const senders = await Promise.all(cluster.urls.slice(0, 2).map((url) => signedIn(url, cluster.user())));
    for (const sender of senders) await join(sender, room);
    const load = sendOn(senders, room);
    const travellers = await Promise.all([1, 2].map((node) => signedIn(cluster.urls[node], cluster.user())));
    await Promise.all(travellers.map(async (client) => {
      await join(client, room);
      for (let round = 0; round < 20; round++) {
        await live(client, client.all("new-message").length + 10);
        await done(client, "leave-room", room);
        const seen = roomMessages(client, room).at(-1).id;
        const answer = await join(client, room, seen);
        assert.equal(answer.recovered, true);
        if (answer.recent.length > 0) assert.ok(answer.recent[0].id > seen);
      }
    }));
    await load.stop();
    const log = [...load.acked].sort();
    for (const sender of senders) await complete(sender, room, log);
    for (const client of travellers) await complete(client, room, log.slice(log.indexOf(roomMessages(client, room)[0].id)));
  });
});

/** Waits until a client has received so many live messages. */
function live(client, count) {
  return until(`${count} live messages`, () => client.all("new-message").length >= count);
}
