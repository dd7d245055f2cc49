// Gateways whose facts go to a backend, over a Redis that keeps what it acknowledged: each can be killed and started
// again at its address.

import { spawn } from "node:child_process";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Webhook } from "standardwebhooks";
import WebSocket from "ws";

import { defaults, signed } from "./issuer.mjs";
import { program } from "./node.mjs";
import { redisCommand } from "./redis.mjs";
import { freePort } from "./standalone.mjs";
import { NotYet, ifReachable, until } from "./until.mjs";

/** A process that is killed and started again. */
class Process {
  constructor(command, args) {
    Object.assign(this, { command, args, output: [] });
    // However the test ends, it does not stay behind.
    process.on("exit", () => this.child?.kill("SIGKILL"));
  }

  start() {
    this.child = spawn(this.command, this.args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on("data", (data) => {
        this.output.push(data);
        if (this.output.length > 5000) this.output.splice(0, 1000);
      });
    }
    this.ended = once(this.child, "exit");
  }

  async kill() {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  get log() {
    return Buffer.concat(this.output).toString();
  }
}

/** A backend that verifies facts with the stock library, and remembers them by the time of their arrival. */
class Backend {
  /** `{fact, at}` in the order of arrival, with repetitions. */
  calls = [];
  #refused = 0;

  constructor(port, secret) {
    Object.assign(this, { port, webhook: new Webhook(secret) });
  }

  async start() {
    this.server = createServer(async (request, response) => {
      const body = [];
      try {
        for await (const part of request) body.push(part);
        const fact = this.webhook.verify(Buffer.concat(body).toString(), request.headers);
        if (fact.id !== request.headers["webhook-id"]) throw new Error(`webhook-id of ${fact.id}`);
        this.calls.push({ fact, at: Date.now() });
        response.writeHead(204).end();
      } catch {
        this.#refused += 1;
        response.writeHead(400).end();
      }
    });
    this.server.keepAliveTimeout = 60_000;
    this.server.listen(this.port, "127.0.0.1");
    await once(this.server, "listening");
  }

  async kill() {
    this.server.close();
    this.server.closeAllConnections();
    await once(this.server, "close");
  }

  /** How many calls were refused. */
  get refused() {
    return this.#refused;
  }

  /** The facts without repetitions, each where it came first. */
  get facts() {
    const known = new Set();
    return this.calls.map(({ fact }) => fact).filter(({ id }) => !known.has(id) && known.add(id));
  }
}

/** Starts `nodes` gateways with a hook for these facts. */
export async function startFacts({ nodes = 3, facts = "session.*+user.*", set = {} } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "jackfield-facts-"));
  const [redisPort, backendPort] = [await freePort(), await freePort()];
  const aof = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", folder];
  const redis = new Process("redis-server", ["--bind", "127.0.0.1", "--port", String(redisPort), ...aof]);
  redis.url = `redis://127.0.0.1:${redisPort}`;
  redis.up = () => until("Redis answers", async () => await ifReachable(redisCommand({ redis }, "PING")) === "+PONG");
  redis.start();
  await redis.up();

  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  await writeFile(join(folder, "secret"), secret);
  const backend = new Backend(backendPort, secret);
  await backend.start();

  const [key, apiKey] = [randomBytes(32).toString("hex"), randomBytes(32).toString("hex")];
  const hook = `test;url=http://127.0.0.1:${backendPort}/;facts=${facts};secretFile=${join(folder, "secret")}`;
  const gateways = [];
  for (let index = 0; index < nodes; index++) {
    const [port, internalPort] = [await freePort(), await freePort()];
    const settings = {
      port,
      host: "127.0.0.1",
      "node.id": `gw${index}`,
      "internal.port": internalPort,
      "redis.url": redis.url,
      "jwt.secret": key,
      "api.keys": `test:read+hooks:${createHash("sha256").update(apiKey).digest("hex")}`,
      "limits.userConnectRate": 0,
      facts: "on",
      hooks: JSON.stringify([hook]),
      ...set,
    };
    const args = Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
    const gateway = new Process(await program(), args);
    Object.assign(gateway, { id: `gw${index}`, url: `ws://127.0.0.1:${port}`, internal: `http://127.0.0.1:${internalPort}` });
    gateway.up = () => until(`${gateway.id} is ready`, async () => {
      if ((await ifReachable(fetch(`${gateway.internal}/readyz`)))?.ok) return true;
      throw new NotYet(gateway.log.slice(-1000));
    }, 60_000);
    gateways.push(gateway);
    gateway.start();
  }
  await Promise.all(gateways.map((gateway) => gateway.up()));

  const read = async (path) => {
    const headers = { authorization: `Bearer ${apiKey}` };
    for (const gateway of gateways) {
      const answer = await ifReachable(fetch(`${gateway.internal}/v1${path}`, { headers, signal: AbortSignal.timeout(20_000) }));
      if (answer?.ok) return answer.json();
      if (answer && answer.status !== 503) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    }
    throw new NotYet(`${path}: no gateway answers`);
  };
  return {
    redis,
    backend,
    gateways,
    read,
    token: (user) => signed({ ...defaults(), sub: user, exp: Math.floor(Date.now() / 1000) + 7200 }, { alg: "HS256", typ: "JWT" }, key),
    /** The whole log, read in pages. */
    async log(types) {
      const [all, dropped, reset] = [[], 0, false];
      let seen = { dropped, reset };
      for (let cursor = ""; ;) {
        const page = await read(`/facts?limit=1000&after=${cursor}${types ? `&type=${types}` : ""}`);
        all.push(...page.facts);
        seen = { dropped: seen.dropped + (page.dropped ?? 0), reset: seen.reset || Boolean(page.reset) };
        cursor = page.cursor;
        if (!page.more) return { facts: all, ...seen };
      }
    },
    /** What waits for the hook. */
    delivery: async () => (await read("/hooks")).hooks[0].delivery,
    async stop() {
      await Promise.all([...gateways, redis].map((one) => one.kill()));
      await backend.kill().catch(() => {});
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A client that does the least: joins `/`, answers pings, and knows the id of its socket. */
export class LightClient {
  static async join(url, token) {
    const client = new this();
    client.socket = new WebSocket(`${url}/socket.io/?EIO=4&transport=websocket`, { handshakeTimeout: 5000 });
    client.closed = new Promise((resolve) => client.socket.on("close", resolve));
    client.socket.on("error", () => {});
    const joined = new Promise((resolve) => {
      client.socket.on("message", (data) => {
        const packet = data.toString();
        if (packet[0] === "0") client.socket.send(`40${JSON.stringify({ token, recover: true })}`);
        else if (packet === "2") client.socket.send("3");
        else if (packet.startsWith("40{")) resolve(JSON.parse(packet.slice(2)).sid);
        else if (packet.startsWith("44")) resolve(undefined);
      });
    });
    const late = setTimeout(() => client.socket.terminate(), 10_000);
    client.id = await Promise.race([joined, client.closed.then(() => undefined)]);
    clearTimeout(late);
    if (!client.id) client.socket.terminate();
    return client.id && client;
  }

  /** Leaves: with a DISCONNECT, by closing, or without a word. */
  leave(how) {
    if (how === "disconnect") this.socket.send("41");
    if (how === "cut") this.socket.terminate();
    else this.socket.close();
    return this.closed;
  }
}

/** A name that no other user has. */
export const newUser = (index) => `user-${index}-${randomUUID().slice(0, 8)}`;
