// Time limits of the contract, on a machine that does other things besides.

import { availableParallelism, loadavg } from "node:os";

/**
 * A time limit that holds on a machine of one's own, as this one can keep it: while more programs want to run than there are
 * processors, everything takes so many times longer.
 */
export function here(ms) {
  return Math.ceil(ms * Math.max(1, loadavg()[0] / availableParallelism()));
}
