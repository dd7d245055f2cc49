// Clients in other languages: the results that each prints, and the view of a stock client on another node.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { Api } from "./api.mjs";
import { ALL_BYTES, readable } from "./binary.mjs";
import { signedIn } from "./clients.mjs";
import { metric } from "./metrics.mjs";
import { until } from "./until.mjs";

/** The values of TRANSPORT for the programs. */
export const NAMES = ["websocket", "polling", "upgrade"];

/** The steps of a program that can do everything; another node checks `sent`, and the first one `transport`. */
export const STEPS = ["connected", "transport", "echo", "long", "sent", "own", "received", "emitted", "refused", "alive", "back"];

/** Handshakes of each kind that a node has admitted. */
async function handshakes(node) {
  const names = ["_handshakes_total{transport=\"polling\"}", "_handshakes_total{transport=\"websocket\"}", "_upgrades_total"];
  const [polling, websocket, upgrade] = await Promise.all(names.map((name) => metric([node], `jackfield${name}`)));
  return { polling, websocket, upgrade };
}

/** The handshakes of one program: its own connection, and a second one that is refused. One of Rust connects more often. */
const expectedHandshakes = (transport, { polling, websocket, upgrade }) => ({
  websocket: websocket >= 2 && polling + upgrade === 0,
  polling: polling >= 2 && websocket + upgrade === 0,
  // The refused one may end before its upgrade.
  upgrade: polling >= 2 && websocket === 0 && upgrade >= 1,
})[transport];

/**
 * Runs a program with the first node of a cluster, and a stock client with the second; returns "ok" or the error of
 * each step. The first node is killed and started again once the program is `alive`.
 */
export async function walkThrough(cluster, [command, ...args], transport, { cwd } = {}) {
  const [node] = cluster.gateways;
  const user = cluster.user();
  const other = await signedIn(cluster.urls[1], cluster.user());
  const env = { ...process.env, URL: cluster.urls[0], TOKEN: user.token, TRANSPORT: transport };
  const before = await handshakes(node);
  const program = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const kill = () => program.kill("SIGKILL");
  process.once("exit", kill);
  const results = {};
  const rest = [];
  createInterface({ input: program.stdout }).on("line", (line) => {
    const [, outcome, step, why] = line.match(/^(ok|failed) (\w+) ?(.*)$/) ?? [];
    if (step) results[step] = outcome === "ok" ? "ok" : why || "failed";
    else rest.push(line);
  });
  createInterface({ input: program.stderr }).on("line", (line) => rest.push(line));
  let ended = false;
  program.on("exit", () => {
    ended = true;
    process.off("exit", kill);
  });
  program.on("error", (error) => {
    rest.push(`${error}`);
    ended = true;
  });

  try {
    const expected = readable(ALL_BYTES);
    results.sent = await until("its message, at another node", () => ended || other.last("message"), 30_000)
      .then(() => (readable(other.last("message")?.message) === expected ? "ok" : JSON.stringify(readable(other.last("message")))))
      .catch((error) => error.message);
    if (!ended) {
      // The program's own message is the first one that it receives.
      await until("its own message", () => results.own || ended, 15_000).catch(() => {});
      await other.ask("message", ALL_BYTES);
      await until("the other message", () => results.received || ended, 15_000).catch(() => {});
      const data = { part: { $binary: ALL_BYTES.toString("base64") }, number: 1 };
      await new Api(cluster, 1).post("/emit", { event: "file", data, to: { user: user.id } });
    }
    await until("the first connection was never lost", () => results.alive || ended, 30_000).catch(() => {});
    const now = await handshakes(node);
    const made = Object.fromEntries(Object.entries(now).map(([kind, count]) => [kind, count - before[kind]]));
    results.transport = expectedHandshakes(transport, made) ? "ok" : JSON.stringify(made);
    if (!ended) {
      cluster.signal(node, "SIGKILL");
      await until("the node is gone", () => !cluster.alive(node));
      await cluster.restartGateway(node.id);
    }
    await until("the program ends", () => ended, 45_000).catch((error) => rest.push(error.message));
  } finally {
    program.kill("SIGKILL");
    other.close();
    await cluster.restartDead();
  }
  return { results, rest: rest.slice(-20).join("\n") };
}
