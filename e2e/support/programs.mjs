// Programs that a test starts, such as examples, against a cluster of two nodes.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach } from "node:test";

import { closeAll } from "./clients.mjs";
import { startRooms } from "./rooms.mjs";

/** Starts a program. `text` is its output so far; `ended` resolves to its exit code. */
export function startProgram(command, args, { env, cwd } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, cwd });
  const program = { text: "", kill: () => child.kill() };
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (program.text += data));
  program.ended = new Promise((resolve, reject) => child.on("exit", resolve).on("error", reject));
  return program;
}

/**
 * For one `describe`. `setUp()` starts the cluster and makes a folder for programs. `start(command, args, {env, cwd})`
 * starts a program. `endAll()` ends all that still run, as the end of each test does.
 */
export function programs() {
  const children = [];
  let cluster, folder;

  const setUp = async () => {
    cluster = await startRooms({ nodes: 2, set: { "session.policy": "multi" } });
    // Among the tests, so that the programs find the same packages.
    folder = await mkdtemp(join(import.meta.dirname, "..", "example-"));
    return { cluster, folder };
  };

  const start = (command, args, options) => {
    const program = startProgram(command, args, options);
    children.push(program);
    return program;
  };

  const endAll = () => {
    for (const child of children.splice(0)) child.kill();
  };

  after(async () => {
    await cluster?.stop();
    if (folder) await rm(folder, { recursive: true });
  });
  afterEach(() => {
    closeAll();
    endAll();
  });
  return { setUp, start, endAll };
}
