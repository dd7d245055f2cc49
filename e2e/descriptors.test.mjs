// A gateway that runs out of descriptors: it logs that once, serves its connected clients, and recovers by itself.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { closeAll } from "./support/clients.mjs";
import { done, onEachNode, startRooms } from "./support/rooms.mjs";
import { ifReachable, until } from "./support/until.mjs";

let cluster, folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "jackfield-descriptors-"));
  cluster = await startRooms({ nodes: 1, logs: folder });
});
after(async () => {
  closeAll();
  await cluster?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("one log line when accepting connections fails, and one when it works again", async () => {
  const [gateway] = cluster.gateways;
  const [member] = await onEachNode(cluster);
  const lines = async (text) => (await readFile(join(folder, "gw1.log"), "utf8")).split("\n").filter((line) => line.includes(text));
  const limit = (soft) => promisify(execFile)("prlimit", ["--pid", String(gateway.pid), `--nofile=${soft}:`]);
  const held = (await readdir(`/proc/${gateway.pid}/fd`)).length;
  const { port } = new URL(gateway.url);
  const sockets = [];
  try {
    await limit(held + 10);
    for (let count = 0; count < 40; count++) sockets.push(connect(Number(port), "127.0.0.1").on("error", () => {}));
    await until("the failure is logged", async () => (await lines("accept connections")).length > 0, 10_000);
    // Connected clients are served meanwhile, for as long as thirty attempts take.
    const began = Date.now();
    await until("more attempts", async () => {
      await done(member, "message", "still here");
      return Date.now() - began > 1500;
    });
    assert.equal((await lines("accept connections")).length, 1, "once, not with every attempt");
    await limit(held + 200);
    assert.equal((await until("new connections are accepted", () => ifReachable(fetch(`${gateway.url}/socket.io/?EIO=4&transport=polling`)))).status, 200);
    await until("the recovery is logged", async () => (await lines("accept connections again")).length > 0, 20_000);
    assert.equal((await lines("accept connections")).length, 2);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
});
