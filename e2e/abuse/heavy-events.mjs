// Signed in: events of nearly a megabyte behind one that waits for Redis. An event that is refused for its size only
// when its turn comes is held in memory until then.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

/**
 * Sends `ahead` events that need Redis, then `events` of `size` bytes; resolves once the last was answered. `joined` is
 * called before them: it may stop Redis.
 */
export async function heavyEvents({
  url, users, from, signal, again, width = 1, ahead = 300, events = 600, size = 999_000, joined = () => {},
}) {
  const heavy = "x".repeat(size - 100);
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    joined();
    const userIds = Array.from({ length: 500 }, (_, index) => `user ${index}`);
    for (let sent = 0; sent < ahead; sent++) await wire.send("presence:subscribe", { userIds });
    for (let sent = 0; sent < events && wire.isOpen; sent++) await wire.send("echo", heavy);
    await wire.ask("echo", "last").catch(() => {});
    wire.close();
    addWire(counts, wire, undefined);
  });
}
