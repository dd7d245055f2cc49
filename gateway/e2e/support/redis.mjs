// A word with the cluster's Redis.

import { connect } from "node:net";
import { once } from "node:events";
import { within } from "./until.mjs";

/** Sends one command, written as in `redis-cli`; returns the first line of the answer. */
export async function redisCommand(cluster, command) {
  const { hostname, port } = new URL(cluster.redis.url);
  const socket = connect(Number(port), hostname);
  try {
    socket.end(`${command}\r\n`);
    const [answer] = await within(5000, `answer to ${command}`, once(socket, "data"));
    return answer.toString().split("\r\n")[0];
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
