// Measures the cost of a crowd for the auth service and for other users' sign-ins: many connections from one address
// sign in without a pause, and one user from another address signs in once a second.
//
//   node abuse/sign-ins.mjs --binary PATH [--seconds 60] [--connections 100] [--kind right|wrong|unknown] [--memory 512]
//
// `right`: accounts with their passwords; `wrong`: with wrong ones; `unknown`: addresses without an account. Prints one
// line of JSON: RSS in MB, before, at most and 10 s after; sign-ins in ms, for 10 s before and during. The service is
// started with its default settings, on an SQLite of its own, within `--memory` MiB (512 in `docker-compose.yml`).

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";

import { percentile } from "../support/percentile.mjs";
import { forgetPeak, memory } from "../support/node.mjs";
import { freePort } from "../support/standalone.mjs";
import { ifReachable, inParallel, until } from "../support/until.mjs";
import { makeBox } from "./box.mjs";

const BEFORE_MS = 10_000;
const AFTER_MS = 10_000;
const EVERY_MS = 1000;
const PASSWORD = "Passw0rd!";

const { values: options } = parseArgs({
  options: {
    binary: { type: "string" },
    seconds: { type: "string", default: "60" },
    connections: { type: "string", default: "100" },
    kind: { type: "string", default: "right" },
    memory: { type: "string", default: "512" },
  },
});
const connections = Number(options.connections);

const box = makeBox(Number(options.memory) * 1024 * 1024);
const service = await start();
try {
  console.log(JSON.stringify(await measure()));
} finally {
  service.child.kill("SIGKILL");
  await service.ended;
  box.close();
  await rm(service.folder, { recursive: true, force: true });
}
process.exit(0);

async function measure() {
  const honestAgent = new Agent({ keepAlive: true, localAddress: "127.0.0.2" });
  const crowdAgent = new Agent({ keepAlive: true, localAddress: "127.0.0.1", maxSockets: connections });
  const emails = Array.from({ length: connections }, (_, index) => `crowd-${index}@example.com`);
  let failed;
  await inParallel(["honest@example.com", ...(options.kind === "unknown" ? [] : emails)], 2, async (email, index) => {
    // Each from an address of its own: the limit of accounts per address is not measured.
    const agent = new Agent({ localAddress: `127.3.0.${(index % 254) + 1}` });
    const { status } = await post(agent, "/api/auth/register", { email, password: PASSWORD, fullName: "Some Body" });
    if (status !== 201) failed = status;
  });
  // If the service died of it, that shows a moment later.
  if (failed) await Promise.race([service.ended, pause(1000)]);
  if (failed && alive()) throw new Error(`register: ${failed}`);
  const about = { kind: options.kind, connections, box: box.kind };
  if (!alive()) return { ...about, alive: false, when: "its accounts were made" };

  const before = await honest(honestAgent, BEFORE_MS);
  const rss = { before: mb(memory(service.child.pid).now) };
  forgetPeak(service.child.pid);
  let going = true;
  const crowd = {};
  const signIn = async (email) => {
    while (going) {
      const password = options.kind === "wrong" ? "Wr0ngword!" : PASSWORD;
      const { status } = await post(crowdAgent, "/api/auth/login", { email, password });
      crowd[status] = (crowd[status] ?? 0) + 1;
      if (status === "failed") await pause(100);
    }
  };
  const signingIn = Promise.all(emails.map(signIn));
  const during = await honest(honestAgent, Number(options.seconds) * 1000);
  if (alive()) rss.max = mb(memory(service.child.pid).peak);
  going = false;
  await signingIn;
  await pause(AFTER_MS);
  if (alive()) rss.after = mb(memory(service.child.pid).now);
  return { ...about, alive: alive(), rss, groupPeak: mb(box.peak()), before, during, crowd };
}

function alive() {
  return service.child.exitCode === null && service.child.signalCode === null;
}

/** One sign-in a second, whether the one before was answered or not. */
async function honest(agent, ms) {
  const [took, statuses, all] = [[], {}, []];
  for (const end = Date.now() + ms; Date.now() < end; ) {
    all.push((async () => {
      const begun = performance.now();
      const { status } = await post(agent, "/api/auth/login", { email: "honest@example.com", password: PASSWORD });
      took.push(Math.round(performance.now() - begun));
      statuses[status] = (statuses[status] ?? 0) + 1;
    })());
    await pause(EVERY_MS);
  }
  await Promise.all(all);
  return { p50: percentile(took, 50), p99: percentile(took, 99), statuses };
}

/** Resolves with the status; "failed" if there was no answer. */
function post(agent, path, body) {
  const text = JSON.stringify(body);
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
  return new Promise((resolve) => {
    const call = request(service.url + path, { method: "POST", agent, headers, timeout: 60_000 }, (answer) => {
      answer.resume().once("end", () => resolve({ status: answer.statusCode }));
    });
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve({ status: "failed" }));
    call.end(text);
  });
}

async function start() {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-sign-ins-"));
  const [port, internal] = [await freePort(), await freePort()];
  const set = {
    port,
    host: "127.0.0.1",
    "internal.port": internal,
    "internal.host": "127.0.0.1",
    "database.url": `sqlite://${folder}/jackfield.db`,
  };
  const args = Object.entries(set).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const child = spawn(options.binary, args, { stdio: "ignore" });
  process.on("exit", () => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  box.enter(child.pid);
  const ready = async () => (await ifReachable(fetch(`http://127.0.0.1:${internal}/readyz`)))?.ok;
  await until("it is ready", ready);
  return { url: `http://127.0.0.1:${port}`, child, ended, folder };
}

function mb(bytes) {
  return bytes === undefined ? undefined : Math.round(bytes / 1e6);
}
