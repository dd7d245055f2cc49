// How `cargo xtask` is called from here.

import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** `cargo xtask test` has built everything and sets its own path; by hand, cargo checks whether anything changed. */
export const XTASK = process.env.XTASK ? [process.env.XTASK] : ["cargo", "xtask"];
export const NO_BUILD = process.env.XTASK ? ["--no-build"] : [];
export const START_MS = process.env.XTASK ? 120_000 : 900_000;
