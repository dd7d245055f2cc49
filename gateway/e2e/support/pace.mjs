// Time limits of the contract, on a machine that does other things besides.

import { availableParallelism, loadavg } from "node:os";

/** Of a test's own time, no more than so many times what it would need alone is spent on waiting. */
const MOST = 3;

/** How many times longer everything takes while more programs want to run than there are processors. */
const slowness = () => Math.max(1, loadavg()[0] / availableParallelism());

/** A time limit that holds on a machine of one's own, as this one can keep it. */
export function here(ms) {
  return Math.ceil(ms * slowness());
}

/** A grace that a test has to wait out, and to do something within: time enough for that, on a busy machine too. */
export function grace(ms) {
  return Math.ceil(ms * Math.min(MOST, slowness()));
}
