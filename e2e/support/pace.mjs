// Time limits of the protocol, on a machine that is busy with other work.

import { availableParallelism, loadavg } from "node:os";

/** The largest factor for a grace, so that tests do not spend too much time waiting. */
const MOST = 3;

/** The factor by which everything takes longer while more programs want to run than there are processors. */
const slowness = () => Math.max(1, loadavg()[0] / availableParallelism());

/** A time limit that holds on an idle machine, extended for the load of this one. */
export function here(ms) {
  return Math.ceil(ms * slowness());
}

/** A grace that a test must wait out, and must act within: enough time for that, on a busy machine too. */
export function grace(ms) {
  return Math.ceil(ms * Math.min(MOST, slowness()));
}
