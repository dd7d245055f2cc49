// Connecting: the clients of the seeds, every transport, every place of a token, key sets, and the end of a token. All
// other refusals are tested in `gateway/tests/it/connect.rs`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Client, VERSIONS, closeAll, connect } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { otherKey, signed, startIssuer } from "./support/issuer.mjs";
import { until } from "./support/until.mjs";
import { register } from "./support/users.mjs";

const TRANSPORTS = {
  "websocket only": { options: { transports: ["websocket"] }, first: "websocket", then: "websocket" },
  "polling only": { options: { transports: ["polling"] }, first: "polling", then: "polling" },
  "polling, upgraded": { options: { transports: ["polling", "websocket"] }, first: "polling", then: "websocket" },
};

describe("connecting to a cluster", () => {
  let cluster, ana;
  before(async () => {
    cluster = await startCluster();
    ana = await register(cluster, "Ana Lopez");
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** The URL of every gateway, and the balancer's. */
  const everywhere = () => [cluster.balancer, ...cluster.urls];

  for (const [version, { Manager, io }] of Object.entries(VERSIONS)) {
    test(`client ${version}: a Manager with the authentication header, polling first, then upgraded`, async () => {
      for (const url of everywhere()) {
        const extraHeaders = { ping: "pong", authentication: ana.token };
        const manager = new Manager(`${url}/socket.io/socket.io.js`, { extraHeaders, forceNew: true });
        const client = new Client(manager.socket("/"));
        await client.ready();
        assert.deepEqual(client.openedOn, ["polling"]);
        await until("upgraded", () => client.transport === "websocket");
        await client.waitFor("clients-updated", (ids) => ids.includes(client.id));

        client.send("message-client", { id: client.id, message: "hola" });
        assert.deepEqual(await client.waitFor("message-server"), { fullName: "Ana Lopez", message: "hola" });
        client.close();
      }
    });

    test(`client ${version}: io({auth: {token, name}})`, async () => {
      for (const url of everywhere()) {
        const client = new Client(io(url, { auth: { token: ana.token, name: "John Doe" }, forceNew: true }));
        await client.ready();
        client.send("message-client", { message: "hello" });
        // The name is the account's, not the one that the client sends.
        assert.equal((await client.waitFor("message-server")).fullName, "Ana Lopez");
        client.close();
      }
    });

    for (const [name, { options, first, then }] of Object.entries(TRANSPORTS)) {
      test(`client ${version}: ${name}`, async () => {
        for (const url of everywhere()) {
          const client = connect(url, { token: ana.token, version, ...options });
          await client.ready();
          assert.deepEqual(client.openedOn, [first]);
          await until(`on ${then}`, () => client.transport === then);
          assert.equal((await client.ask("message", "over this transport")).status, "ok");
          client.close();
        }
      });
    }
  }

  const places = {
    "auth.token": (token) => ({ token }),
    Authorization: (token) => ({ extraHeaders: { Authorization: token } }),
    authentication: (token) => ({ extraHeaders: { authentication: token } }),
    "?token=": (token) => ({ query: { token } }),
  };
  for (const [place, options] of Object.entries(places)) {
    test(`a token in ${place}, with and without Bearer`, async () => {
      for (const token of [ana.token, `Bearer ${ana.token}`, `bearer ${ana.token}`]) {
        for (const transports of [["websocket"], ["polling"]]) {
          const client = connect(cluster.balancer, { ...options(token), transports });
          await client.ready();
          assert.equal(client.last("authenticated").userId, ana.id);
          client.close();
        }
      }
    });
  }

  test("auth.token comes before the headers, and those before the query", async () => {
    const [bob, eve] = [await register(cluster, "Bob B"), await register(cluster, "Eve E")];
    const first = connect(cluster.balancer, {
      token: ana.token,
      extraHeaders: { Authorization: bob.token },
      query: { token: eve.token },
    });
    await first.ready();
    assert.equal(first.last("authenticated").userId, ana.id);
    const second = connect(cluster.balancer, { extraHeaders: { Authorization: bob.token }, query: { token: eve.token } });
    await second.ready();
    assert.equal(second.last("authenticated").userId, bob.id);
  });

  test("the public socketId gives no access to a polling session", async () => {
    const client = connect(cluster.urls[0], { token: ana.token, transports: ["polling"] });
    await client.ready();
    const answer = await fetch(`${cluster.urls[0]}/socket.io/?EIO=4&transport=polling&sid=${client.id}`);
    assert.equal(answer.status, 400);
    assert.equal((await client.ask("message", "still here")).status, "ok");
  });

  test("the stock browser client is served", async () => {
    for (const url of everywhere()) {
      for (const file of ["socket.io.js", "socket.io.min.js"]) {
        const answer = await fetch(`${url}/socket.io/${file}`);
        assert.equal(answer.status, 200, file);
        assert.match(answer.headers.get("content-type"), /javascript/);
        assert.match(await answer.text(), /Socket\.IO v4\.8/);
      }
      const map = await fetch(`${url}/socket.io/socket.io.js.map`);
      assert.equal(map.status, 200);
      assert.ok((await map.json()).sources.length > 0);
    }
  });

  test("CORS: allowed origins with credentials, no others", async () => {
    const url = `${cluster.urls[0]}/socket.io/?EIO=4&transport=polling`;
    const allowed = await fetch(url, { headers: { origin: "http://localhost:5173" } });
    assert.equal(allowed.headers.get("access-control-allow-origin"), "http://localhost:5173");
    assert.equal(allowed.headers.get("access-control-allow-credentials"), "true");
    const preflight = await fetch(url, {
      method: "OPTIONS",
      headers: {
        origin: "http://localhost:5173",
        "access-control-request-method": "GET",
        "access-control-request-headers": "authentication",
      },
    });
    assert.ok(preflight.ok);
    assert.match(preflight.headers.get("access-control-allow-headers"), /authentication/i);
    const other = await fetch(url, { headers: { origin: "https://evil.example" } });
    assert.equal(other.headers.get("access-control-allow-origin"), null);
  });

  test("tokens of the auth service that were tampered with are refused", async () => {
    const [header, claims, signature] = ana.token.split(".");
    const changed = { ...JSON.parse(Buffer.from(claims, "base64url")), sub: "somebody-else" };
    const withClaims = `${header}.${Buffer.from(JSON.stringify(changed)).toString("base64url")}.${signature}`;
    const { keys } = await (await fetch(`${cluster.balancer}/.well-known/jwks.json`)).json();
    const { kid } = JSON.parse(Buffer.from(header, "base64url"));
    const key = Buffer.from(keys.find((one) => one.kid === kid).x, "base64url");
    const original = JSON.parse(Buffer.from(claims, "base64url"));
    const bad = {
      changed: withClaims,
      "without signature": `${header}.${claims}.`,
      "alg none": signed(original, { alg: "none", typ: "JWT" }, null),
      "alg none with kid": signed(original, { alg: "none", typ: "JWT", kid }, null),
      "HS256 with the public key": signed(original, { alg: "HS256", typ: "JWT", kid }, key),
      "another key": signed(original, { alg: "EdDSA", typ: "JWT", kid }, otherKey()),
    };
    for (const [name, token] of Object.entries(bad)) await assertRefused(cluster.balancer, token, "invalid_token", name);
  });
});

describe("tokens of another issuer", OWN, () => {
  let cluster, issuer;
  before(async () => {
    issuer = await startIssuer();
    cluster = await startCluster({ nodes: 1, set: { "jwt.jwksUrl": issuer.jwksUrl } });
  });
  after(async () => {
    await cluster?.stop();
    issuer?.stop();
  });
  afterEach(closeAll);

  test("a valid token is accepted", async () => {
    const client = connect(cluster.urls[0], { token: issuer.token({ sub: "user of another issuer" }) });
    await client.ready();
    assert.equal(client.last("authenticated").userId, "user of another issuer");
  });

  const now = () => Math.floor(Date.now() / 1000);
  /** The lifetime of a token that ends soon: enough time to connect with it, on a busy machine too. */
  const SHORT_S = 5;

  test("refused: no token, one that has expired, one signed by another key", async () => {
    await assertRefused(cluster.urls[0], undefined, "missing_token", "none");
    const expired = { iat: now() - 900, nbf: now() - 900, exp: now() - 60 };
    await assertRefused(cluster.urls[0], issuer.token(expired), "token_expired", "expired");
    await assertRefused(cluster.urls[0], issuer.token({}, {}, otherKey()), "invalid_token", "signed by another key");
  });

  test("the expiry of a token is announced, then ends the session for good", async () => {
    await Promise.all([["websocket"], ["polling"]].map(async (transports) => {
      const client = connect(cluster.urls[0], { token: issuer.token({ exp: now() + SHORT_S }), transports });
      await client.ready();
      const { expiresAt } = await client.waitFor("token:expiring");
      assert.equal(expiresAt, client.last("authenticated").expiresAt);
      assert.equal(await client.disconnected(), "io server disconnect");
      assert.ok(Date.now() >= Date.parse(expiresAt), "not before its time");
      assert.equal(client.events.at(-1).name, "token:expired");
      assert.equal(client.willReconnect, false);
    }));
  });

  test("a renewed token outlives the first one", async () => {
    const sub = "ana";
    const short = now() + SHORT_S;
    const client = connect(cluster.urls[0], { token: issuer.token({ sub, exp: short }) });
    await client.ready();
    const renewed = await client.ask("token:refresh", { token: issuer.token({ sub, exp: short + 600 }) });
    assert.deepEqual(renewed, { status: "ok", expiresAt: renewed.expiresAt });
    assert.equal(Date.parse(renewed.expiresAt), (short + 600) * 1000);
    await until("the first token has expired", () => now() > short + 1);
    assert.equal((await client.ask("message", "still here")).status, "ok");
    assert.deepEqual(client.all("token:expired"), []);
  });
});

/** Packet types of the Socket.IO protocol. */
const [DISCONNECT, CONNECT_ERROR] = [1, 4];

/** On both transports, in both namespaces: the refusal, a DISCONNECT for older clients, nothing else, no reconnect. */
async function assertRefused(url, token, message, name) {
  for (const transports of [["websocket"], ["polling"]]) {
    for (const namespace of ["/", "/chat"]) {
      const client = connect(url, { token, transports, namespace });
      assert.equal(await client.refused(), message, name);
      const types = client.packets.map(({ type }) => type);
      // Over a WebSocket the client may read the DISCONNECT a moment later.
      assert.deepEqual(types, [CONNECT_ERROR, DISCONNECT].slice(0, types.length), `${name}: nothing else reaches the socket`);
      assert.equal(client.connects, 0, name);
      assert.deepEqual(client.events, [], name);
      assert.equal(client.willReconnect, false, `${name}: it stays away`);
      assert.equal(client.errors.length, 1, name);
      client.close();
    }
  }
}
