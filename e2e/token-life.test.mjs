// Clients whose tokens last for 20 seconds, and that renew them by themselves, while nodes are killed and drained and the
// auth service restarts: none is ever disconnected for good. TOKEN_MINUTES=10 for a long run.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { closeAll, connect } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { api, register } from "./support/users.mjs";
import { ifReachable, until } from "./support/until.mjs";

const MINUTES = Number(process.env.TOKEN_MINUTES ?? 0.75);
const LIFETIME_S = 20;
const CLIENTS = 9;
/** Between two faults. */
const PAUSE_MS = 3000;
/** A token with less is renewed before a connect. */
const SPARE_S = 5;
const EXITED_MS = 20_000;

/** A user's tokens, and their renewal: single-flight, because a refresh token is good for one use. */
class Login {
  renewals = 0;
  #renewing;

  constructor(cluster, user) {
    Object.assign(this, { cluster, token: user.token, refreshToken: user.refreshToken });
  }

  renew() {
    this.#renewing ??= this.#renewed().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  async #renewed() {
    await until("renewed", async () => {
      const answer = await ifReachable(api(this.cluster, "POST", "/auth/refresh", { refreshToken: this.refreshToken }));
      if (!answer || answer.status >= 500) return false;
      if (answer.status !== 200) throw new Error(`refresh: ${answer.status} ${JSON.stringify(answer.body)}`);
      Object.assign(this, answer.body);
      this.renewals++;
      return true;
    });
  }

  /** For a connect. */
  async fresh() {
    const { exp } = JSON.parse(Buffer.from(this.token.split(".")[1], "base64url"));
    if (exp - Date.now() / 1000 < SPARE_S) await this.renew();
    return this.token;
  }
}

describe("the life of a token", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startCluster({
      set: { "drain.window": "2s", "drain.delay": "0s", "ping.interval": "2s", "ping.timeout": "2s" },
      authSet: { "token.lifetime": `${LIFETIME_S}s` },
    });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  async function client() {
    const login = new Login(cluster, await register(cluster));
    const auth = (send) => login.fresh().then((token) => send({ token }));
    const client = connect(cluster.balancer, { auth, transports: ["polling", "websocket"] });
    client.socket.on("token:expiring", async () => {
      await login.renew();
      client.socket.emit("token:refresh", { token: login.token });
    });
    await client.ready();
    return { client, login };
  }

  test(`${MINUTES} minutes over kills and drains: every client is there at the end, and none was sent away`, async () => {
    const clients = await Promise.all(Array.from({ length: CLIENTS }, client));
    const end = Date.now() + MINUTES * 60_000;
    let faults = 0;
    while (Date.now() < end) {
      const gateway = cluster.gateways[faults % cluster.gateways.length];
      cluster.signal(gateway, faults % 2 ? "SIGTERM" : "SIGKILL");
      await until("it has ended", () => !cluster.alive(gateway), EXITED_MS);
      await cluster.restartGateway(gateway.id);
      await cluster.allReadinessIs(200);
      faults++;
      await pause(PAUSE_MS);
    }
    for (const { client } of clients) {
      await until("it is back", () => client.connected);
      assert.equal((await client.ask("message", "still here")).status, "ok");
      assert.deepEqual(client.disconnects.filter((reason) => reason === "io server disconnect"), []);
      assert.equal(client.refusal, undefined);
      assert.deepEqual(client.all("token:expired"), []);
    }
    const [renewals, returns] = [clients.reduce((sum, { login }) => sum + login.renewals, 0), clients.reduce((sum, { client }) => sum + client.connects - 1, 0)];
    console.log(`${faults} faults, ${renewals} renewals, ${returns} reconnects of ${CLIENTS} clients`);
    assert.ok(faults >= 2 && renewals >= CLIENTS * Math.floor((MINUTES * 60) / LIFETIME_S - 1) && returns > 0);
  });
});
