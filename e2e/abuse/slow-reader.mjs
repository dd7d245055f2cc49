// Signed in: has a burst of the largest echoes sent to itself, then reads 16 KB a second, or nothing, with a pong now and
// then. TCP never gives up, no ping is overdue, and a queue that is bounded in frames only is never full.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function slowReader({
  url, users, from, signal, again, width = 8, events = 1000, size = 65_000, rate = 16_384,
}) {
  const text = "x".repeat(size);
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    const reading = rate > 0 ? wire.drip(rate) : wire.stall();
    for (let sent = 0; sent < events && wire.isOpen; sent++) await wire.send("echo", text);
    await reading;
    addWire(counts, wire, signal);
  });
}
