// Measures the cost of an attack for others: one gateway with a memory limit, honest clients, and attackers.
//
//   node abuse/measure.mjs --binary PATH --attack long-namespace [--seconds 60] [--memory 1024] [--honest 50]
//   node abuse/measure.mjs --binary PATH [--all | --attack NAME,NAME] --rounds 3
//
// The first prints one line of JSON, the second takes the attacks in turn and prints a table of medians. It starts a
// gateway (best a release build) with its default settings and a Redis of its own, as behind a proxy: honest clients
// and attackers do not come from this machine's addresses, because those may connect at any rate. Both are processes
// of their own, the attackers with a lower priority. RSS is in MB, echoes are in ms: for 20 s before, and during the
// attack; RSS once more 10 s after it. Before it, a process that only keeps a processor busy stands in for the
// attackers': so the comparison shows their effect on the gateway, not on the machine that they share with it.

import { execFile, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { constants, setPriority } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

import { Api } from "../support/api.mjs";
import { cpuSeconds, forgetPeak, memory, startNode } from "../support/node.mjs";
import { within } from "../support/until.mjs";
import { ATTACKS } from "./attacks.mjs";
import { makeBox } from "./box.mjs";

const BEFORE_MS = 20_000;
const AFTER_MS = 10_000;
const SAMPLE_MS = 50;
const MIB = 1024 * 1024;

const { values: options } = parseArgs({
  options: {
    binary: { type: "string" },
    attack: { type: "string" },
    all: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string", default: "60" },
    memory: { type: "string", default: "1024" },
    honest: { type: "string", default: "50" },
  },
});
const names = options.all ? Object.keys(ATTACKS) : (options.attack ?? "").split(",");
const unknown = names.filter((name) => !ATTACKS[name]);
if (unknown.length > 0) {
  console.error(`--attack: one of ${Object.keys(ATTACKS).join(", ")}`);
  process.exit(2);
}
if (options.all || options.rounds || names.length > 1) await compare(Number(options.rounds ?? 1));
else console.log(JSON.stringify(await measure(names[0])));
process.exit(0);

/** One attack. */
async function measure(name) {
  const { users = 0, prepare, stallsRedis } = ATTACKS[name];
  const limit = Number(options.memory) * MIB;
  const box = makeBox(limit);
  const node = await startNode({ binary: options.binary, started: box.enter });
  const children = [];
  try {
    const honest = child(children, "honest.mjs");
    honest.send({ url: node.url, users: node.users(Number(options.honest)) });
    await within(30_000, "honest clients are connected", once(honest, "message"));
    const prepared = await prepare?.(new Api(node));
    const busy = spawn(process.execPath, ["-e", "for (;;);"]);
    children.push(busy);
    setPriority(busy.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    await phase(honest);
    await pause(BEFORE_MS);
    const before = await phase(honest);
    busy.kill("SIGKILL");

    const rss = { before: mb(memory(node.pid).now) };
    forgetPeak(node.pid);
    const cpu = cpuSeconds(node.pid);
    const watching = watch(node, box.kind === "watched" ? limit : Infinity);
    const attacker = child(children, "attacker.mjs");
    setPriority(attacker.pid, constants.priority.PRIORITY_BELOW_NORMAL);
    attacker.send({ attack: name, url: node.url, users: node.users(users), from: "127.2.0.1", ...prepared });
    const stalling = stallsRedis ? stall(node) : undefined;
    await pause(Number(options.seconds) * 1000);
    stalling?.stop();
    const during = await phase(honest);
    const alive = node.alive();
    const cpuPercent = alive ? Math.round(((cpuSeconds(node.pid) - cpu) / options.seconds) * 100) : undefined;
    rss.max = mb(watching.peak());
    attacker.send("stop");
    // On a machine that is too busy they may not stop in time: the honest clients' numbers are known by then.
    const [counts] = await within(20_000, "the attackers have stopped", once(attacker, "message")).catch(() => []);
    attacker.kill("SIGKILL");
    await pause(AFTER_MS);
    watching.stop();
    rss.after = node.alive() ? mb(memory(node.pid).now) : undefined;
    const gateway = { alive, rss, groupPeak: mb(box.peak()), cpuPercent };
    return { attack: name, box: box.kind, ...gateway, before, during, attacker: counts };
  } finally {
    for (const one of children) one.kill("SIGKILL");
    await node.stop();
    box.close();
  }
}

function child(children, file) {
  const one = fork(fileURLToPath(new URL(file, import.meta.url)));
  children.push(one);
  return one;
}

/** Ends a phase of the honest clients; resolves with its numbers. */
async function phase(honest) {
  honest.send("phase");
  return (await within(30_000, "the result of the honest clients", once(honest, "message")))[0];
}

/** Samples the peak memory of a process, which may be gone by the end; kills it beyond `limit`. */
function watch(node, limit) {
  let peak = 0;
  const timer = setInterval(() => {
    if (!node.alive()) return;
    try {
      peak = memory(node.pid).peak;
    } catch {
      // It has just ended.
    }
    if (peak > limit) process.kill(node.pid, "SIGKILL");
  }, SAMPLE_MS);
  return { peak: () => peak, stop: () => clearInterval(timer) };
}

/** Stops Redis for 3 of every 10 seconds. */
function stall({ redis }) {
  let going = true;
  const run = async () => {
    while (going) {
      process.kill(redis.pid, "SIGSTOP");
      await pause(3000);
      process.kill(redis.pid, "SIGCONT");
      await pause(7000);
    }
  };
  run();
  return { stop: () => (going = false) };
}

/** Several attacks, several times, each in a process of its own; prints the results as they come, then the medians. */
async function compare(rounds) {
  const runs = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) {
      const args = ["seconds", "memory", "honest", "binary"].flatMap((key) => (options[key] ? [`--${key}`, options[key]] : []));
      const me = fileURLToPath(import.meta.url);
      const { stdout } = await promisify(execFile)(process.execPath, [me, "--attack", name, ...args]);
      console.error(stdout.trim());
      runs[name].push(JSON.parse(stdout));
    }
  }
  const heads = ["attack", "alive", "RSS before, most, after (MB)", "honest disconnected"];
  heads.push("p50 before, during (ms)", "p99 before, during (ms)", "CPU %");
  console.log(`| ${heads.join(" | ")} |\n|${"---|".repeat(heads.length)}`);
  for (const [name, all] of Object.entries(runs)) {
    const of = (get) => median(all.map(get));
    const cells = [
      name,
      `${all.filter(({ alive }) => alive).length} of ${all.length}`,
      ["before", "max", "after"].map((when) => of(({ rss }) => rss[when])).join(", "),
      all.map(({ during }) => during.disconnected).join(" "),
      ...["p50", "p99"].map((part) => [of(({ before }) => before[part]), of(({ during }) => during[part])].join(", ")),
      of(({ cpuPercent }) => cpuPercent),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
}

function median(numbers) {
  const sorted = numbers.filter((number) => number !== undefined).sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? "-";
}

function mb(bytes) {
  return bytes === undefined ? undefined : Math.round(bytes / 1e6);
}
