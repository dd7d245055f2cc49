// deploy/nginx/follow, as a container runs it, in front of stand-ins for gateways and accounts.

import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./standalone.mjs";
import { ifReachable, until } from "./until.mjs";
import { ROOT } from "./xtask.mjs";

/** The stand-ins for gateways: one name, one port, several addresses of this machine. */
export const ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];

/** Starts it with more variables in its environment. */
export async function startFollow(more = {}) {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-nginx-"));
  // If root starts nginx, its workers run as another user.
  await chmod(folder, 0o755);
  const gateways = await startGateways();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const output = [];
  await mkdir(join(folder, "names"));
  await mkdir(join(folder, "run"));

  /** A program that `follow` finds instead of the system's. */
  async function program(name, text) {
    await writeFile(join(folder, name), `#!/bin/sh\n${text}\n`);
    await chmod(join(folder, name), 0o755);
  }
  /** From now on the name resolves to these addresses. */
  async function resolves(name, addresses) {
    await writeFile(join(folder, "new"), addresses.map((address) => `${address} STREAM ${name}\n`).join(""));
    await rename(join(folder, "new"), join(folder, "names", name));
  }
  // The name service: its answer for a name is the content of the file of that name.
  await program("getent", `echo "$2" >> "${folder}/lookups"\ncat "${folder}/names/$2"`);
  await resolves("gateways", ADDRESSES.slice(0, 2));
  await resolves("accounts", [ADDRESSES[0]]);
  const env = {
    PATH: `${folder}:${process.env.PATH}`,
    GATEWAY: `gateways:${gateways.port}`,
    GATEWAY_READY: String(gateways.port),
    AUTH: `accounts:${gateways.port}`,
    LISTEN: `127.0.0.1:${port}`,
    TRUSTED_PROXIES: "127.0.0.0/8",
    PARTS: join(ROOT, "deploy/nginx"),
    PAGE: join(ROOT, "deploy/page"),
    ACCESS: "off",
    RUN: join(folder, "run"),
    EVERY: "0.1",
    ...more,
  };
  // While the file `full` exists, it writes as if the disk were full.
  await program("sed", `if [ -e "${folder}/full" ]; then echo "half of it"; exit 4; fi\nPATH=\${PATH#*:} exec sed "$@"`);
  const nginx = spawn(join(ROOT, "deploy/nginx/follow"), { env, stdio: ["ignore", "ignore", "pipe"] });
  nginx.stderr.on("data", (data) => output.push(data));
  const ended = new Promise((resolve) => nginx.on("exit", (code) => resolve(code)));
  process.on("exit", () => nginx.kill());
  const text = () => Buffer.concat(output).toString();
  const answers = async () => {
    if (nginx.exitCode !== null) throw new Error(text());
    return (await ifReachable(fetch(url)))?.ok;
  };
  await until("it answers", answers, 20_000);
  return {
    url, nginx, ended, gateways, resolves, text,
    run: env.RUN,
    /** From now on writes fail, or succeed again. */
    diskIsFull: (full) => full ? writeFile(join(folder, "full"), "") : rm(join(folder, "full")),
    /** Waits until the names and the gateways were checked anew, and the result had its effect. */
    async checked() {
      const lookups = async () => (await readFile(join(folder, "lookups"), "utf8")).split("accounts").length;
      const from = await lookups();
      await until("the names are looked up again", async () => (await lookups()) >= from + 3, 20_000);
    },
    async stop() {
      nginx.kill();
      await ended;
      gateways.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Answers on all the addresses, on one port, with the address and the headers of the request. */
async function startGateways() {
  const state = { ready: Object.fromEntries(ADDRESSES.map((address) => [address, true])), held: [], received: 0 };
  const answer = (address) => (request, response) => {
    const { url, headers } = request;
    if (url === "/readyz") {
      response.writeHead(state.ready[address] ? 200 : 503).end();
      return;
    }
    const respond = () => response.end(JSON.stringify({ gateway: address, headers }));
    request.on("data", (data) => (state.received += data.length));
    if (url.endsWith("sid=held")) state.held.push(respond);
    else request.on("end", respond).resume();
  };
  const servers = ADDRESSES.map((address) => createServer(answer(address)));
  const listen = (server, port, host) => new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, host, resolve);
  });
  await listen(servers[0], 0, ADDRESSES[0]);
  const { port } = servers[0].address();
  for (const [index, server] of servers.entries()) if (index > 0) await listen(server, port, ADDRESSES[index]);
  state.port = port;
  state.stop = () => {
    for (const server of servers) server.close().closeAllConnections();
  };
  return state;
}
