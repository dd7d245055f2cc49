// A build without the browser client's package prints a warning: this runs its build script alone.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { OWN } from "./support/cluster.mjs";
import { ROOT } from "./support/xtask.mjs";

const run = promisify(execFile);

describe("the gateway's build script", OWN, () => {
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "jackfield-build-"));
    await run("rustc", ["--edition", "2024", "-o", join(folder, "build"), join(ROOT, "gateway/build.rs")]);
  });
  after(() => folder && rm(folder, { recursive: true, force: true }));

  /** The script's output for cargo, for a gateway in a folder of its own. */
  async function built(name, prepare = async () => {}) {
    const gateway = join(folder, name);
    await mkdir(join(gateway, "client"), { recursive: true });
    await prepare(gateway);
    const env = { ...process.env, CARGO_MANIFEST_DIR: gateway, OUT_DIR: gateway };
    return (await run(join(folder, "build"), { cwd: gateway, env })).stdout;
  }

  const DIST = "client/node_modules/socket.io-client/dist";
  const warnings = (text) => text.split("\n").filter((line) => /^cargo::?warning=/.test(line));

  test("warns if the package is missing, and names the command that installs it", async () => {
    const printed = warnings(await built("without"));
    assert.equal(printed.length, 1, printed.join("\n"));
    assert.match(printed[0], /npm ci/);
    assert.match(printed[0], /gateway\/client/);
  });

  test("warns if a file of the package is missing", async () => {
    const printed = warnings(await built("half", async (gateway) => {
      await mkdir(join(gateway, DIST), { recursive: true });
      await cp(join(ROOT, "gateway", DIST, "socket.io.js"), join(gateway, DIST, "socket.io.js"));
    }));
    assert.equal(printed.length, 1, printed.join("\n"));
  });

  test("prints no warning if the package is complete", async () => {
    const printed = warnings(await built("with", (gateway) => cp(join(ROOT, "gateway", DIST), join(gateway, DIST), { recursive: true })));
    assert.deepEqual(printed, []);
  });
});
