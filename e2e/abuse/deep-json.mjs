// Signed in: events of nearly a megabyte of nested brackets. A server that parses them to the end to find their name is
// kept busy.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function deepJson({ url, users, from, signal, again, width = 1, events = 200, depth = 450_000, flat = false }) {
  const deep = flat ? `["echo","${"x".repeat(2 * depth)}"]` : `["echo",${"[".repeat(depth)}${"]".repeat(depth)}]`;
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    for (let sent = 0; sent < events && wire.isOpen; sent++) await wire.text(`42${deep}`);
    await wire.ask("echo", "last").catch(() => {});
    wire.close();
    addWire(counts, wire, undefined);
  });
}
