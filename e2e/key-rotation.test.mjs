// The signing keys are rotated while clients sign in, renew their tokens and connect: no token is refused, and old ones
// are good until they end. ROTATIONS=5 for a long run.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { closeAll, connect } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { until } from "./support/until.mjs";
import { anotherLogin, api, register } from "./support/users.mjs";
import { ROOT } from "./support/xtask.mjs";

const ROTATIONS = Number(process.env.ROTATIONS ?? 1);
const USERS = 6;
/** A forced rotation waits for gateways that have just fetched the key set: 15 s. */
const SIGNS_MS = 40_000;
const KEYS = process.env.XTASK ? join(dirname(process.env.XTASK), "jackfield-auth") : join(ROOT, "target/debug/jackfield-auth");

const header = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url"));

describe("key rotation", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startCluster({ set: { "session.policy": "multi", "limits.userConnectRate": 0 } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const keys = async (...args) => {
    const env = { ...process.env, DATABASE_URL: cluster.postgres.url };
    return (await promisify(execFile)(KEYS, ["keys", ...args], { env })).stdout;
  };

  test(`${ROTATIONS} rotations under load: no token is refused`, async () => {
    const first = await register(cluster);
    const before = await connect(cluster.urls[0], { token: first.token }).ready();
    const users = await Promise.all(Array.from({ length: USERS }, () => register(cluster)));
    const kids = new Set(users.map(({ token }) => header(token).kid));
    let [isOver, renewed, connected] = [false, 0, 0];
    const load = users.map(async (user, index) => {
      while (!isOver) {
        const answer = await api(cluster, "POST", "/auth/refresh", { refreshToken: user.refreshToken });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        Object.assign(user, answer.body);
        kids.add(header(user.token).kid);
        const { status } = await api(cluster, "GET", "/auth/check-status", undefined, user.token);
        assert.equal(status, 200);
        renewed += 2;
        for (const url of cluster.urls) {
          const client = await connect(url, { token: user.token }).ready();
          assert.deepEqual([client.refusal, client.disconnects], [undefined, []]);
          client.close();
          connected++;
        }
        if (index === 0) assert.equal(await before.ask("echo", "still here"), "still here");
      }
    });
    const rotating = (async () => {
      for (let rotation = 1; rotation <= ROTATIONS; rotation++) {
        assert.match(await keys("rotate", "--now"), /\S/);
        await until("another key signs", () => kids.size > rotation, SIGNS_MS);
      }
      isOver = true;
    })();
    await Promise.all([rotating.finally(() => (isOver = true)), ...load]);
    console.log(`${ROTATIONS} rotations: ${renewed} tokens renewed, ${connected} connects, 0 refused`);
    assert.match(await keys("list"), /current/);

    // A token of the first key is still good, and a sign-in gets one of the last.
    await connect(cluster.urls[1], { token: first.token }).ready();
    const again = await anotherLogin(cluster, first);
    assert.notEqual(header(again.token).kid, header(first.token).kid);
    assert.deepEqual(before.disconnects, []);
  });
});
