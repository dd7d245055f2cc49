// nginx with a configuration of the test.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { ifReachable, until } from "./until.mjs";

/** Starts it with the content of `http {…}`, and waits until `url` answers. */
export async function startNginx(http, url) {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-nginx-"));
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((of) => `${of}_temp_path ${folder}/${of};`);
  const main = `daemon off; pid ${folder}/pid; error_log stderr; worker_processes 1;\nevents {}\n`;
  await writeFile(join(folder, "nginx.conf"), `${main}http {\naccess_log off; ${places.join(" ")}\n${http}\n}\n`);
  const child = spawn("nginx", ["-p", folder, "-e", "stderr", "-c", "nginx.conf"], { stdio: ["ignore", "ignore", "pipe"] });
  // However the test ends, it does not stay behind.
  process.on("exit", () => child.kill("SIGKILL"));
  let text = "";
  child.stderr.on("data", (data) => (text += data));
  const ended = once(child, "exit");
  await until("nginx answers", async () => {
    if (child.exitCode !== null) throw new Error(text);
    return ifReachable(fetch(url));
  });
  return {
    async stop() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
