// Settings that clients notice: the path of Socket.IO, compression, and limits that are switched off.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";

import { TRANSPORTS, VERSIONS, closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { startTrusting } from "./support/standalone.mjs";
import { inParallel } from "./support/until.mjs";
import { closeWires, openWire } from "./support/wire.mjs";
import { ROOT } from "./support/xtask.mjs";

/** Expects a start to fail because of the value of that setting, not of its name. */
async function refusedAtStart(key, started) {
  const error = await started.then((program) => program.stop().then(() => assert.fail("it started")), (error) => error);
  assert.ok(error.message.includes(`\`${key}\``), error.message);
  assert.doesNotMatch(error.message, /unknown setting|no setting/i);
}

describe("socket.path", OWN, () => {
  for (const [setting, path] of [["/my/path/", "/my/path/"], ["/other", "/other/"]]) {
    test(`${setting}: stock clients are served at this path only`, async () => {
      const program = await startTrusting({ set: { "socket.path": setting, "session.policy": "multi" } });
      try {
        for (const version of Object.keys(VERSIONS)) {
          for (const options of Object.values(TRANSPORTS)) {
            const client = await signedIn(program.url, program.user(), { version, path, ...options });
            await client.upgraded();
            assert.equal(await client.ask("echo", "there"), "there");
            client.close();
          }
        }
        const slashless = await signedIn(program.url, program.user(), { path: path.slice(0, -1), addTrailingSlash: false, transports: ["polling"] });
        assert.equal(await slashless.ask("echo", "there"), "there");

        assert.match(await (await fetch(`${program.url}${path}socket.io.js`)).text(), /Socket\.IO v4/);
        const wrong = ["/socket.io/?EIO=4&transport=polling", "/socket.io/socket.io.js", `${path}nothing`, `/x${path}?EIO=4&transport=polling`];
        for (const elsewhere of wrong) assert.equal((await fetch(program.url + elsewhere)).status, 404, elsewhere);
        const client = connect(program.url, { token: program.user().token, reconnection: false });
        await assert.rejects(client.ready(1000), /websocket error/);
      } finally {
        closeAll();
        await program.stop();
      }
    });
  }

  for (const setting of ["no-slash", "/with space/", "/query?x=1", "/"]) {
    test(`${JSON.stringify(setting)} is refused at startup, by name`, async () => {
      await refusedAtStart("socket.path", startTrusting({ set: { "socket.path": setting } }));
    });
  }
});

describe("limits.compression", OWN, () => {
  let program, never;
  before(async () => {
    program = await startTrusting();
    never = await startTrusting({ set: { "limits.compression": 0 } });
  });
  after(async () => {
    await program?.stop();
    await never?.stop();
  });
  afterEach(() => {
    closeAll();
    closeWires();
  });

  /** The poll with the acknowledgement of an echo of so many characters: its headers, bytes as received, and text. */
  async function polled({ url, user }, characters, acceptEncoding) {
    const handshake = `${url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(handshake)).text()).slice(1));
    const ask = (method, body) => new Promise((resolve, reject) => {
      const headers = { "content-type": "text/plain", ...(acceptEncoding && { "accept-encoding": acceptEncoding }) };
      const call = request(`${handshake}&sid=${sid}`, { method, headers, timeout: 5000 }, async (answer) => {
        resolve({ headers: answer.headers, bytes: Buffer.concat(await answer.toArray()) });
      });
      call.on("error", reject).on("timeout", () => call.destroy(new Error("no answer"))).end(body);
    });
    const text = ({ headers, bytes }) => (headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes).toString();
    const poll = async (wanted) => {
      for (;;) {
        const answer = await ask("GET");
        if (text(answer).includes(wanted)) return { ...answer, text: text(answer) };
      }
    };
    await ask("POST", `40${JSON.stringify({ token: user().token })}`);
    await poll('40{"sid"');
    await ask("POST", `421["echo","${"x".repeat(characters)}"]`);
    return poll("431[");
  }
  const plain = (characters) => `431["${"x".repeat(characters)}"]`;

  for (const accepted of ["gzip", "gzip, deflate, br", "br;q=1.0, gzip;q=0.5"]) {
    test(`a long poll is compressed for a client that accepts ${accepted}`, async () => {
      const { headers, bytes, text } = await polled(program, 20_000, accepted);
      assert.equal(headers["content-encoding"], "gzip");
      assert.match(headers.vary ?? "", /accept-encoding/i);
      assert.match(headers["content-type"], /^text\/plain/);
      assert.ok(bytes.length < 2000, `${bytes.length} bytes`);
      assert.ok(text.includes(plain(20_000)));
    });
  }

  for (const [why, from, characters, accepted] of [
    ["it is short", () => program, 300, "gzip"],
    ["the client accepts none", () => program, 20_000, undefined],
    ["the client accepts others", () => program, 20_000, "br, deflate"],
    ["the client refuses it", () => program, 20_000, "gzip;q=0, identity"],
    ["limits.compression is 0", () => never, 20_000, "gzip"],
  ]) {
    test(`a poll is not compressed if ${why}`, async () => {
      const { headers, text } = await polled(from(), characters, accepted);
      assert.equal(headers["content-encoding"], undefined);
      assert.ok(text.includes(plain(characters)));
    });
  }

  test("clients that accept compression receive events unchanged, binary parts too", async () => {
    for (const version of Object.keys(VERSIONS)) {
      // In Node the stock client does not ask for compression by itself, and could not read a compressed answer.
      const client = await signedIn(program.url, program.user(), { version, transports: ["polling"] });
      const sent = { text: "ñ 👋".repeat(2000), part: Buffer.alloc(5000, "x") };
      const { text, part } = await client.ask("echo", sent);
      assert.equal(text, sent.text);
      assert.deepEqual(Buffer.from(part), sent.part);
    }
    const wire = await (await openWire(program.url, { transport: "polling" })).join(program.user().token);
    await wire.send(`451-1["echo",{"_placeholder":true,"num":0},"${"y".repeat(5000)}"]`, `b${Buffer.alloc(5000, "z").toString("base64")}`);
    await wire.until("its part", (packet) => packet === `b${Buffer.alloc(5000, "z").toString("base64")}`);
  });
});

describe("a limit of 0", { ...OWN, concurrency: 2 }, async () => {
  const page = await readFile(join(ROOT, "docs/configuration.md"), "utf8");
  const [, table] = page.match(/<!-- settings:gateway -->\n([^]*?)\n<!-- \/settings:gateway -->/);
  const limits = [...table.matchAll(/^\| `(limits\.\w+)` \| `\w+` \| `([^`]*)`/gm)].map(([, key, value]) => ({ key, value }));

  after(closeAll);

  test("the documentation's table has them", () => {
    assert.ok(["limits.message", "limits.inbox", "limits.queue", "limits.eventBurst"].every((key) => limits.some((one) => one.key === key)));
  });

  for (const { key, value } of limits) {
    const none = /[a-z]$/.test(value) ? "0s" : "0";
    test(`${key}=${none} means no limit, or is refused at startup, by name`, async () => {
      const started = startTrusting({ set: { [key]: none, "session.policy": "multi" } });
      const program = await started.catch(() => undefined);
      if (program === undefined) return refusedAtStart(key, started);
      try {
        for (const options of Object.values(TRANSPORTS)) {
          const client = await signedIn(program.url, program.user(), options);
          await client.upgraded();
          const sent = Array.from({ length: 30 }, (_, index) => `${index} ${"x".repeat(1000)}`);
          assert.deepEqual(await inParallel(sent, sent.length, (text) => client.ask("echo", text)), sent);
          const large = "x".repeat(50_000);
          assert.equal(await client.ask("echo", large), large);
          assert.equal((await client.ask("join-room", "room")).status, "ok");
          assert.equal((await client.ask("send-message", { room: "room", content: "x" })).status, "ok");
          assert.equal((await client.ask("private-message", { to: "x", content: "x" })).status, "ok");
          assert.equal((await client.ask("message-client", { message: "x" })).status, "ok");
          client.close();
        }
      } finally {
        await program.stop();
      }
    });
  }
});
