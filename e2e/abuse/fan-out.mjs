// A few users each send a burst of `message-client`, a broadcast to the namespace; then again over a new
// connection. Without limits, the other clients of the node would be sent more than a queue holds.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function fanOut({ url, users, from, signal, again, width = 2, events = 990, size = 60_000 }) {
  const message = "x".repeat(size);
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    for (let sent = 0; sent < events - 1 && wire.isOpen; sent++) await wire.send("message-client", { message });
    // Events are handled in order: after this answer, all were.
    await wire.ask("message-client", { message }).catch(() => {});
    wire.close();
    addWire(counts, wire);
  });
}
