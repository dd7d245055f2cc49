// The standalone program, from `cargo xtask run`.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ifReachable, until, within } from "./until.mjs";
import { NO_BUILD, ROOT, START_MS, XTASK } from "./xtask.mjs";

/** Starts it on a free port, with a database of its own and no other server. `set` are further settings. */
export async function startStandalone({ set = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-e2e-"));
  const [port, internal] = [await freePort(), await freePort()];
  const hosts = { host: "127.0.0.1", "internal.host": "127.0.0.1" };
  const own = { port, "internal.port": internal, ...hosts, "database.url": `sqlite://${folder}/jackfield.db` };
  const sets = Object.entries({ ...own, ...set }).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const args = [...XTASK.slice(1), "run", ...NO_BUILD, "--", ...sets];
  const child = spawn(XTASK[0], args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  // Whatever becomes of the test, it does not stay behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const said = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => said.push(data));
  const text = () => Buffer.concat(said).toString();
  const ended = new Promise((resolve, reject) => {
    child.on("exit", (code, signal) => resolve(signal ?? code));
    child.on("error", reject);
  });

  const url = `http://127.0.0.1:${port}`;
  const up = until("it is up", async () => {
    const answers = [await ifReachable(fetch(url)), await ifReachable(fetch(`${url}/socket.io/?EIO=4&transport=polling`))];
    return answers.every((answer) => answer?.ok);
  }, START_MS);
  const how = await Promise.race([up, ended.then((how) => `it ended with ${how}`)]);
  if (how !== true) throw new Error(`${how}:\n${text()}`);
  return {
    url,
    // As a cluster is spoken to: behind one address.
    balancer: url,
    text,
    /** Asks it to end; how it did. */
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const how = await within(20_000, "it ends", ended);
      await rm(folder, { recursive: true, force: true });
      return how;
    },
  };
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
