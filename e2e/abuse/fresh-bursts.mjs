// One user uses up a whole burst of events, connects again, and tries to use another.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function freshBursts({ url, users, from, signal, again, width = 1, connections = 5, events = 950 }) {
  const [user] = users;
  return onLines({ width, again, signal }, async (counts) => {
    for (let opened = 0; opened < connections && !signal?.aborted; opened++) {
      const wire = await Wire.open(url, { from, signal });
      await wire.join(user.token);
      for (let sent = 0; sent < events - 1 && wire.isOpen; sent++) await wire.send("echo", "x");
      await wire.ask("echo", "x").catch(() => {});
      wire.close();
      addWire(counts, wire, undefined);
    }
  });
}
