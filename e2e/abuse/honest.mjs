// The process of the honest clients: each sends an echo twice a second, however long the answers take, and reconnects
// when its connection is lost. Every message from the parent ends a phase, and is answered with the phase's numbers.

import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";

import { percentile } from "../support/percentile.mjs";
import { Wire } from "./wire.mjs";

const EVERY_MS = 500;
/** The stock client's delay before it reconnects, without its randomness. */
const BACK_MS = 1000;

let phase = { took: [], disconnected: 0, refused: 0 };
/** Start times of the echoes that are not answered yet. */
const waiting = new Set();

const [{ url, users }] = await once(process, "message");
const everybody = users.map((user, index) => live(user, `127.1.0.${index + 1}`, (index * EVERY_MS) / users.length));
await Promise.all(everybody);
process.send("ready");
process.on("message", () => {
  const now = performance.now();
  // An echo without an answer has taken at least this long.
  const took = [...phase.took, ...[...waiting].map((begun) => now - begun)];
  const { disconnected, refused } = phase;
  const [p50, p99] = [50, 99].map((part) => Math.round(percentile(took, part) * 10) / 10);
  phase = { took: [], disconnected: 0, refused: 0 };
  process.send({ disconnected, refused, echoes: took.length, p50, p99 });
});

/** Resolves once it is connected for the first time. */
async function live(user, from, delay) {
  const connect = async () => (await Wire.open(url, { from })).join(user.token);
  let wire = await connect();
  const again = async () => {
    phase.disconnected++;
    wire = undefined;
    while (!wire) {
      await pause(BACK_MS);
      wire = await connect().catch(() => void phase.refused++);
    }
    wire.closed.then(again);
  };
  wire.closed.then(again);
  setTimeout(() => setInterval(() => wire && echo(wire), EVERY_MS), delay);
}

async function echo(wire) {
  const begun = performance.now();
  waiting.add(begun);
  const answered = await wire.ask("echo", "hello").then(() => true, () => false);
  waiting.delete(begun);
  // An echo that is lost with its connection counts as a disconnect only.
  if (answered) phase.took.push(performance.now() - begun);
}
