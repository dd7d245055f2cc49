// Signed in: an event announces binary parts, and they do not come. A server that can no longer parse the stream must
// close it, so that a stock client reconnects.

import { addWire, onLines } from "./lines.mjs";
import { Wire, binaryFrame } from "./wire.mjs";

const HOLE = (number) => `{"_placeholder":true,"num":${number}}`;

/** The packets of each breach. */
export const BREACHES = {
  "text comes instead": ['451-["echo",' + HOLE(0) + "]", '42["echo","x"]'],
  "an unannounced part": [Buffer.alloc(10)],
};

/** Sends one breach; then sends `echo`s while the connection is open, five at most. */
export async function missingParts({ url, users, from, signal, again, width = 1, breach = "text comes instead" }) {
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    for (const part of BREACHES[breach]) await (typeof part === "string" ? wire.text(part) : wire.write(binaryFrame(part)));
    for (let sent = 0; sent < 5 && wire.isOpen; sent++) await wire.send("echo", "x");
    await wire.closed;
    addWire(counts, wire, signal);
  });
}
