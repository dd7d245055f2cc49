// Sentinel and Redis Cluster over TLS, with client certificates and users that have only the permissions in the docs.

import assert from "node:assert/strict";
import { dirname, join as path } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll } from "./support/clients.mjs";
import { complete, done, join, newRoom, onEachNode, sendMany, startRooms } from "./support/rooms.mjs";
import { startStandalone } from "./support/standalone.mjs";
import { startTopology } from "./support/topologies.mjs";
import { ifReachable, until } from "./support/until.mjs";

const RIGHT_AGAIN_MS = 10_000;
const NOTICED_MS = 10_000;
const SECRETS = /p%23ss|p#ss|secret|wrong@|administrator/;

/** Changes of settings, and the line in the log that follows. */
const REFUSED = {
  sentinel: {
    "an authority that is not the servers'": [file("redis.caFile", "stranger.pem"), /sentinel 127\.0\.0\.1:\d+: TLS handshake failed: .*UnknownIssuer/],
    "a client certificate that has expired": [file("redis.certFile", "expired-client.pem"), /TLS handshake failed: .*CertificateExpired/],
    "a wrong password of the sentinels": [replace("redis.sentinels", /sentinel-secret/g), /sentinel 127\.0\.0\.1:\d+: Redis refuses the user and password of `redis.sentinels`/],
    "a wrong password of the masters": [replace("redis.url", /p%23[^@]*/g), /name as the master: Redis refuses the user and password of `redis.url`/],
  },
  cluster: {
    "an authority that is not the servers'": [file("redis.caFile", "stranger.pem"), /TLS handshake failed: .*UnknownIssuer/],
    "a name that the certificates do not have": [() => ({ "redis.serverName": "other.example" }), /TLS handshake failed: .*not valid for name/],
    "a wrong password": [replace("redis.urls", /p%23[^@]*/g), /Redis refuses the user and password of `redis.urls`/],
  },
};

/** Commands that a Redis Cluster needs and others do not. */
const NEEDED = ["cluster|slots", "ssubscribe", "spublish", "info"];

for (const kind of Object.keys(REFUSED)) {
  describe(`${kind} over TLS`, () => {
    let redis;
    before(async () => {
      redis = await startTopology(kind);
    });
    after(() => redis?.stop());
    afterEach(closeAll);

    test("messages pass from node to node, and nothing is refused", async () => {
      const cluster = await startRooms({ nodes: 2, set: redis.settings });
      try {
        await cluster.allReadinessIs(200, RIGHT_AGAIN_MS);
        const room = newRoom();
        const members = await onEachNode(cluster);
        for (const member of members) await join(member, room);
        const sent = await sendMany(members, room, 20);
        for (const member of members) await complete(member, room, sent.toSorted());
        await done(members[0], "message", { content: "not stored", room });
        await until("messages that are not stored pass, too", () => members[1].last("message")?.message === "not stored");
        for (const answer of await redis.ask("ACL LOG")) assert.match(answer, /^\*0/, "nothing was refused");
      } finally {
        await cluster.stop();
      }
    });

    // They mostly wait.
    describe("is refused, and the reason is logged", { concurrency: 4 }, () => {
      for (const [name, [change, reason]] of Object.entries(REFUSED[kind])) {
        test(name, () => refused({ ...redis.settings, ...change(redis.settings) }, reason));
      }

      for (const command of kind === "cluster" ? NEEDED : []) {
        test(`a user without ${command}`, async () => {
          const user = command.replace("|", "-");
          await redis.ask(`ACL SETUSER ${user} reset on >secret ~* &* +@all -@admin -@dangerous +info -${command}`);
          const urls = redis.settings["redis.urls"].replace(/\/\/[^@]*@/g, `//${user}:secret@`);
          await refused({ ...redis.settings, "redis.urls": urls }, /ACL/);
        });
      }
    });
  });
}

/** Another file of the same folder. */
function file(key, name) {
  return (settings) => ({ [key]: path(dirname(settings[key]), name) });
}

/** A wrong password instead of the right one. */
function replace(key, password) {
  return (settings) => ({ [key]: settings[key].replace(password, "wrong") });
}

/** The program runs, is unready, and says why, not at every attempt and without a login. */
async function refused(set, reason) {
  const program = await startStandalone({ set, up: async ({ internal }) => Boolean(await ifReachable(fetch(`${internal}/readyz`))) });
  try {
    await until("it is logged", () => {
      assert.match(program.text(), reason);
      return true;
    }, NOTICED_MS);
    assert.equal((await fetch(`${program.internal}/readyz`)).status, 503);
    assert.doesNotMatch(program.text(), /ERROR|panicked/);
    assert.doesNotMatch(program.text(), SECRETS);
    const lines = program.text().split("\n").filter((line) => reason.test(line));
    assert.ok(lines.length < 10, `each address is logged once, not at every attempt: ${lines.length}`);
  } finally {
    await program.stop();
  }
}
