// A cluster of real processes, from `cargo xtask cluster`; or, with E2E_URL, one that runs already behind one address,
// for the tests that need only that address.

import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { join } from "node:path";
import { NotYet, ifReachable, until, within } from "./until.mjs";
import { NO_BUILD, ROOT, START_MS, XTASK } from "./xtask.mjs";

let count = 0;

/** The address of a cluster that runs already. */
export const RUNNING = process.env.E2E_URL?.replace(/\/$/, "");

/** For tests that need more than clients of a cluster, or settings of their own: `test(name, OWN, …)`. */
export const OWN = { skip: RUNNING ? "needs a cluster of its own" : false };

/** Runs `cargo xtask cluster` with these arguments to its end. */
export function xtask(...args) {
  return promisify(execFile)(XTASK[0], [...XTASK.slice(1), "cluster", ...args], { cwd: ROOT, timeout: 90_000 });
}

/**
 * Starts a cluster. `set` and `authSet` are settings of the gateways and of the auth service; `logs` is a folder for
 * their logs. Its processes end with this one in any case: the cluster watches the pipe that is its standard input.
 */
export async function startCluster({ nodes = 3, set = {}, authSet = {}, prometheus = false, logs } = {}) {
  // The balancer chooses the nodes: three clients may be on any of them.
  if (RUNNING) return { balancer: RUNNING, urls: [RUNNING, RUNNING, RUNNING], stop: async () => {} };
  const name = `e2e-${process.pid}-${++count}`;
  const args = ["cluster", "--json", "--nodes", String(nodes), "--name", name, ...NO_BUILD];
  if (prometheus) args.push("--prometheus");
  const logsIn = logs ?? (process.env.E2E_LOGS && join(process.env.E2E_LOGS, name));
  if (logsIn) args.push("--logs", logsIn);
  for (const [key, value] of Object.entries(set)) args.push("--set", `${key}=${value}`);
  for (const [key, value] of Object.entries(authSet)) args.push("--auth-set", `${key}=${value}`);

  const child = spawn(XTASK[0], [...XTASK.slice(1), ...args], { cwd: ROOT, stdio: ["pipe", "pipe", "pipe"] });
  const output = [];
  child.stderr.on("data", (data) => output.push(data));
  const ended = new Promise((resolve, reject) => {
    child.on("exit", resolve);
    child.on("error", reject);
  });
  const text = () => Buffer.concat(output).toString();
  const line = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    ended.then((code) => reject(new Error(`the cluster ended with code ${code}:\n${text()}`)), reject);
  });
  try {
    return new Cluster(JSON.parse(await within(START_MS, "the cluster is up", line)), { name, child, ended, text });
  } catch (error) {
    child.stdin.end();
    throw new Error(`${error.message}\n${text()}`);
  }
}

class Cluster {
  #process;

  constructor(addresses, process) {
    Object.assign(this, addresses);
    this.#process = process;
  }

  /** All public URLs, of the gateways themselves. */
  get urls() {
    return this.gateways.map((gateway) => gateway.url);
  }

  gateway(id) {
    return this.gateways.find((gateway) => gateway.id === id);
  }

  /** Its name for `--cluster`. */
  get name() {
    return this.#process.name;
  }

  /** The id of the process that runs the cluster. */
  get pid() {
    return this.#process.child.pid;
  }

  /** The standard error of the cluster so far. */
  get log() {
    return this.#process.text();
  }

  /** `/readyz` of a gateway. */
  async readiness(gateway) {
    const answer = await fetch(`${gateway.internal}/readyz`, { signal: AbortSignal.timeout(10_000) });
    return { status: answer.status, body: await answer.json() };
  }

  /** Waits until `/readyz` of every gateway answers 200, or 503. */
  allReadinessIs(status, ms) {
    return until(`/readyz of every gateway answers ${status}`, async () => {
      const answers = await Promise.all(this.gateways.map((gateway) => ifReachable(this.readiness(gateway))));
      const others = answers.filter((answer) => answer?.status !== status);
      const strange = others.filter((answer) => answer && ![200, 503].includes(answer.status));
      if (strange.length > 0) throw new Error(`/readyz answers ${JSON.stringify(strange)}`);
      if (others.length > 0) throw new NotYet(`others answer ${JSON.stringify(others)}`);
      return true;
    }, ms);
  }

  /** Sends a signal to a process of the cluster. */
  signal(part, name) {
    process.kill(part.pid, name);
  }

  /** Whether the process is still running. */
  alive(part) {
    try {
      return process.kill(part.pid, 0);
    } catch {
      return false;
    }
  }

  async restartGateway(id) {
    const { pid } = await this.#ask("restart-gateway", id);
    this.gateway(id).pid = pid;
  }

  /** Restarts gateways that a failed test left dead, and waits until all are ready. */
  async restartDead() {
    for (const gateway of this.gateways) if (!this.alive(gateway)) await this.restartGateway(gateway.id);
    await this.allReadinessIs(200);
  }

  async stopRedis({ kill = false } = {}) {
    await this.#ask("stop-redis", ...(kill ? ["--kill"] : []));
  }

  async startRedis({ empty = false } = {}) {
    const { pid } = await this.#ask("start-redis", ...(empty ? ["--empty"] : []));
    this.redis.pid = pid;
  }

  /** Ends everything. */
  async stop() {
    const { child, ended } = this.#process;
    child.stdin.end();
    await within(30_000, "the cluster ends", ended);
  }

  async #ask(...command) {
    const { stdout } = await xtask(...command, "--cluster", this.name, "--json");
    return JSON.parse(stdout);
  }
}
