// Several attackers side by side, each doing the same thing again and again; and the sums of their counts.

import { setTimeout as pause } from "node:timers/promises";

/** The pause between two attempts of one attacker. */
const PAUSE_MS = 20;

/**
 * Runs `once(counts, number)` on `width` lines: one time each, or if `again`, until `signal` is aborted. An error that
 * it throws counts as `refused`: an attacker has to expect closed connections. Resolves with `counts`.
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

/** Adds the counts of a connection, and whether the other side closed it. */
export function addWire(counts, wire, signal) {
  add(counts, { received: wire.bytes, closed: wire.isOpen || signal?.aborted ? 0 : 1, ...wire.outcomes });
  counts.longest = Math.max(counts.longest ?? 0, wire.longest);
}
