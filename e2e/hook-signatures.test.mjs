// The signatures of real calls, checked by the stock libraries of Standard Webhooks in Node and Python.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { Webhook } from "standardwebhooks";

import { closeAll, signedIn } from "./support/clients.mjs";
import { ownEvents, schema } from "./support/contract.mjs";
import { startNode } from "./support/node.mjs";
import { done } from "./support/rooms.mjs";
import { freePort } from "./support/standalone.mjs";
import { NotYet, until } from "./support/until.mjs";

ownEvents("order:create");

const PYTHON = process.env.PYTHON ?? "python3";
const HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const newSecret = () => `whsec_${randomBytes(32).toString("base64")}`;

/** Verifies in Python: prints `ok`, or the error. */
const IN_PYTHON = `
import json, sys
from standardwebhooks.webhooks import Webhook
for secret, body, headers in json.load(sys.stdin):
    try:
        Webhook(secret).verify(body, headers)
        print("ok")
    except Exception as error:
        print(error)
`;

/** What each library says of these calls, in order: `ok`, or its error. */
const VERIFIERS = {
  Node: (cases) => cases.map(([secret, { body, headers }]) => {
    try {
      new Webhook(secret).verify(body, headers);
      return "ok";
    } catch (error) {
      return error.message;
    }
  }),
  async Python(cases) {
    const run = promisify(execFile)(PYTHON, ["-c", IN_PYTHON]);
    run.child.stdin.end(JSON.stringify(cases.map(([secret, { body, headers }]) => [secret, body, headers])));
    return (await run).stdout.trim().split("\n");
  },
};

describe("signatures of hooks", () => {
  const [old, next] = [newSecret(), newSecret()];
  const [calls, facts] = [[], []];
  let node, server, folder, secretFile, client;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "jackfield-secret-"));
    secretFile = join(folder, "old");
    await writeFile(secretFile, `${old}\n`);
    await writeFile(join(folder, "new"), `${old}\n`);
    const port = await freePort();
    server = createServer(async (request, response) => {
      const body = (await request.toArray()).join("");
      // Those of events and connects, and those that come when they come.
      const list = JSON.parse(body).type.includes(".") ? facts : calls;
      list.push({ body, all: request.headers, headers: Object.fromEntries(HEADERS.map((name) => [name, request.headers[name]])) });
      response.writeHead(204).end();
    });
    await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
    const files = `${secretFile}+${join(folder, "new")}`;
    const hook = `shop;url=http://127.0.0.1:${port}/hook;events=order:*;connect;facts=*;secretFile=${files}`;
    node = await startNode({ set: { hooks: hook, facts: "on", "presence.grace": "300ms" } });
    client = await signedIn(node.url, node.user());
  });
  after(async () => {
    closeAll();
    await node?.stop();
    server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  /** Sends an event; returns the call that it became. */
  async function call(payload = { item: "ñ 👋" }) {
    const count = calls.length;
    await done(client, "order:create", payload);
    assert.equal(calls.length, count + 1);
    return calls.at(-1);
  }

  const changed = (one, headers, body = one.body) => ({ body, headers: { ...one.headers, ...headers } });

  for (const [library, verify] of Object.entries(VERIFIERS)) {
    test(`${library}: calls are accepted, and changed ones are refused`, async () => {
      const connect = calls.find(({ body }) => JSON.parse(body).type === "connect");
      const one = await call();
      const earlier = String(Number(one.headers["webhook-timestamp"]) - 301);
      const [accepted, ofConnect, ...others] = await verify([
        [old, one],
        [old, connect],
        [old, changed(one, {}, one.body.replace("ñ", "n"))],
        [old, changed(one, { "webhook-id": "evt_other" })],
        [old, changed(one, { "webhook-timestamp": String(Number(one.headers["webhook-timestamp"]) + 1) })],
        [old, changed(one, { "webhook-timestamp": earlier })],
        [newSecret(), one],
        [old, changed(one, { "webhook-signature": "v1,AAAA" })],
        [old, changed(one, { "webhook-signature": "" })],
      ]);
      assert.deepEqual([accepted, ofConnect], ["ok", "ok"]);
      assert.ok(others.every((result) => result !== "ok"), others.join(", "));
      assert.match(others[3], /too old/i);
      // The library knows no ids: the backend must remember those that it handled.
      assert.deepEqual(await verify([[old, one], [old, one]]), ["ok", "ok"]);
    });
  }

  test("a call that was recorded is refused when it is replayed after five minutes", async () => {
    const one = await call();
    // The clock goes on, as if it was replayed later.
    const now = Date.now;
    Date.now = () => now() + 301_000;
    const RealDate = globalThis.Date;
    globalThis.Date = class extends RealDate {
      constructor(...args) {
        super(...(args.length > 0 ? args : [Date.now()]));
      }
    };
    try {
      assert.throws(() => new Webhook(old).verify(one.body, one.headers), /too old/);
    } finally {
      globalThis.Date = RealDate;
      Date.now = now;
    }
    assert.ok(new Webhook(old).verify(one.body, one.headers));
  });

  test("an event with a clientId has the same id when it is sent again", async () => {
    const [first, again, other] = [await call({ clientId: "a" }), await call({ clientId: "a" }), await call({ clientId: "b" })];
    assert.equal(first.headers["webhook-id"], again.headers["webhook-id"]);
    assert.notEqual(first.headers["webhook-id"], other.headers["webhook-id"]);
    for (const one of [first, again]) assert.equal(JSON.parse(one.body).id, one.headers["webhook-id"]);
  });

  test("the bodies are as the document says", async () => {
    await call([1, { a: null }]);
    await done(client, "order:create", { part: Buffer.from([1, 2]) });
    for (const { body, all } of calls) {
      const parsed = JSON.parse(body);
      const validate = schema(parsed.type === "connect" ? "HookConnectRequest" : "HookEventRequest");
      assert.ok(validate(parsed), `${body}: ${JSON.stringify(validate.errors)}`);
      assert.equal(all["content-type"], "application/json");
      assert.match(all["user-agent"], /^jackfield\//);
    }
    assert.deepEqual(JSON.parse(calls.at(-1).body).args, [{ part: { $binary: "AQI=" } }]);
  });

  test("facts of every kind are signed, and as the document says", async () => {
    const other = await signedIn(node.url, node.user());
    await done(other, "join-room", "general");
    await done(other, "send-message", { room: "general", content: "\u00f1 / \u{1f44b}" });
    other.close();
    const kinds = ["message.stored", "room.joined", "room.left", "room.occupied", "room.vacated", "session.ended",
      "session.started", "user.offline", "user.online"];
    await until("a fact of each kind", () => {
      const seen = new Set(facts.map(({ body }) => JSON.parse(body).type));
      const missing = kinds.filter((kind) => !seen.has(kind));
      if (missing.length > 0) throw new NotYet(`missing: ${missing}`);
      return true;
    });
    const validate = schema("HookFactRequest");
    for (const { body, headers } of facts) {
      assert.ok(new Webhook(old).verify(body, headers), body);
      assert.ok(validate(JSON.parse(body)), `${body}: ${JSON.stringify(validate.errors)}`);
      assert.equal(JSON.parse(body).id, headers["webhook-id"]);
    }
    assert.deepEqual(await VERIFIERS.Python(facts.map((fact) => [old, fact])), facts.map(() => "ok"));
  });

  test("while the secret is changed both sign; afterwards only the new one does", async () => {
    const signs = async (...expected) => {
      const one = await call();
      const results = [];
      for (const secret of [old, next]) {
        for (const verify of Object.values(VERIFIERS)) results.push((await verify([[secret, one]]))[0] === "ok");
      }
      assert.deepEqual(results, expected);
      return true;
    };
    await signs(true, true, false, false);
    await writeFile(join(folder, "new"), `${next}\n`);
    await until("both sign", () => signs(true, true, true, true));
    await writeFile(secretFile, `${next}\n`);
    await until("only the new one signs", () => signs(false, false, true, true));
  });
});
