// Logouts, deactivated users, changed roles and revoked tokens: on 1,000 sockets of three nodes, on a node that is cut
// off from Redis at that moment, and on one that starts later.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll, connect } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { startLink } from "./support/link.mjs";
import { startNode } from "./support/node.mjs";
import { here } from "./support/pace.mjs";
import { percentile } from "./support/percentile.mjs";
import { join, newRoom } from "./support/rooms.mjs";
import { NotYet, ifReachable, inParallel, until } from "./support/until.mjs";
import { anotherLogin, api, register } from "./support/users.mjs";

/** The promise. */
const WITHIN_MS = 1000;
/** The promise for a node that was cut off, from the moment at which Redis can be reached again. */
const RETURNED_MS = 5000;
const SOCKETS = 1000;
/** Of each user, half of them of a second login. */
const SOCKETS_OF_USER = 20;
const ADMIN = { email: "test1@mail.com", password: "test123" };

const SETTINGS = {
  "session.policy": "multi",
  "limits.userConnectRate": 0,
  "limits.connectRate": 0,
  "rooms.rules": JSON.stringify(["staff*;join=ADMIN"]),
};
const AUTH_SETTINGS = { "register.perAddress": 0, "password.perAddress": 0 };

describe("revocation", OWN, () => {
  let cluster, backend, admin;
  const others = [];
  before(async () => {
    cluster = await startCluster({ set: SETTINGS, authSet: AUTH_SETTINGS });
    backend = new Api(cluster, 1);
    admin = await anotherLogin(cluster, ADMIN);
  });
  after(() => cluster?.stop());
  afterEach(async () => {
    closeAll();
    await Promise.all(others.splice(0).map((other) => other.stop()));
  });

  async function call(method, path, body, token = admin.token) {
    const answer = await api(cluster, method, path, body, token);
    assert.ok(answer.status < 300, `${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer;
  }

  /** Each takes away a user's right, and returns which of its two logins have lost it, with the reason or `left`. */
  const DEEDS = {
    logout: async ([one]) => (await call("POST", "/auth/logout", {}, one.token), ["logout", undefined]),
    everywhere: async ([one]) => {
      await call("POST", "/auth/logout", { everywhere: true }, one.token);
      return ["logout", "logout"];
    },
    deactivate: async ([{ id }]) => {
      await call("PATCH", `/users/${id}`, { isActive: false });
      return ["deactivated", "deactivated"];
    },
    roles: async ([{ id }]) => (await call("PATCH", `/users/${id}`, { roles: ["USER"] }), ["left", "left"]),
    revoke: async ([{ id }]) => {
      const { status } = await backend.post(`/users/${id}/revoke`, { reason: "stolen" });
      assert.equal(status, 202);
      return ["stolen", "stolen"];
    },
    nothing: async () => [undefined, undefined],
  };

  /** Two logins of a new user with the role ADMIN. */
  async function twoLogins(name) {
    const user = await register(cluster, name);
    await call("PATCH", `/users/${user.id}`, { roles: ["ADMIN"] });
    return [await anotherLogin(cluster, user), await anotherLogin(cluster, user)];
  }

  /** When the client learnt that it has lost its right; `undefined` if it has not. */
  const learnt = (client) => client.events.find(({ name }) => name === "session:ended" || name === "left")?.at;

  /** It has lost its right as expected, or nothing; the others still work. */
  async function assertEffect(client, effect) {
    const [ended, left] = [client.all("session:ended"), client.all("left")];
    if (effect === undefined || effect === "left") {
      assert.deepEqual([ended.length, left.length], [0, effect ? 1 : 0]);
      assert.equal((await client.ask("message", "still here")).status, "ok");
    } else {
      assert.deepEqual([ended.map(({ reason }) => reason), left.length], [[effect], 0]);
      assert.deepEqual([client.disconnects, client.willReconnect], [["io server disconnect"], false]);
    }
  }

  test(`${SOCKETS} sockets on three nodes: all that lose their right learn it within a second, and no other`, async () => {
    const names = Object.keys(DEEDS);
    const users = Array.from({ length: SOCKETS / SOCKETS_OF_USER }, (_, index) => names[index % names.length]);
    const staff = `staff-${newRoom()}`;
    const crowd = await inParallel(users, 4, async (name) => ({ name, logins: await twoLogins(`A ${name} user`) }));
    let node = 0;
    await inParallel(crowd, 4, async (member) => {
      const sockets = Array.from({ length: SOCKETS_OF_USER }, (_, index) => {
        const login = index % 2;
        const client = connect(cluster.urls[node++ % cluster.urls.length], { token: member.logins[login].token });
        return { login, client };
      });
      await Promise.all(sockets.map(({ client }) => client.ready()));
      await Promise.all(sockets.map(({ client }) => join(client, staff)));
      member.sockets = sockets;
    });

    const took = [];
    await Promise.all(crowd.map(async ({ name, logins, sockets }) => {
      const begun = Date.now();
      const effects = await DEEDS[name](logins);
      const answered = Date.now();
      const losers = sockets.filter(({ login }) => effects[login]);
      await until(`${name}: all have learnt it`, () => {
        const waiting = losers.filter(({ client }) => learnt(client) === undefined).length;
        if (waiting > 0) throw new NotYet(`${waiting} have not`);
        return true;
      });
      for (const { client } of losers) {
        took.push(Math.max(0, learnt(client) - answered));
        assert.ok(learnt(client) >= begun);
      }
      return effects;
    }).map((effects, index) => effects.then((all) => (crowd[index].effects = all))));
    const [p50, p99] = [percentile(took, 50), percentile(took, 99)];
    console.log(`${took.length} of ${SOCKETS} sockets learnt it after p50 ${p50} ms, p99 ${p99} ms, at most ${Math.max(...took)} ms`);
    assert.ok(p99 <= here(WITHIN_MS), `p99 ${p99} ms`);
    // The answers come over the same connections, behind everything that was sent before.
    for (const { sockets, effects } of crowd) {
      await Promise.all(sockets.map(({ login, client }) => assertEffect(client, effects[login])));
    }
    // The tokens are refused from now on, on every node.
    const CODES = { logout: "token_revoked", deactivated: "user_inactive", stolen: "token_revoked" };
    for (const { name, logins, effects } of crowd.slice(0, names.length)) {
      for (const [index, { token }] of logins.entries()) {
        const clients = cluster.urls.map((url) => connect(url, { token }));
        const code = CODES[effects[index]];
        if (code) assert.deepEqual(await Promise.all(clients.map((client) => client.refused())), [code, code, code], name);
        else await Promise.all(clients.map((client) => client.ready()));
      }
    }
  });

  /** One more gateway of the cluster. */
  async function anotherNode(redisUrl = cluster.redis.url) {
    const set = { ...SETTINGS, "jwt.secret": "", "jwt.jwksUrl": `${cluster.auth}/.well-known/jwks.json` };
    const node = await startNode({ set, redisUrl });
    others.push(node);
    return node;
  }

  test("a node that was cut off from Redis at that moment is right within five seconds of its return", async () => {
    const link = await startLink(cluster.redis.url);
    others.push(link);
    const node = await anotherNode(link.url.replace("http", "redis"));
    const members = await inParallel(Object.keys(DEEDS), 3, async (name) => {
      const logins = await twoLogins(`Far ${name}`);
      const sockets = await Promise.all(logins.map(({ token }) => connect(node.url, { token }).ready()));
      await Promise.all(sockets.map((client) => join(client, "staff-far")));
      return { name, logins, sockets };
    });
    link.swallow();
    const effects = await Promise.all(members.map(({ name, logins }) => DEEDS[name](logins)));
    await until("the node has noticed it", async () => (await ifReachable(fetch(`${node.internal}/readyz`)))?.status === 503);
    for (const { sockets } of members) for (const client of sockets) assert.equal(learnt(client), undefined);
    link.mend();
    const returned = Date.now();
    const losers = members.flatMap(({ sockets }, user) => sockets.filter((_, login) => effects[user][login]));
    await until("all have learnt it", () => losers.every((client) => learnt(client) !== undefined));
    const took = Math.max(...losers.map((client) => learnt(client) - returned));
    console.log(`a node that was cut off was right ${took} ms after its return`);
    assert.ok(took <= here(RETURNED_MS), `${took} ms`);
    await until("it is ready", async () => (await ifReachable(fetch(`${node.internal}/readyz`)))?.ok);
    for (const [user, { sockets }] of members.entries()) {
      await Promise.all(sockets.map((client, login) => assertEffect(client, effects[user][login])));
    }
  });

  test("a node that starts later, and nodes whose Redis lost its data, know it too", async () => {
    const [[gone], [stays]] = [await twoLogins("Gone"), await twoLogins("Stays")];
    await call("POST", "/auth/logout", {}, gone.token);
    const later = await anotherNode();
    assert.equal(await connect(later.url, { token: gone.token }).refused(), "token_revoked");
    await connect(later.url, { token: stays.token }).ready();

    await cluster.stopRedis({ kill: true });
    await cluster.startRedis({ empty: true });
    await cluster.allReadinessIs(200);
    // They have it in memory, and give it back to Redis.
    for (const url of cluster.urls) {
      assert.equal(await connect(url, { token: gone.token }).refused(), "token_revoked", url);
      await connect(url, { token: stays.token }).ready();
    }
    const last = await anotherNode();
    const client = connect(last.url, { token: gone.token });
    // A node that starts before they have noticed the loss does not know it yet, and learns it as soon as they have.
    const isGone = () => client.refusal === "token_revoked" || client.last("session:ended")?.reason === "logout";
    await until("it is refused, or sent away", isGone, here(RETURNED_MS));
    await connect(last.url, { token: stays.token }).ready();
  });
});
