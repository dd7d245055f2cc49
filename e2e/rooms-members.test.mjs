// Members of a room, where it takes real nodes and a real Redis. All other behaviour is tested in
// `gateway/tests/it/rooms_members.rs`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { grace, here } from "./support/pace.mjs";
import { done, join, newRoom, refused, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

/** Enough time to reconnect within it, on a busy machine too. */
const GRACE_MS = grace(2000);
/** Lease, then the grace, and a little. */
const GONE_MS = 15_000;

describe("members of a room", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({
      set: {
        "session.policy": "multi",
        "presence.grace": `${GRACE_MS}ms`,
        "rooms.rules": "staff:*;join=ADMIN",
      },
    });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const at = (node, user, options) => signedIn(cluster.urls[node], user, options);
  const shown = ({ id, fullName }) => ({ userId: id, name: fullName });
  const sorted = (users) => users.map(shown).sort((a, b) => (a.userId < b.userId ? -1 : 1));

  /** Waits until the room has exactly these members, as answered to `client`. */
  async function membersAre(client, room, users) {
    await until(`${users.length} members`, async () => {
      const answer = await done(client, "room-members", { room });
      if (answer.count !== users.length) throw new NotYet(JSON.stringify(answer));
      return true;
    });
    const answer = await done(client, "room-members", { room });
    answer.members.sort((a, b) => (a.userId < b.userId ? -1 : 1));
    assert.deepEqual(answer, { status: "ok", room, count: users.length, members: sorted(users) });
  }

  test("members are announced when they join and when they leave, and are listed", async () => {
    const [bob, ana] = [cluster.user(), cluster.user({ name: "Ana \"A\" Ñandú" })];
    const room = newRoom();
    const observer = await at(0, bob);
    assert.equal((await join(observer, room)).members, 1);
    const client = await at(1, ana);
    assert.equal((await join(client, room)).members, 2);
    assert.deepEqual(await observer.waitFor("user-joined"), { ...shown(ana), room });
    await membersAre(observer, room, [ana, bob]);
    assert.deepEqual(await done(client, "leave-room", room), { status: "ok", room });
    assert.deepEqual(await observer.waitFor("user-left"), { ...shown(ana), room });
    await membersAre(observer, room, [bob]);
    await refused(client, "join-room", newRoom("staff:"), "forbidden");
  });

  test("a user that leaves and rejoins at once is a member", async () => {
    const [bob, ana, kim, eve] = [cluster.user(), cluster.user(), cluster.user(), cluster.user()];
    const room = newRoom();
    const observer = await at(0, bob);
    await join(observer, room);
    const [inTurn, inOneGo] = [await at(1, ana), await at(2, kim)];
    for (const client of [inTurn, inOneGo]) await join(client, room);
    for (let round = 0; round < 10; round++) {
      await done(inTurn, "leave-room", room);
      await join(inTurn, room);
      const answers = await Promise.all([inOneGo.ask("leave-room", room), inOneGo.ask("join-room", room)]);
      assert.deepEqual(answers.map(({ status }) => status), ["ok", "ok"]);
    }
    // Eve is announced after the grace: any earlier false announcement would have arrived by then.
    const witness = await at(0, eve);
    await join(witness, room);
    witness.close();
    await observer.waitFor("user-left", ({ userId }) => userId === eve.id);
    await membersAre(observer, room, [ana, bob, kim]);
    for (const { id } of [ana, kim]) {
      assert.equal(observer.all("user-joined").filter(({ userId }) => userId === id).length, 11);
      assert.equal(observer.all("user-left").filter(({ userId }) => userId === id).length, 10);
    }
  });

  test("a killed gateway: users that stay away are announced once and are no members any more; users that return are not announced", async () => {
    const [bob, ...users] = Array.from({ length: 4 }, () => cluster.user());
    const room = newRoom();
    const observer = await at(0, bob);
    await join(observer, room);
    const clients = await Promise.all(users.map((user) => at(2, user, { reconnection: false })));
    for (const client of clients) await join(client, room);
    const gateway = cluster.gateway("gw3");
    const killed = Date.now();
    cluster.signal(gateway, "SIGKILL");
    const back = await at(1, users[0]);
    await join(back, room);
    const rest = () => here(GONE_MS) - (Date.now() - killed);
    for (const { id } of users.slice(1)) await observer.waitFor("user-left", ({ userId }) => userId === id, rest());
    await membersAre(back, room, [bob, users[0]]);

    // One more user leaves, and is announced after the grace: any false announcement would have arrived by then.
    const witness = await at(1, users[2]);
    await join(witness, room);
    witness.close();
    await until("the last one", () => observer.all("user-left").length === 3);
    const left = observer.all("user-left").map(({ userId }) => users.findIndex(({ id }) => id === userId));
    assert.deepEqual([left.slice(0, 2).sort(), left[2]], [[1, 2], 2]);
    await membersAre(observer, room, [bob, users[0]]);
    await cluster.restartGateway("gw3");
    const first = await at(2, users[1]);
    assert.equal((await join(first, room)).members, 3);
  });
});
