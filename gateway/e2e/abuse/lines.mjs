// Several attackers side by side, each doing the same thing again and again; and what they saw, added up.

import { setTimeout as pause } from "node:timers/promises";

/** Before whoever was refused or thrown out tries again. */
const PAUSE_MS = 20;

/**
 * Runs `once(counts, number, signal)` on `width` lines: one time each, or where `again`, until `signal` is aborted. What it
 * throws counts as `refused`: a closed connection is what an attacker has to reckon with. Resolves with `counts`.
 */
export async function onLines({ width = 1, again = false, signal }, once) {
  const counts = { refused: 0 };
  const line = async (number) => {
    do {
      try {
        await once(counts, number);
      } catch (error) {
        counts.refused++;
        counts.lastRefusal = error.message;
      }
      if (again) await pause(PAUSE_MS, undefined, { signal }).catch(() => {});
    } while (again && !signal?.aborted);
  };
  await Promise.all(Array.from({ length: width }, (_, number) => line(number)));
  return counts;
}

/** Adds `more` to `counts`, name by name. */
export function add(counts, more) {
  for (const [name, number] of Object.entries(more)) counts[name] = (counts[name] ?? 0) + number;
}

/** Adds what a connection saw, and that it was closed where the other side did it. */
export function addWire(counts, wire, signal) {
  add(counts, { received: wire.bytes, closed: wire.isOpen || signal?.aborted ? 0 : 1, ...wire.outcomes });
  counts.longest = Math.max(counts.longest ?? 0, wire.longest);
}
