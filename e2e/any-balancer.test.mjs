// Polling behind a balancer without affinity: nginx sends each request to the next gateway.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { ALL_BYTES, readable } from "./support/binary.mjs";
import { TRANSPORTS, closeAll, signedIn } from "./support/clients.mjs";
import { OWN, xtask } from "./support/cluster.mjs";
import { Member } from "./support/members.mjs";
import { metric } from "./support/metrics.mjs";
import { here } from "./support/pace.mjs";
import { percentile } from "./support/percentile.mjs";
import { complete, newRoom, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";

/** The stock client's own delays, on polling. */
const POLLING = { transports: ["polling"], reconnectionDelay: undefined, reconnectionDelayMax: undefined };
/** In a namespace without the roster, which would be sent to all whenever one comes back. */
const IN_CHAT = { ...POLLING, namespace: "/chat" };
/** So many polling clients are behind one address; CLIENTS=200 for the promise, which takes a minute. */
const CLIENTS = Number(process.env.CLIENTS ?? 24);
/** Of these, so many are in one room: the rest only polls, or this process would be what is measured. */
const MEMBERS = 24;
/** The promised time without a connection, on an idle machine, of 99 in 100 clients. */
const AWAY_MS = 2000;
/** How long a frozen gateway keeps its lease. */
const LEASE_MS = 5000;

describe("a balancer without affinity", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ set: { "limits.connectRate": 0 } });
  });
  after(() => cluster?.stop());
  beforeEach(() => cluster.restartDead());
  afterEach(closeAll);

  const passedOn = () => metric(cluster.gateways, "jackfield_passed_on_total");
  const failed = () => metric(cluster.gateways, "jackfield_not_passed_on_total");

  for (const [name, options] of Object.entries(TRANSPORTS)) {
    test(`${name}: messages both ways, large ones and binary parts`, async () => {
      const [before, failures] = [await passedOn(), await failed()];
      const client = await signedIn(cluster.balancer, cluster.user(), options);
      await client.upgraded();
      const large = randomBytes(30_000).toString("hex");
      for (let round = 0; round < 10; round++) {
        assert.deepEqual(readable(await client.askAll("echo", { round, large, bytes: ALL_BYTES })),
          readable([{ round, large, bytes: ALL_BYTES }]));
      }
      assert.deepEqual(client.disconnects, []);
      assert.equal(await failed(), failures);
      // With three gateways, so many requests do not all reach the owner.
      if (name !== "websocket only") assert.ok((await passedOn()) > before);
    });
  }

  test("polls are passed on while nothing happens, over several pings", async () => {
    const quick = await startRooms({ set: { "ping.interval": "300ms", "ping.timeout": "5s" } });
    try {
      const clients = await Promise.all(Array.from({ length: 6 }, () => signedIn(quick.balancer, quick.user(), POLLING)));
      const count = (client) => {
        client.pings = 0;
        client.socket.io.on("ping", () => client.pings++);
      };
      clients.forEach(count);
      await until("five pings each", () => clients.every((client) => client.pings >= 5));
      for (const client of clients) assert.deepEqual(client.disconnects, []);
    } finally {
      await quick.stop();
    }
  });

  test("an upgraded connection survives the end of any gateway but its two", async () => {
    const clients = await Promise.all(Array.from({ length: 12 }, () =>
      signedIn(cluster.balancer, cluster.user(), { ...POLLING, transports: ["polling", "websocket"] })));
    await Promise.all(clients.map((client) => client.upgraded()));
    const counted = await Promise.all(cluster.gateways.map(async (gateway) => {
      const own = await metric([gateway], "jackfield_connections");
      return { gateway, own, all: own + (await metric([gateway], "jackfield_passing_on")) };
    }));
    assert.ok(counted.some(({ own, all }) => all > own), "some upgrades were passed on");
    // Each client is with two gateways at most: the one with the fewest does not have all of them.
    const { gateway, own } = counted.sort((one, other) => one.all - other.all)[0];
    cluster.signal(gateway, "SIGKILL");
    const lost = () => clients.filter((client) => client.disconnects.length > 0);
    await until("its clients are back", () => lost().length >= own && clients.every((client) => client.connected));
    assert.ok(lost().length < clients.length, "others have noticed nothing");
    for (const client of clients) {
      await until("it works", () => client.ask("echo", 1).catch((error) => { throw new NotYet(error.message); }));
    }
  });

  /** Members of rooms on polling, four of them sending to theirs, until `change()` is done; then all have all messages. */
  async function underLoad(count, change) {
    const rooms = Array.from({ length: Math.ceil(count / MEMBERS) }, () => newRoom());
    const members = Array.from({ length: count }, (_, index) =>
      new Member(cluster.balancer, cluster.user(), rooms[Math.floor(index / MEMBERS)], IN_CHAT));
    await Promise.all(members.map((member) => member.ready()));
    let going = true;
    const senders = members.slice(0, 4);
    const sending = Promise.all(senders.map((sender) => sender.sendWhile(() => going)));
    sending.catch(() => {});
    try {
      await change(members);
      await until("all are in the room again", () => members.every((member) => member.isIn), here(30_000));
      const sent = () => senders.reduce((sum, sender) => sum + sender.acked.length, 0);
      await until("there is load", () => sent() > 50);
    } finally {
      going = false;
    }
    await sending;
    const acked = senders.flatMap((sender) => sender.acked).sort();
    for (const { client, room } of members) await complete(client, room, room === rooms[0] ? acked : []);
    return members;
  }

  const absent = (t, members) => {
    const absences = members.flatMap((member) => member.absences);
    const [p50, p99, most] = [50, 99, 100].map((hundredths) => percentile(absences, hundredths));
    t.diagnostic(`${members.length} clients, ${absences.length} absences: p50 ${p50} ms, p99 ${p99} ms, most ${most} ms`);
    return { absences, p99 };
  };

  test("a gateway is killed: its polling clients are back at once, and miss nothing", async (t) => {
    const [victim] = cluster.gateways.slice(1);
    const members = await underLoad(CLIENTS, async (members) => {
      cluster.signal(victim, "SIGKILL");
      await until("some have lost their connection", () => members.some(({ client }) => client.disconnects.length > 0));
    });
    absent(t, members);
  });

  test("a gateway is frozen: its polling clients do not wait longer than its lease", async () => {
    const clients = await Promise.all(Array.from({ length: 9 }, () => signedIn(cluster.balancer, cluster.user(), POLLING)));
    const [frozen] = cluster.gateways.slice(1);
    const api = new Api(cluster);
    const isFrozen = ({ id }) => id.startsWith(frozen.id);
    await until("some are on it", async () => (await api.read("/nodes")).nodes.find(isFrozen)?.sockets > 0);
    const others = cluster.gateways.filter((gateway) => gateway !== frozen);
    const lost = () => metric(others, "jackfield_not_passed_on_total");
    const before = await lost();
    cluster.signal(frozen, "SIGSTOP");
    try {
      // The balancer still sends it every third request: the other two thirds must be answered.
      await until("the others end what they passed on to it", async () => (await lost()) > before, here(3 * LEASE_MS));
    } finally {
      cluster.signal(frozen, "SIGCONT");
    }
    await Promise.all(clients.map((client) => client.ready(here(60_000))));
  });

  test("all gateways are restarted, one after the other: polling clients are hardly away, and miss nothing", async (t) => {
    const members = await underLoad(CLIENTS, async () => {
      const { stdout } = await xtask("rolling-restart", "--pause", "1", "--cluster", cluster.name, "--json");
      for (const { id, pid } of JSON.parse(stdout)) cluster.gateway(id).pid = pid;
    });
    const { absences, p99 } = absent(t, members);
    assert.ok(absences.length >= CLIENTS, "all had to connect anew");
    assert.ok(p99 < here(AWAY_MS));
  });
});
