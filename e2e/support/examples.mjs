// The examples of backends in Node.js, each test with a copy of its own.

import { cp, mkdtemp, stat, symlink } from "node:fs/promises";
import { join } from "node:path";

import { ROOT } from "./xtask.mjs";

/** A copy of a folder of `examples/`, with its packages, which `cargo xtask test` installs. */
export async function copied(name) {
  const [from, to] = [join(ROOT, "examples", name), await mkdtemp(join(import.meta.dirname, "..", "example-"))];
  await cp(from, to, { recursive: true, filter: (file) => !file.includes("node_modules") });
  if (await exists(join(from, "package.json"))) {
    const packages = join(from, "node_modules");
    if (!await exists(packages)) throw new Error(`run \`npm ci --prefix examples/${name}\` first`);
    await symlink(packages, join(to, "node_modules"));
  }
  return to;
}

const exists = (file) => stat(file).then(() => true, () => false);
