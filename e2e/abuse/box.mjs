// A memory limit for one process: a control group, as a container has one, inside our own group. If none can be made,
// the caller watches the process and kills it.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const GROUPS = "/sys/fs/cgroup";

/** `kind` is the kind of limit; `enter(pid)` puts a process in; `peak()` is its peak memory in bytes, if known. */
export function makeBox(bytes) {
  const ours = readFileSync("/proc/self/cgroup", "utf8").split("\n").map((line) => line.split(":"));
  const path = (controller) => ours.find(([, name]) => name === controller)?.[2];
  const kinds = [
    ["cgroup v1", "memory", join(GROUPS, "memory"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"],
    ["cgroup v2", "", GROUPS, "memory.max", "memory.peak"],
  ];
  for (const [kind, controller, root, limit, peak] of kinds) {
    if (path(controller) === undefined) continue;
    const folder = join(root, path(controller), `jackfield-${process.pid}`);
    try {
      mkdirSync(folder);
      writeFileSync(join(folder, limit), String(bytes));
    } catch {
      if (existsSync(folder)) rmdirSync(folder);
      continue;
    }
    return {
      kind,
      enter: (pid) => writeFileSync(join(folder, "cgroup.procs"), String(pid)),
      peak: () => Number(readFileSync(join(folder, peak), "utf8")),
      close: () => rmdirSync(folder),
    };
  }
  return { kind: "watched", enter: () => {}, peak: () => undefined, close: () => {} };
}
