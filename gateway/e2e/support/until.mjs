// Waiting for conditions. No test waits for a fixed time.

const PAUSE = 10;

/**
 * Waits until `condition()` is truthy (it may be async, and may throw: that counts as "not yet") and returns its value.
 * After `ms` it throws, saying `what` was awaited and what was seen last.
 */
export async function until(what, condition, ms = 5000) {
  const deadline = Date.now() + ms;
  let last;
  for (;;) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      const seen = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`not within ${ms} ms: ${what} (last seen: ${seen})`);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
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
