// Commands to the cluster's Redis, and further servers beside it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./standalone.mjs";
import { PATIENCE_MS, ifReachable, until, within } from "./until.mjs";

/** Starts another Redis, which leaves nothing behind. */
export async function startRedis() {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "jackfield-redis-"));
  const own = ["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--save", ""];
  const child = spawn("redis-server", own, { stdio: "ignore" });
  // However the test ends, it does not stay behind.
  process.on("exit", () => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const redis = { url: `redis://127.0.0.1:${port}` };
  await until("it answers", async () => await ifReachable(redisCommand({ redis }, "PING")) === "+PONG");
  return {
    ...redis,
    pid: child.pid,
    stop: async () => {
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends one command, written as in `redis-cli`; returns the first line of the answer, or all that comes at once. */
export async function redisCommand(cluster, command, { whole = false } = {}) {
  const { hostname, port } = new URL(cluster.redis.url);
  const socket = connect(Number(port), hostname);
  try {
    socket.end(`${command}\r\n`);
    const [answer] = await within(PATIENCE_MS, `answer to ${command}`, once(socket, "data"));
    return whole ? answer.toString() : answer.toString().split("\r\n")[0];
  } finally {
    socket.destroy();
  }
}

/** How often this command was called, in scripts too, since Redis was started. */
export async function redisCalls(cluster, command) {
  const script = "return tonumber(string.match(redis.call('INFO', 'commandstats'), 'cmdstat_'..ARGV[1]..':calls=(%d+)') or 0)";
  const answer = await redisCommand(cluster, `EVAL "${script}" 0 ${command}`);
  return Number(answer.slice(1));
}

/** A number from a section of `INFO`. */
export async function redisNumber(cluster, section, name) {
  const text = await redisCommand(cluster, `INFO ${section}`, { whole: true });
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(text)[1]);
}
