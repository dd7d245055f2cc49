// Redis over TLS, as managed services offer it: with a client certificate, a user, and a name that is not its address.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll } from "./support/clients.mjs";
import { PASSWORD, startTlsRedis, USER } from "./support/redis-tls.mjs";
import { complete, done, join, newRoom, onEachNode, sendMany, startRooms } from "./support/rooms.mjs";
import { startStandalone } from "./support/standalone.mjs";
import { ifReachable, until } from "./support/until.mjs";

const RIGHT_AGAIN_MS = 10_000;
const NOTICED_MS = 10_000;

describe("Redis over TLS", () => {
  let redis;
  before(async () => {
    redis = await startTlsRedis();
  });
  after(() => redis?.stop());

  describe("a cluster of two", () => {
    let cluster;
    before(async () => {
      cluster = await startRooms({ nodes: 2, set: redis.settings });
      await cluster.allReadinessIs(200, RIGHT_AGAIN_MS);
    });
    after(() => cluster?.stop());
    afterEach(closeAll);

    test("messages pass from node to node, with a Redis user that has only the permissions in README", async () => {
      const room = newRoom();
      const members = await onEachNode(cluster);
      for (const member of members) await join(member, room);
      const sent = await sendMany(members, room, 20);
      for (const member of members) await complete(member, room, sent.toSorted());
      await done(members[0], "message", { content: "not stored", room });
      await until("messages that are not stored pass, too", () => members[1].last("message")?.message === "not stored");
      const { members: count } = await done(members[0], "join-room", room);
      assert.equal(count, 2);

      const clients = (await redis.ask("CLIENT LIST")).split("\n").filter((line) => line.includes(`user=${USER}`));
      const subscribers = clients.filter((line) => / sub=[1-9]/.test(line));
      assert.equal(subscribers.length, 2, "one subscriber for each node");
      assert.ok(clients.length > subscribers.length);
      assert.match(await redis.ask("ACL LOG"), /^\*0/, "nothing was refused");
    });

    for (const type of ["normal", "pubsub"]) {
      test(`all ${type} connections are closed`, async () => {
        const room = newRoom();
        const members = await onEachNode(cluster);
        for (const member of members) await join(member, room);
        const before = await sendMany(members, room, 5);
        assert.match(await redis.ask(`CLIENT KILL TYPE ${type}`), /^:[1-9]/);
        const stored = [];
        for (const [index, member] of members.entries()) {
          const message = { room, content: "after", clientId: String(index) };
          const answer = () => member.ask("send-message", message).then(({ messageId }) => messageId);
          stored.push(await until("a message is stored", answer, RIGHT_AGAIN_MS));
        }
        for (const member of members) {
          await complete(member, room, [...before.toSorted(), ...stored], RIGHT_AGAIN_MS);
          assert.deepEqual(member.disconnects, []);
        }
        await cluster.allReadinessIs(200, RIGHT_AGAIN_MS);
      });
    }
  });

  const refused = {
    "an authority that is not the server's": [{ "redis.caFile": "stranger.pem" }, /TLS handshake failed: .*UnknownIssuer/],
    "a name that the certificate does not have": [{ "redis.serverName": "" }, /TLS handshake failed: .*not valid for name/],
    "no client certificate": [{ "redis.certFile": "", "redis.keyFile": "" }, /client certificate, set `redis.certFile`/],
    "a wrong password": [{ "redis.url": "wrong" }, /Redis refuses the user and password of `redis.url`/],
  };
  for (const [name, [changes, reason]] of Object.entries(refused)) {
    test(`refused, and the reason is logged: ${name}`, async () => {
      const of = { "redis.caFile": redis.file, "redis.url": redis.url };
      const set = { ...redis.settings };
      for (const [key, value] of Object.entries(changes)) set[key] = of[key]?.(value) ?? value;
      const program = await startStandalone({ set, up: unready });
      try {
        await logged(program, reason);
        const answer = await fetch(`${program.url}/socket.io/?EIO=4&transport=polling`);
        assert.equal(answer.status, 503);
        assert.doesNotMatch(program.text(), /secret|wrong@|ERROR|panicked/);
        assert.ok(!program.text().includes(encodeURIComponent(PASSWORD)));
        const lines = program.text().split("\n").filter((line) => reason.test(line));
        assert.ok(lines.length < 5, `logged once, not at every attempt: ${lines.length}`);
      } finally {
        await program.stop();
      }
    });
  }

  const tooLittle = { "no channels": "~jackfield:* +@all", "no keys": "&jackfield:* +@all", "no scripts": "~* &* +@all -@scripting", "no hashes": "~* &* +@all -@hash" };
  for (const [name, may] of Object.entries(tooLittle)) {
    test(`a missing permission is logged: ${name}`, async () => {
      await redis.ask(`ACL SETUSER little reset on >secret ${may}`);
      const url = redis.url("").replace(/\/\/.*@/, "//little:secret@");
      const program = await startStandalone({ set: { ...redis.settings, "redis.url": url }, up: () => true });
      try {
        await logged(program, /redis refuses commands of this user: see its ACL|Redis refuses a command .*, see the ACL/);
        assert.equal((await fetch(`${program.internal}/readyz`)).status, 503);
        assert.doesNotMatch(program.text(), /secret/);
      } finally {
        await program.stop();
      }
    });
  }

  test("a password that is corrected later needs no restart", async () => {
    await redis.ask(`ACL SETUSER ${USER} >later`);
    await redis.ask(`ACL SETUSER ${USER} <later`);
    const program = await startStandalone({ set: { ...redis.settings, "redis.url": redis.url("later") }, up: unready });
    try {
      await logged(program, /Redis refuses the user and password/);
      await redis.ask(`ACL SETUSER ${USER} >later`);
      await until("it is ready", async () => (await fetch(`${program.internal}/readyz`)).status === 200, RIGHT_AGAIN_MS);
      assert.match(program.text(), /connected to redis/);
    } finally {
      await redis.ask(`ACL SETUSER ${USER} <later`);
      await program.stop();
    }
  });
});

/** Waits until the program logs it. */
function logged(program, text) {
  return until("it is logged", () => {
    assert.match(program.text(), text);
    return true;
  }, NOTICED_MS);
}

/** Whether the program is up, and without its Redis. */
async function unready({ internal }) {
  const answer = await ifReachable(fetch(`${internal}/readyz`));
  if (!answer) return false;
  const { parts } = await answer.json();
  return answer.status === 503 && parts.redis === false && parts.pubSub === false;
}
