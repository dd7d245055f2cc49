// One call for many users: all of them get it, and it costs no round trip for each.
//
// MANY_USERS is their number; 10,000 takes a minute and a gigabyte.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { here } from "./support/pace.mjs";
import { startRooms } from "./support/rooms.mjs";
import { until } from "./support/until.mjs";
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const MANY = Number(process.env.MANY_USERS ?? 600);
const AT_ONCE = 100;

describe(`${MANY} users on three nodes`, OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ set: { "roster.max": 10 } });
  });
  after(async () => {
    closeAll();
    await cluster?.stop();
  });

  async function commands() {
    const { stdout } = await promisify(execFile)("redis-cli", ["-u", cluster.redis.url, "info", "commandstats"]);
    const calls = [...stdout.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(([, name, count]) => [name, Number(count)]);
    return Object.fromEntries(calls);
  }

  test("one emit to all of them by id reaches each once", async (t) => {
    const users = Array.from({ length: MANY }, () => cluster.user());
    const clients = [];
    for (let start = 0; start < MANY; start += AT_ONCE) {
      const batch = users.slice(start, start + AT_ONCE);
      const options = { transports: ["websocket"] };
      clients.push(...await Promise.all(batch.map((user, n) => signedIn(cluster.urls[n % 3], user, options))));
    }
    const [api] = [0].map((node) => new Api(cluster, node));
    const userIds = users.map(({ id }) => id);
    for (const [what, path, body, event] of [
      ["emit", "/emit", { event: "for-many", data: { n: 1 }, to: { users: userIds } }, "for-many"],
      ["notifications", "/users/notifications", { userIds, title: "t", message: "m", type: "info" }, "notification:new"],
    ]) {
      const before = await commands();
      const begun = Date.now();
      const answer = await api.post(path, body);
      const answered = Date.now() - begun;
      assert.equal(answer.body.delivered, MANY, JSON.stringify(answer.body));
      await until("all have it", () => clients.every((client) => client.all(event).length === 1), here(20_000));
      const took = Date.now() - begun;
      const after = await commands();
      const used = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]);
      const most = used.filter(([, count]) => count > 0).sort(([, a], [, b]) => b - a).slice(0, 8);
      t.diagnostic(`${what}: ${MANY} users, answered in ${answered} ms, all delivered in ${took} ms; Redis commands: ${
        most.map(([name, count]) => `${name} ${count}`).join(", ")}`);
      // Each round trip loads its script first.
      const { publish, "script|load": roundTrips } = Object.fromEntries(used);
      assert.ok(roundTrips <= Math.ceil(MANY / 100), `${roundTrips} round trips`);
      assert.ok(publish < MANY * 1.2, `${publish} PUBLISH, one for each user on one node`);
    }
  });
});
