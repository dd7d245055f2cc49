// Signed in: sends events without end, regardless of the answers.

import { addWire, onLines } from "./lines.mjs";
import { Wire, frame } from "./wire.mjs";

const TOGETHER = 500;

export async function flood({ url, users, from, signal, again, width = 1 }) {
  const events = Buffer.concat(Array.from({ length: TOGETHER }, () => frame('42["echo","x"]')));
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    while (wire.isOpen) {
      await wire.write(events);
      counts.frames = (counts.frames ?? 0) + TOGETHER;
      await new Promise((resolve) => setImmediate(resolve));
    }
    addWire(counts, wire, signal);
  });
}
