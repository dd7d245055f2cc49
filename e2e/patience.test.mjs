// Clients that were refused: for a flood of events, and at connect. They stay away.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { VERSIONS, alsoIn, closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { startTrusting } from "./support/standalone.mjs";
import { until } from "./support/until.mjs";
import { closeWires, openWire } from "./support/wire.mjs";

describe("a client that does not wait for retryAfterMs", OWN, () => {
  const [RATE, BURST, STRIKES] = [100, 20, 100];
  let program;
  before(async () => {
    const set = { "limits.eventRate": RATE, "limits.eventBurst": BURST, "limits.floodStrikes": STRIKES };
    program = await startTrusting({ set });
  });
  after(() => program?.stop());
  afterEach(closeAll);

  test("is disconnected for good", async () => {
    const client = await signedIn(program.url, program.user());
    for (let index = 0; index < BURST + 10 * STRIKES; index++) client.send("echo", index);
    assert.equal(await client.disconnected(), "io server disconnect");
    assert.equal(client.willReconnect, false);
  });
});

describe("a client that was refused", OWN, () => {
  /** After this time the server closes connections that are in no namespace, which older clients took for lost ones. */
  const CONNECT_TIMEOUT_MS = 1000;
  let program;
  before(async () => {
    program = await startTrusting({ set: { "limits.connectTimeout": `${CONNECT_TIMEOUT_MS}ms`, "session.policy": "multi" } });
  });
  after(() => program?.stop());
  afterEach(() => {
    closeAll();
    closeWires();
  });

  /** Waits until a new connection in no namespace is closed; then until clients that lost their connection are back. */
  async function longEnough() {
    const witness = await openWire(program.url);
    await witness.closed(10 * CONNECT_TIMEOUT_MS);
    for (const version of Object.keys(VERSIONS)) {
      const client = await signedIn(program.url, program.user(), { version });
      client.socket.io.engine.close();
      await until("back", () => client.connects === 2);
      client.close();
    }
  }

  for (const transports of [["websocket"], ["polling"]]) {
    test(`${transports}: does not reconnect, in any version`, async () => {
      const clients = Object.keys(VERSIONS).map((version) => connect(program.url, { token: "garbage", version, transports }));
      const attempts = clients.map(() => 0);
      for (const [index, client] of clients.entries()) client.socket.io.on("reconnect_attempt", () => attempts[index]++);
      for (const client of clients) assert.equal(await client.refused(), "invalid_token");
      await longEnough();
      for (const [index, client] of clients.entries()) {
        const name = Object.keys(VERSIONS)[index];
        assert.deepEqual(client.errors.map(({ message }) => message), ["invalid_token"], name);
        assert.equal(attempts[index], 0, name);
        assert.equal(client.openedOn.length, 1, name);
        assert.equal(client.connects, 0, name);
        assert.deepEqual(client.events, [], name);
        assert.equal(client.willReconnect, false, name);
      }
    });
  }

  for (const version of Object.keys(VERSIONS)) {
    test(`client ${version}: its other namespaces on the same connection are not affected`, async () => {
      const user = program.user();
      const client = await signedIn(program.url, user, { version });
      const [chat, nowhere] = [alsoIn(client, "/chat", "garbage"), alsoIn(client, "/nowhere", user.token)];
      assert.equal(await chat.refused(), "invalid_token");
      assert.equal(await nowhere.refused(), "invalid_namespace");
      await longEnough();
      for (const refused of [chat, nowhere]) {
        assert.equal(refused.errors.length, 1);
        assert.equal(refused.connects, 0);
      }
      assert.equal(await client.ask("echo", "still here"), "still here");
      assert.deepEqual([client.connects, client.disconnects], [1, []]);
    });
  }

  for (const version of Object.keys(VERSIONS)) {
    for (const [where, beside] of [["alone", false], ["beside another namespace", true]]) {
      test(`client ${version}, ${where}: retries at once with a valid token, as Socket.IO's documentation says, and is accepted`, async () => {
        const user = program.user();
        const namespace = beside ? "/chat" : "/";
        const client = beside
          ? alsoIn(await signedIn(program.url, user, { version }), namespace, "garbage")
          : connect(program.url, { token: "garbage", version });
        client.socket.on("connect_error", () => {
          client.socket.auth = { token: user.token };
          client.socket.connect();
        });
        await client.waitFor("authenticated");
        await longEnough();
        assert.equal(await client.ask("echo", "accepted"), "accepted");
        assert.deepEqual(client.errors.map(({ message }) => message), ["invalid_token"]);
        assert.deepEqual([client.connects, client.disconnects], [1, []]);
      });
    }
  }

  test("receives two packets: the refusal, and before its connection is closed a DISCONNECT, of its own namespace", async () => {
    for (const [namespace, token, code] of [["/", "garbage", "invalid_token"], ["/chat", undefined, "missing_token"], ["/nowhere", "x", "invalid_namespace"]]) {
      const prefix = namespace === "/" ? "" : `${namespace},`;
      const wire = await openWire(program.url);
      await wire.send(`40${prefix}${JSON.stringify({ token })}`);
      await wire.until("DISCONNECT", (packet) => packet === `41${prefix}`);
      assert.deepEqual(wire.packets.slice(1, 3), [`44${prefix}${JSON.stringify({ message: code })}`, `41${prefix}`]);
    }
  });
});
