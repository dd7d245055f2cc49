// deploy/nginx/follow: nginx in front of gateways that come and go, as a container runs it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer, get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { NotYet, PATIENCE_MS, ifReachable, until, within } from "./support/until.mjs";
import { ROOT } from "./support/xtask.mjs";

/** What stands for gateways: one name, one port, several addresses of this machine. */
const ADDRESSES = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
const FOLLOW = join(ROOT, "deploy/nginx/follow");

describe("nginx follows its gateways", () => {
  let folder, gateways, nginx, ended, url;
  const said = [];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "jackfield-nginx-"));
    gateways = await startGateways();
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    // The name service: what it says of a name is what stands in the file of that name.
    await mkdir(join(folder, "names"));
    await writeFile(join(folder, "getent"), `#!/bin/sh\necho "$2" >> "${folder}/looks"\ncat "${folder}/names/$2"\n`, { mode: 0o755 });
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
      RUN: folder,
      EVERY: "0.1",
    };
    nginx = spawn(FOLLOW, { env, stdio: ["ignore", "ignore", "pipe"] });
    nginx.stderr.on("data", (data) => said.push(data));
    ended = new Promise((resolve) => nginx.on("exit", (code) => resolve(code)));
    process.on("exit", () => nginx.kill());
    await until("it answers", async () => (await ifReachable(fetch(url)))?.ok);
  });
  after(async () => {
    nginx?.kill();
    await ended;
    gateways?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** From now on the name stands for these addresses. */
  async function resolves(name, addresses) {
    await writeFile(join(folder, "new"), addresses.map((address) => `${address} STREAM ${name}\n`).join(""));
    await rename(join(folder, "new"), join(folder, "names", name));
  }

  /** Waits until the names and the gateways were looked at anew, and what was seen then had its effect. */
  async function lookedAt() {
    const looks = async () => (await readFile(join(folder, "looks"), "utf8")).split("accounts").length;
    const from = await looks();
    await until("it looks again", async () => (await looks()) >= from + 3);
  }

  /** Who answers to a client of that address. Each has a connection of its own: nginx ends those that idle when it changes. */
  async function asked(path, client) {
    const [answer] = await once(get(url + path, { headers: { "x-forwarded-for": client }, agent: false }), "response");
    return { status: answer.statusCode, ...JSON.parse((await answer.toArray()).join("")) };
  }
  const poll = (client) => asked("/socket.io/?EIO=4&transport=polling&sid=x", client);
  const websocket = (client) => asked("/socket.io/?EIO=4&transport=websocket", client);
  const clients = Array.from({ length: 40 }, (_, index) => `203.0.113.${index}`);

  /** Who answers to each of many clients. */
  async function answering(request) {
    return Promise.all(clients.map(async (client) => (await request(client)).gateway));
  }

  /** Waits until exactly these answer, and nginx has begun to. */
  function inUse(addresses, request = poll) {
    return until(`${addresses} answer`, async () => {
      const seen = [...new Set(await answering(request))].sort();
      if (seen.join() !== addresses.join()) throw new NotYet(`${seen}\n${Buffer.concat(said)}`);
      return true;
    });
  }

  test("a client on polling stays where it is, others are elsewhere; websockets go anywhere", async () => {
    await inUse(ADDRESSES.slice(0, 2));
    const first = await answering(poll);
    for (let round = 0; round < 3; round++) assert.deepEqual(await answering(poll), first);
    const anywhere = new Set();
    for (let round = 0; round < 4; round++) anywhere.add((await websocket(clients[0])).gateway);
    assert.equal(anywhere.size, 2);
  });

  test("the client's address is told, and only what a trusted balancer says of it is believed", async () => {
    for (const path of ["/socket.io/?EIO=4&transport=polling", "/api/auth/check-status", "/.well-known/jwks.json"]) {
      const { headers } = await asked(path, "198.51.100.7, 203.0.113.9");
      assert.equal(headers["x-real-ip"], "203.0.113.9", path);
      assert.equal(headers["x-forwarded-for"].split(", ").at(-1), "203.0.113.9", path);
      assert.equal(headers["x-forwarded-proto"], "http", path);
    }
  });

  test("one that is not ready is left out, and clients of the others stay where they are", async () => {
    const before = await answering(poll);
    gateways.ready[ADDRESSES[1]] = false;
    await inUse([ADDRESSES[0]]);
    await inUse([ADDRESSES[0]], websocket);
    gateways.ready[ADDRESSES[1]] = true;
    // For a moment nginx as it was answers beside nginx as it is.
    await until("all are where they were", async () => assert.deepEqual(await answering(poll), before) ?? true);
  });

  test("where none is ready, all are asked all the same: they say why", async () => {
    for (const address of ADDRESSES) gateways.ready[address] = false;
    await lookedAt();
    await inUse(ADDRESSES.slice(0, 2));
    for (const address of ADDRESSES) gateways.ready[address] = true;
  });

  test("a new one is found; one that is gone is forgotten; a name that is not known for a while changes nothing", async () => {
    const before = await answering(poll);
    await resolves("gateways", ADDRESSES);
    await inUse(ADDRESSES);
    const more = await answering(poll);
    const moved = clients.filter((_, index) => more[index] !== before[index]);
    assert.ok(moved.every((client) => more[clients.indexOf(client)] === ADDRESSES[2]), "only to the new one");

    await resolves("gateways", []);
    await lookedAt();
    await inUse(ADDRESSES);
    await resolves("gateways", ADDRESSES.slice(1));
    await inUse(ADDRESSES.slice(1));
  });

  test("a request under way outlives a change", async () => {
    const waiting = asked("/socket.io/?EIO=4&transport=polling&sid=held", clients[0]);
    await until("it waits", () => gateways.held.length === 1);
    await resolves("gateways", ADDRESSES.slice(0, 2));
    await inUse(ADDRESSES.slice(0, 2));
    gateways.held.pop()();
    assert.equal((await waiting).status, 200);
  });

  test("SIGTERM ends both", async () => {
    nginx.kill("SIGTERM");
    assert.equal(await within(PATIENCE_MS, "it ends", ended), 0);
    await assert.rejects(fetch(url));
  });
});

/** Answers on all the addresses, on one port: who it is and what it was asked. */
async function startGateways() {
  const state = { ready: Object.fromEntries(ADDRESSES.map((address) => [address, true])), held: [] };
  const answer = (address) => (request, response) => {
    const { url, headers } = request;
    if (url === "/readyz") {
      response.writeHead(state.ready[address] ? 200 : 503).end();
      return;
    }
    const say = () => response.end(JSON.stringify({ gateway: address, headers }));
    if (url.endsWith("sid=held")) state.held.push(say);
    else say();
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

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
