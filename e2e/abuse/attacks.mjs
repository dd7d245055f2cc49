// All attacks as the long measurement runs them: repeatedly until it is over. `users` is the number of accounts.

import { deepJson } from "./deep-json.mjs";
import { endlessPosts } from "./endless-posts.mjs";
import { fanOut } from "./fan-out.mjs";
import { flood } from "./flood.mjs";
import { freshBursts } from "./fresh-bursts.mjs";
import { handshakes } from "./handshakes.mjs";
import { heavyEvents } from "./heavy-events.mjs";
import { longNamespace } from "./long-namespace.mjs";
import { BREACHES, missingParts } from "./missing-parts.mjs";
import { neverJoined } from "./never-joined.mjs";
import { fillRoom, oldJoins } from "./old-joins.mjs";
import { privateBurst } from "./private-burst.mjs";
import { slowReader } from "./slow-reader.mjs";
import { strange } from "./strange.mjs";
import { unknownNamespace } from "./unknown-namespace.mjs";

/** `prepare(api)` returns further arguments; `stallsRedis` stops Redis for 3 of every 10 seconds meanwhile. */
export const ATTACKS = {
  // No attack: the noise of the machine itself, to compare with.
  nothing: { run: ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve({}))) },
  "long-namespace": { run: longNamespace },
  "slow-reader": { run: slowReader, users: 8 },
  "no-reader": { run: slowReader, users: 8, options: { rate: 0 } },
  "fan-out": { run: fanOut, users: 2, options: { size: 1000 } },
  "fan-out-long": { run: fanOut, users: 2 },
  "private-burst": { run: privateBurst, users: 5 },
  "old-joins": { run: oldJoins, users: 6, prepare: fillRoom, options: { width: 6 } },
  "old-joins-unread": { run: oldJoins, users: 6, prepare: fillRoom, options: { width: 6, read: false } },
  "fresh-bursts": { run: freshBursts, users: 1 },
  "never-joined": { run: neverJoined },
  flood: { run: flood, users: 1 },
  "unknown-namespace": { run: unknownNamespace, options: { width: 100 } },
  "endless-posts": { run: endlessPosts },
  handshakes: { run: handshakes },
  "heavy-events": { run: heavyEvents, users: 1 },
  "heavy-events-stalled": { run: heavyEvents, users: 1, stallsRedis: true },
  "deep-json": { run: deepJson, users: 1 },
  "missing-parts": { run: missingParts, users: 1, options: { breach: Object.keys(BREACHES)[1] } },
  strange: { run: strange, users: 4 },
};
