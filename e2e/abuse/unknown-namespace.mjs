// Without a token: tries to keep a connection by requesting an unknown namespace again and again.

import { setTimeout as pause } from "node:timers/promises";

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function unknownNamespace({ url, from, signal, again, width = 1, everyMs = 5000 }) {
  return onLines({ width, again, signal }, async (counts) => {
    const wire = await Wire.open(url, { from, signal });
    const asking = new AbortController();
    wire.closed.then(() => asking.abort());
    while (wire.isOpen) {
      await wire.text("40/nowhere,");
      await pause(everyMs, undefined, { signal: asking.signal }).catch(() => {});
    }
    addWire(counts, wire, signal);
  });
}
