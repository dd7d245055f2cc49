// Invalid handshakes and their errors: at a node, and through nginx.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { api, register } from "./support/users.mjs";
import { rawRequest } from "./support/wire.mjs";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

describe("handshakes", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startCluster({ nodes: 1 });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  const upgrade = { Upgrade: "websocket", Connection: "Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13" };
  /** A WebSocket handshake with some headers changed, or left out if they have no value. */
  const handshake = (url, changed, query = "EIO=4&transport=websocket") => {
    const headers = Object.entries({ Host: new URL(url).host, ...upgrade, ...changed }).filter(([, value]) => value !== undefined);
    return rawRequest(url, [`GET /socket.io/?${query} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)]);
  };
  const places = { "a node": () => cluster.urls[0], nginx: () => cluster.balancer };

  const bad = {
    "a key that is too short": [{ "Sec-WebSocket-Key": "short" }, [400]],
    "a key of 15 bytes": [{ "Sec-WebSocket-Key": Buffer.alloc(15).toString("base64") }, [400]],
    "a key of 17 bytes": [{ "Sec-WebSocket-Key": Buffer.alloc(17).toString("base64") }, [400]],
    "a key that is not base64": [{ "Sec-WebSocket-Key": "!".repeat(22) + "==" }, [400]],
    "no key": [{ "Sec-WebSocket-Key": undefined }, [400]],
    "version 1": [{ "Sec-WebSocket-Version": "1" }, [426]],
    "version 14": [{ "Sec-WebSocket-Version": "14" }, [426]],
    "a version that is not a number": [{ "Sec-WebSocket-Version": "x" }, [400, 426]],
    "no version": [{ "Sec-WebSocket-Version": undefined }, [400, 426]],
    "no Upgrade": [{ Upgrade: undefined }, [400, 426]],
    "another Upgrade": [{ Upgrade: "h2c" }, [400, 426]],
    "neither Upgrade nor Connection": [{ Upgrade: undefined, Connection: undefined }, [400, 426]],
  };
  for (const [place, url] of Object.entries(places)) {
    for (const [name, [changed, statuses]] of Object.entries(bad)) {
      test(`${place}: ${name} is refused`, async () => {
        const { status, headers } = await handshake(url(), changed);
        assert.ok(statuses.includes(status), `${status} ${JSON.stringify(headers)}`);
        if (status === 426) assert.equal(headers["sec-websocket-version"], "13");
        assert.equal(headers["sec-websocket-accept"], undefined);
      });
    }

    test(`${place}: variants that RFC 6455 allows are accepted`, async () => {
      for (const changed of [
        {},
        { Upgrade: "WebSocket", Connection: "keep-alive, upgrade" },
        { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" },
      ]) {
        const { status, headers } = await handshake(url(), changed);
        assert.equal(status, 101, JSON.stringify(changed));
        assert.equal(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert.equal(headers["sec-websocket-extensions"], undefined);
      }
    });
  }

  // Not through nginx, which writes a Connection of its own.
  test("a node: Connection without `upgrade` is refused", async () => {
    for (const connection of [undefined, "keep-alive", "Upgraded"]) {
      const { status } = await handshake(cluster.urls[0], { Connection: connection });
      assert.ok([400, 426].includes(status), `${connection}: ${status}`);
    }
  });

  const errors = {
    "an unknown transport": ["GET", "EIO=4&transport=pigeon", 0, "Transport unknown"],
    "no transport": ["GET", "EIO=4", 0, "Transport unknown"],
    "an unknown session": ["GET", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", 1, "Session ID unknown"],
    "an invalid session id": ["GET", "EIO=4&transport=polling&sid=x", 1, "Session ID unknown"],
    "a POST to an unknown session": ["POST", "EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAA", 1, "Session ID unknown"],
    "a handshake by POST": ["POST", "EIO=4&transport=polling", 2, "Bad handshake method"],
    "another protocol": ["GET", "EIO=3&transport=polling", 5, "Unsupported protocol version"],
    "no protocol": ["GET", "transport=polling", 5, "Unsupported protocol version"],
  };
  for (const [place, url] of Object.entries(places)) {
    test(`${place}: errors of Engine.IO have the codes that clients know`, async () => {
      for (const [name, [method, query, code, message]] of Object.entries(errors)) {
        const answer = await fetch(`${url()}/socket.io/?${query}`, { method, body: method === "POST" ? "40" : undefined });
        assert.equal(answer.status, 400, name);
        assert.match(answer.headers.get("content-type"), /^application\/json/, name);
        assert.deepEqual(await answer.json(), { code, message }, name);
      }
    });
  }

  test("an upgrade of a polling session must be a handshake, too, and a bad one leaves the session alone", async () => {
    const ana = await register(cluster);
    const client = await signedIn(cluster.urls[0], ana, { transports: ["polling"] });
    const query = `EIO=4&transport=websocket&sid=${client.socket.io.engine.id}`;
    for (const [changed, statuses] of Object.values(bad)) {
      const { status } = await handshake(cluster.urls[0], changed, query);
      assert.ok(statuses.includes(status), `${JSON.stringify(changed)}: ${status}`);
    }
    assert.equal(await client.ask("echo", "still here"), "still here");
    assert.deepEqual(client.disconnects, []);
  });

  test("every path of the accounts API also works with a trailing slash", async () => {
    const { paths } = await (await fetch(`${cluster.balancer}/api/openapi.json`)).json();
    const calls = Object.entries(paths).filter(([path]) => path.startsWith("/api")).flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path]));
    assert.ok(calls.some(([, path]) => path === "/api/auth/login") && calls.length >= 4, JSON.stringify(calls));
    for (const [method, documented] of calls) {
      const path = documented.replace(/\{\w+\}/g, "x");
      const ask = async (path) => {
        const body = ["POST", "PATCH", "PUT"].includes(method) ? "{}" : undefined;
        const answer = await fetch(cluster.balancer + path, { method, body, headers: { "content-type": "application/json" }, redirect: "manual" });
        const text = await answer.text();
        return { status: answer.status, code: text.startsWith("{") ? JSON.parse(text).code : undefined };
      };
      const [plain, slashed] = [await ask(path), await ask(`${path}/`)];
      assert.deepEqual(slashed, plain, `${method} ${path}/`);
      assert.notEqual(plain.status, 404, `${method} ${path}`);
    }
  });

  test("the demo users and a sign-in, as Nest's clients write them", async () => {
    const seeded = await fetch(`${cluster.balancer}/api/seed/`);
    assert.equal(seeded.status, 200);
    const { status, body } = await api(cluster, "POST", "/auth/login/", { email: "test1@mail.com", password: "test123" });
    assert.equal(status, 200);
    const headers = { authorization: `Bearer ${body.token}` };
    assert.equal((await fetch(`${cluster.balancer}/api/auth/check-status/`, { headers })).status, 200);
    await signedIn(cluster.balancer, body);
    for (const wrong of ["/api/seed//", "/api/nothing/", "/api/auth/"]) {
      assert.equal((await fetch(cluster.balancer + wrong)).status, 404, wrong);
    }
  });
});
