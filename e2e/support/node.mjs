// One gateway with a Redis of its own, started directly: for tests that watch the process or stop its Redis. It takes a
// second, and a whole cluster takes ten. Or one more gateway of a cluster.

import { execFile, spawn } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { defaults, signed } from "./issuer.mjs";
import { startRedis } from "./redis.mjs";
import { freePort } from "./standalone.mjs";
import { ifReachable, until, within } from "./until.mjs";
import { ROOT } from "./xtask.mjs";

const HEADER = { alg: "HS256", typ: "JWT" };

/** The gateway that is tested: that of GATEWAY, the one that `cargo xtask test` has built, or one built now. */
export async function program() {
  if (process.env.GATEWAY) return process.env.GATEWAY;
  if (process.env.XTASK) return join(dirname(process.env.XTASK), "jackfield-gateway");
  await promisify(execFile)("cargo", ["build", "-p", "jackfield-gateway"], { cwd: ROOT });
  return join(ROOT, "target/debug/jackfield-gateway");
}

/**
 * Starts them. `set` are settings of the gateway; `started(pid)` is called as soon as its process exists, before it has
 * done anything worth measuring. Several sessions of a user are allowed unless `set` says otherwise: an attacker that
 * evicts its own sessions proves nothing. With `redisUrl` it uses that Redis.
 */
export async function startNode({ set = {}, binary, started = () => {}, redisUrl } = {}) {
  const redis = redisUrl ? { url: redisUrl, stop: async () => {} } : await startRedis();
  const [port, internalPort] = [await freePort(), await freePort()];
  const [secret, apiKey] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
  const settings = {
    port,
    host: "127.0.0.1",
    "internal.port": internalPort,
    "internal.host": "127.0.0.1",
    "redis.url": redis.url,
    "jwt.secret": secret,
    "api.keys": `test:emit+notify+read+publish:${createHash("sha256").update(apiKey).digest("hex")}`,
    "session.policy": "multi",
    // As behind a proxy: requests with X-Forwarded-For come from other machines.
    "proxy.hops": 1,
    "drain.delay": "0s",
    ...set,
  };
  const args = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const child = spawn(binary ?? await program(), args, { stdio: ["ignore", "pipe", "pipe"] });
  // However the test ends, it does not stay behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => output.push(data));
  const ended = once(child, "exit").then(([code, signal]) => signal ?? code);
  started(child.pid);
  const internal = `http://127.0.0.1:${internalPort}`;
  let early;
  ended.then((how) => (early = `it ended with ${how}`), (error) => (early = `${error}`));
  const ready = async () => early ?? (await ifReachable(fetch(`${internal}/readyz`)))?.ok;
  const how = await until("it is ready", ready).catch((error) => error);
  if (how !== true) {
    // A program that goes on would keep the tests from ending.
    child.kill("SIGKILL");
    await redis.stop();
    throw new Error(`${how}:\n${Buffer.concat(output)}`);
  }
  let count = 0;
  return {
    url: `http://127.0.0.1:${port}`,
    internal,
    pid: child.pid,
    redis,
    apiKey,
    // As `Api` takes it.
    gateways: [{ internal }],
    log: () => Buffer.concat(output).toString(),
    alive: () => child.exitCode === null && child.signalCode === null,
    user: (name = `User Number ${++count}`, roles = ["USER"]) => {
      const id = randomUUID();
      const token = signed({ ...defaults(), sub: id, name, roles }, HEADER, secret);
      return { id, fullName: name, roles, token };
    },
    users(number) {
      return Array.from({ length: number }, () => this.user());
    },
    async stop() {
      child.kill("SIGKILL");
      await within(10_000, "it ends", ended);
      await redis.stop();
    },
  };
}

/** Bytes of a process that are in memory now, and their peak since the last [`forgetPeak`]. */
export function memory(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) * 1024;
  return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
}

/** Resets the peak. */
export function forgetPeak(pid) {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Does `work`; returns its result, and by how many bytes the process grew meanwhile at most. */
export async function growth(pid, work) {
  forgetPeak(pid);
  const before = memory(pid).now;
  const result = await work();
  return { result, grown: memory(pid).peak - before };
}

/** Seconds of CPU time that a process has taken. */
export function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
