// Feeds: stock clients that asked for recovery miss nothing, whatever happens to their connection or to their node.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { closeAll } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { PRODUCTS, reading } from "./support/feeds.mjs";
import { here } from "./support/pace.mjs";
import { startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

const ALL_MS = 20_000;
/**
 * A stock client whose upgrade is cut off at the wrong moment has paused its polling, and notices the end of its
 * connection only by a ping that does not come: within the 45 s of the defaults that would be.
 */
const PING = { "ping.interval": "3s", "ping.timeout": "5s" };
const EACH = 4;

describe("recovery of feeds", OWN, () => {
  let cluster, api, readers, sent, recovered;
  before(async () => {
    cluster = await startRooms({ set: PING });
    api = new Api(cluster, 0);
  });
  after(() => cluster?.stop());
  beforeEach(async () => {
    await cluster.restartDead();
    await cluster.allReadinessIs(200);
  });
  afterEach(closeAll);

  async function publish(count) {
    for (let n = 0; n < count; n++) {
      assert.equal((await api.post("/feeds/productos", { type: "UPDATE", data: sent })).status, 202);
      sent++;
    }
  }

  /** Readers on all transports through the balancer; each checks at every connect whether it was recovered. */
  async function start() {
    const transports = [["websocket"], ["polling"], ["polling", "websocket"]];
    [sent, recovered] = [0, []];
    const open = async (transports) => {
      const reader = await reading(cluster.balancer, { transports, auth: { recover: true } });
      const { socket, id } = reader;
      socket.on("connect", () => recovered.push([socket.recovered, socket.id === id]));
      return reader;
    };
    readers = await Promise.all(transports.flatMap((one) => Array.from({ length: EACH }, () => open(one))));
    await Promise.all(readers.map((reader) => reader.upgraded()));
    await publish(5);
    await allHave();
  }

  const allHave = () =>
    until("every reader has every update once and in order", () => {
      const all = Array.from({ length: sent }, (_, number) => number);
      for (const reader of readers) {
        const got = reader.all("updates").map(({ data }) => data);
        if (got.length < sent) throw new NotYet(`${got.length} of ${sent}; ${reader.openedOn}, now ${reader.transport}, connected ${reader.connected}, ${reader.disconnects}`);
        assert.deepEqual(got, all);
      }
      return true;
    }, here(ALL_MS));

  /** Publishes until this many readers have come back, and then some more. */
  async function publishUntilBack(count) {
    await until("they have come back", async () => {
      await publish(3);
      if (recovered.length < count) throw new NotYet(`${recovered.length} of ${count}`);
      return true;
    });
    await publish(5);
    await allHave();
    for (const one of recovered) assert.deepEqual(one, [true, true], "recovered, under the same id");
  }

  test("connections are cut", async () => {
    await start();
    for (const reader of readers) reader.socket.io.engine.close();
    await publishUntilBack(readers.length);
  });

  test("a node is killed", async () => {
    await start();
    const victim = cluster.gateways[1];
    cluster.signal(victim, "SIGKILL");
    await publish(20);
    await until("some lost their connection", () => readers.some(({ disconnects }) => disconnects.length > 0));
    await publishUntilBack(1);
    await until("all are connected", () => readers.every(({ connected }) => connected));
    await publishUntilBack(1);
    await cluster.restartGateway(victim.id);
    await cluster.allReadinessIs(200);
  });

  test("a node is shut down", async () => {
    await start();
    const leaving = cluster.gateways[2];
    cluster.signal(leaving, "SIGTERM");
    await until("some lost their connection", async () => {
      await publish(3);
      return readers.some(({ disconnects }) => disconnects.length > 0);
    });
    await publishUntilBack(1);
    await until("it has ended", () => !cluster.alive(leaving));
    await cluster.restartGateway(leaving.id);
    await cluster.allReadinessIs(200);
    await allHave();
  });

  test("a client leaves by itself, and comes back", async () => {
    await start();
    const [reader] = readers;
    const { id } = reader;
    reader.socket.disconnect();
    await publish(3);
    reader.socket.connect();
    await until("it is back", () => recovered.length > 0);
    // The stock client sends what it knows: a feed needs nothing else.
    assert.deepEqual(recovered, [[true, true]]);
    assert.equal(reader.id, id);
    await allHave();
    assert.equal(reader.socket.nsp, PRODUCTS);
  });
});
