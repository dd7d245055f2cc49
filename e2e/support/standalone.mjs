// The standalone program, from `cargo xtask run`.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaults, signed } from "./issuer.mjs";
import { ifReachable, until, within } from "./until.mjs";
import { NO_BUILD, ROOT, START_MS, XTASK } from "./xtask.mjs";

/**
 * Starts it on a free port, with a database of its own and no other server. `set` are further settings; `up` checks
 * whether it is up, by default whether it serves.
 */
export async function startStandalone({ set = {}, up: isUp = serves } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-e2e-"));
  const [port, internal] = [await freePort(), await freePort()];
  const hosts = { host: "127.0.0.1", "internal.host": "127.0.0.1" };
  const own = { port, "internal.port": internal, ...hosts, "database.url": `sqlite://${folder}/jackfield.db` };
  const sets = Object.entries({ ...own, ...set }).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const args = [...XTASK.slice(1), "run", ...NO_BUILD, "--", ...sets];
  const child = spawn(XTASK[0], args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  // However the test ends, it does not stay behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output.push(data));
  const text = () => Buffer.concat(output).toString();
  const ended = new Promise((resolve, reject) => {
    child.on("exit", (code, signal) => resolve(signal ?? code));
    child.on("error", reject);
  });

  const urls = { url: `http://127.0.0.1:${port}`, internal: `http://127.0.0.1:${internal}` };
  let early;
  ended.then((how) => (early = `it ended with ${how}`), (error) => (early = `${error}`));
  const how = await until("it is up", async () => early ?? (await isUp(urls)), START_MS).catch((error) => error);
  if (how !== true) {
    // A program that goes on would keep the tests from ending.
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
    throw new Error(`${how}:\n${text()}`);
  }
  return {
    ...urls,
    // For code that uses a cluster behind one address.
    balancer: urls.url,
    text,
    /** Sends the signal; returns the exit code, or the signal that ended it. */
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const how = await within(20_000, "it ends", ended);
      await rm(folder, { recursive: true, force: true });
      return how;
    },
  };
}

/** As [startStandalone], trusting a secret of ours: `program.user()` makes as many users as a test wants, at no cost. */
export async function startTrusting({ set = {} } = {}) {
  const secret = randomUUID();
  const program = await startStandalone({ set: { "jwt.secret": secret, "seed.enabled": false, ...set } });
  program.user = ({ id = randomUUID(), name = "Some Body", roles = ["USER"] } = {}) => {
    const claims = { ...defaults(), sub: id, name, roles };
    return { id, fullName: name, roles, token: signed(claims, { alg: "HS256", typ: "JWT" }, secret) };
  };
  return program;
}

/** Sends no handshake: that leaves a connection behind, which the program's end would wait for. */
async function serves({ internal }) {
  return (await ifReachable(fetch(`${internal}/readyz`)))?.ok;
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
