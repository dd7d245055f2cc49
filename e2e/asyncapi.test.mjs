// The AsyncAPI document, and the types that are generated from the documents. `support/contract.mjs` checks in all tests
// that clients receive what it describes.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import Ajv from "ajv";

import { DOCUMENT, checker } from "./support/contract.mjs";
import { startNode } from "./support/node.mjs";
import { ROOT } from "./support/xtask.mjs";
import { FILES } from "./types/generate.mjs";

describe("the AsyncAPI document", () => {
  let node;
  before(async () => (node = await startNode()));
  after(() => node?.stop());

  test("it is valid AsyncAPI 3.0", () => {
    const specification = createRequire(import.meta.url)("@asyncapi/specs/schemas/3.0.0.json");
    const validate = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false }).compile(specification);
    assert.ok(validate(DOCUMENT), JSON.stringify(validate.errors));
    assert.ok(!validate({ ...DOCUMENT, operations: { x: { action: "shout" } } }), "it refuses others");
  });

  test("every message has examples, which fit its schema", () => {
    for (const [key, { examples }] of Object.entries(DOCUMENT.components.messages)) {
      assert.ok(examples.length > 0, key);
      for (const { payload } of examples) {
        const validate = checker(key);
        assert.ok(validate(payload), `${key}: ${JSON.stringify(payload)} ${JSON.stringify(validate.errors)}`);
      }
    }
  });

  test("schemas refuse what the gateway refuses", () => {
    for (const [key, payload] of [
      ["client.send-message", [{ room: "general", content: "" }]],
      ["client.send-message", [{ room: "general", content: "x".repeat(1_001) }]],
      ["client.send-message", [{ room: "user:1", content: "x" }]],
      ["client.join-room", ["no room"]],
      ["client.room-history", [{ room: "general", limit: 101 }]],
      ["client.presence.subscribe", [{ userIds: Array(501).fill("a") }]],
      ["client.notification.mark_read", [{ notificationId: null }]],
      ["server.new-message", [{}]],
    ]) {
      assert.ok(!checker(key)(payload), `${key} ${JSON.stringify(payload).slice(0, 100)}`);
    }
  });

  test("every node serves it", async () => {
    const answer = await fetch(`${node.internal}/v1/asyncapi.json`);
    assert.equal(answer.headers.get("content-type"), "application/json");
    assert.deepEqual(await answer.json(), DOCUMENT);
  });
});

describe("the generated types", () => {
  test("they are current", async () => {
    for (const [file, make] of Object.entries(FILES)) {
      const found = await readFile(join(ROOT, file), "utf8");
      assert.ok(found === await make(), `${file} is out of date: npm run --prefix e2e types`);
    }
  });

  test("the page and the examples use events as they are", async () => {
    const tsc = join(import.meta.dirname, "node_modules/typescript/bin/tsc");
    const run = promisify(execFile)(process.execPath, [tsc, "-p", "types/tsconfig.json"], { cwd: import.meta.dirname });
    await run.catch(({ stdout }) => assert.fail(stdout));
  });
});
