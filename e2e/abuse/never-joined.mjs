// Without a token, and in no namespace: sends frames without end, binary ones that mean nothing here, and pongs.

import { addWire, onLines } from "./lines.mjs";
import { Wire, binaryFrame, frame } from "./wire.mjs";

const TOGETHER = 500;

export async function neverJoined({ url, from, signal, again, width = 1 }) {
  const one = (index) => (index % 10 ? binaryFrame("123456789") : frame("3"));
  const frames = Buffer.concat(Array.from({ length: TOGETHER }, (_, index) => one(index)));
  return onLines({ width, again, signal }, async (counts) => {
    const wire = await Wire.open(url, { from, signal });
    while (wire.isOpen) {
      await wire.write(frames);
      counts.frames = (counts.frames ?? 0) + TOGETHER;
      // Lets the server's data be read, too, its close among it.
      await new Promise((resolve) => setImmediate(resolve));
    }
    addWire(counts, wire, signal);
  });
}
