// Sentinel and Redis Cluster, from `cargo xtask redis`.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { within } from "./until.mjs";
import { ROOT, START_MS, XTASK } from "./xtask.mjs";

/** Settings that have a capital letter in their names, without `redis.`. */
const CAMEL = { CA_FILE: "caFile", CERT_FILE: "certFile", KEY_FILE: "keyFile", SERVER_NAME: "serverName" };

/**
 * Starts it with TLS, client certificates and a user with few permissions. `settings` are those of a gateway that may use
 * it; `ask` sends a command to every server that holds data, as its administrator.
 */
export async function startTopology(kind) {
  const args = [...XTASK.slice(1), "redis", kind, "--tls"];
  const child = spawn(XTASK[0], args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  // However the test ends, it does not stay behind.
  process.on("exit", () => child.kill("SIGTERM"));
  const ended = once(child, "exit");
  let text = "";
  const printed = (async () => {
    for await (const data of child.stdout) {
      text += data;
      if (/TEST_REDIS_NODES=.*\n/.test(text)) return;
    }
    throw new Error(`it ended early:\n${text}`);
  })();
  await within(START_MS, `${kind} starts`, printed);
  child.stdout.resume();
  const lines = [...text.matchAll(/^export TEST_REDIS_(\w+)='(.*)'$/gm)];
  const { NODES, ...env } = Object.fromEntries(lines.map(([, name, value]) => [name, value]));
  const name = (key) => `redis.${CAMEL[key] ?? key.toLowerCase()}`;
  const settings = Object.fromEntries(Object.entries(env).map(([key, value]) => [name(key), value]));
  return {
    // A cluster of gateways brings an address of its own.
    settings: { "redis.url": "", ...settings },
    ask: (command) => Promise.all(NODES.split(",").map((url) => ask(url, command))),
    async stop() {
      child.kill("SIGTERM");
      await within(20_000, "it ends", ended);
    },
  };
}

/** One command, written as in `redis-cli`, over a Unix socket; returns all of its answer that comes at once. */
async function ask(url, command) {
  const [, path, password] = /^redis\+unix:\/\/(.*)\?pass=(.*)$/.exec(url);
  const socket = connect(path);
  try {
    for (const line of [`AUTH ${password}`, command]) {
      socket.write(`${line}\r\n`);
      const [answer] = await within(5000, `answer to ${line}`, once(socket, "data"));
      if (answer.toString().startsWith("-")) throw new Error(answer.toString());
      if (line === command) return answer.toString();
    }
  } finally {
    socket.destroy();
  }
}
