// Programs that a test starts, such as examples.

import { spawn } from "node:child_process";

/** `start(command, args, {env, cwd})` starts a program, `endAll()` ends all that still run. */
export function programs() {
  const children = [];
  /** `text` is its output so far; `ended` resolves to its exit code. */
  const start = (command, args, { env, cwd } = {}) => {
    const child = spawn(command, args, { env: { ...process.env, ...env }, cwd });
    const program = { text: "" };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (program.text += data));
    program.ended = new Promise((resolve, reject) => child.on("exit", resolve).on("error", reject));
    children.push(child);
    return program;
  };
  const endAll = () => {
    for (const child of children.splice(0)) child.kill();
  };
  return { start, endAll };
}
