// The process of the attackers: runs one attack until a message stops it, then sends their counts.

import { once } from "node:events";

import { ATTACKS } from "./attacks.mjs";

const [{ attack, ...options }] = await once(process, "message");
const stop = new AbortController();
process.once("message", () => stop.abort());
const counts = await ATTACKS[attack].run({ ...options, ...ATTACKS[attack].options, again: true, signal: stop.signal });
process.send(counts, () => process.disconnect());
