// deploy/nginx/follow: nginx in front of gateways that come and go, as a container runs it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import { after, before, describe, test } from "node:test";

import { ADDRESSES, startFollow } from "./support/follow.mjs";
import { NotYet, PATIENCE_MS, ifReachable, until, within } from "./support/until.mjs";

describe("nginx follows its gateways", () => {
  let nginx, gateways, url, resolves, checked;

  before(async () => {
    nginx = await startFollow();
    ({ gateways, url, resolves, checked } = nginx);
  });
  after(() => nginx?.stop());

  /** The answer to a client of that address. Each has its own connection: nginx closes idle ones when it reloads. */
  async function request(path, client) {
    const [answer] = await once(get(url + path, { headers: { "x-forwarded-for": client }, agent: false }), "response");
    return { status: answer.statusCode, ...JSON.parse((await answer.toArray()).join("")) };
  }
  const poll = (client) => request("/socket.io/?EIO=4&transport=polling&sid=x", client);
  const websocket = (client) => request("/socket.io/?EIO=4&transport=websocket", client);
  const clients = Array.from({ length: 40 }, (_, index) => `203.0.113.${index}`);

  /** The gateways that answer each of many clients. */
  async function answering(request) {
    return Promise.all(clients.map(async (client) => (await request(client)).gateway));
  }

  /** Waits until exactly these gateways answer. */
  function inUse(addresses, request = poll) {
    return until(`${addresses} answer`, async () => {
      const seen = [...new Set(await answering(request))].sort();
      if (seen.join() !== addresses.join()) throw new NotYet(`${seen}\n${nginx.text()}`);
      return true;
    });
  }

  test("the requests of one client go to the gateways in turn, polls too", async () => {
    await inUse(ADDRESSES.slice(0, 2));
    for (const request of [poll, websocket]) {
      const seen = new Set();
      for (let round = 0; round < 4; round++) seen.add((await request(clients[0])).gateway);
      assert.equal(seen.size, 2);
    }
  });

  test("the client address is passed on, and only a trusted balancer may set it", async () => {
    for (const path of ["/socket.io/?EIO=4&transport=polling", "/api/auth/check-status", "/.well-known/jwks.json"]) {
      const { headers } = await request(path, "198.51.100.7, 203.0.113.9");
      assert.equal(headers["x-real-ip"], "203.0.113.9", path);
      assert.equal(headers["x-forwarded-for"].split(", ").at(-1), "203.0.113.9", path);
      assert.equal(headers["x-forwarded-proto"], "http", path);
    }
  });

  test("an unready gateway gets no requests until it is ready", async () => {
    gateways.ready[ADDRESSES[1]] = false;
    await inUse([ADDRESSES[0]]);
    await inUse([ADDRESSES[0]], websocket);
    gateways.ready[ADDRESSES[1]] = true;
    await inUse(ADDRESSES.slice(0, 2));
  });

  test("if no gateway is ready, all get requests, so that their refusal names the reason", async () => {
    for (const address of ADDRESSES) gateways.ready[address] = false;
    await checked();
    await inUse(ADDRESSES.slice(0, 2));
    for (const address of ADDRESSES) gateways.ready[address] = true;
  });

  test("a new gateway is found; a removed one is dropped; a failed name lookup changes nothing", async () => {
    await resolves("gateways", ADDRESSES);
    await inUse(ADDRESSES);
    await resolves("gateways", []);
    await checked();
    await inUse(ADDRESSES);
    await resolves("gateways", ADDRESSES.slice(1));
    await inUse(ADDRESSES.slice(1));
  });

  test("a request in progress survives a reload", async () => {
    const waiting = request("/socket.io/?EIO=4&transport=polling&sid=held", clients[0]);
    await until("it waits", () => gateways.held.length === 1);
    await resolves("gateways", ADDRESSES.slice(0, 2));
    await inUse(ADDRESSES.slice(0, 2));
    gateways.held.pop()();
    assert.equal((await waiting).status, 200);
  });

  test("on a full disk the list stays as it is, and is updated once there is space", async () => {
    await nginx.diskIsFull(true);
    await resolves("gateways", ADDRESSES.slice(0, 1));
    await checked();
    await inUse(ADDRESSES.slice(0, 2));
    await nginx.diskIsFull(false);
    await inUse(ADDRESSES.slice(0, 1));
    await resolves("gateways", ADDRESSES.slice(0, 2));
    await inUse(ADDRESSES.slice(0, 2));
  });

  test("SIGTERM stops both processes", async () => {
    nginx.nginx.kill("SIGTERM");
    assert.equal(await within(PATIENCE_MS, "it ends", nginx.ended), 0);
    await assert.rejects(fetch(url));
  });
});
