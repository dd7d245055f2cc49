// Waiting for conditions, so that tests need not wait for a fixed time.

import { AssertionError } from "node:assert/strict";

const PAUSE_MS = 10;

/** How long a test waits for a condition without a time limit of its own: longer than any busy machine needs. */
export const PATIENCE_MS = 20_000;

/** Thrown by a condition that does not hold yet. Its message describes the state seen instead. */
export class NotYet extends Error {}

/**
 * Waits until `condition()` is truthy (it may be async) and returns its value. A falsy value, a `NotYet` and a failed
 * assertion mean "not yet"; any other error is one of the test or of the product, and is thrown at once. After `ms` it
 * throws; the message holds `what` and the state seen last.
 */
export async function until(what, condition, ms = PATIENCE_MS) {
  const deadline = Date.now() + ms;
  for (;;) {
    let seen;
    try {
      const value = await condition();
      if (value) return value;
      seen = String(value);
    } catch (error) {
      if (!(error instanceof NotYet || error instanceof AssertionError)) throw error;
      seen = error.message;
    }
    if (Date.now() >= deadline) throw new Error(`not within ${ms} ms: ${what} (last seen: ${seen})`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** A server's answer, or nothing if no server listens (any more): for servers that start or go away. */
export async function ifReachable(answer) {
  try {
    return await answer;
  } catch (error) {
    const { code } = error.cause ?? error;
    if (["ECONNREFUSED", "ECONNRESET", "EPIPE", "UND_ERR_SOCKET"].includes(code)) return undefined;
    throw error;
  }
}

/** A promise with a time limit. */
export async function within(ms, what, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** `work` for each of `items`, at most `width` at a time; results in the order of the items. */
export async function inParallel(items, width, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await work(items[index], index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
