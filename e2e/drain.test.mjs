// Drains: no message is lost, no user is announced as gone, and no client can block the drain.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";

import { Api } from "./support/api.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { xtask } from "./support/cluster.mjs";
import { Member } from "./support/members.mjs";
import { percentile } from "./support/percentile.mjs";
import { grace, here } from "./support/pace.mjs";
import { complete, done, join, newRoom, startRooms } from "./support/rooms.mjs";
import { abandonedPoll, stuckClient } from "./support/stuck.mjs";
import { PATIENCE_MS, until } from "./support/until.mjs";

/** The longest drain of a gateway without any delay if no client is slow; the window would be 60 s. */
const EMPTY_SOON_MS = 8000;
/** The longest drain if a client reads nothing. */
const STUCK_MS = 8000;
/** A user who is back within this grace is never announced as gone: the default, and longer on a busy machine. */
const GRACE_MS = grace(5000);

/** A user who stays away is announced within this time, on any machine. */
const OFFLINE_MS = GRACE_MS + PATIENCE_MS;

/** The stock client's default transports and delays; and the same with WebSocket from the start. */
const STOCK = { transports: undefined, reconnectionDelay: undefined, reconnectionDelayMax: undefined };
const KINDS = [STOCK, { ...STOCK, transports: ["websocket"] }];

/** A client address for the balancer, by which it chooses a gateway. */
const from = (number) => ({ extraHeaders: { "x-forwarded-for": `198.51.100.${number}` } });

describe("a gateway gets SIGTERM", () => {
  let cluster;
  before(async () => {
    // Long queues, so that a client that reads nothing is not closed as too slow before the drain comes to it.
    const queues = { "limits.queueBytes": 64 * 1024 * 1024, "limits.queueAge": "0s" };
    cluster = await startRooms({ set: { "drain.window": "60s", "presence.grace": `${GRACE_MS}ms`, ...queues } });
  });
  after(() => cluster?.stop());
  beforeEach(() => cluster.restartDead());
  afterEach(closeAll);

  /** Waits until it has ended by itself. */
  const ended = (gateway, pid, code, ms) =>
    until("it has exited", () => cluster.log.includes(`${gateway.id} (pid ${pid}) exited: exit code ${code}`), ms);

  async function terminate(gateway, ms) {
    const { pid } = gateway;
    cluster.signal(gateway, "SIGTERM");
    await ended(gateway, pid, 0, ms);
  }

  /** Members of a room behind the balancer, some sending until `change()` is done; then all have all messages. */
  async function underLoad(count, change) {
    const room = newRoom();
    const members = Array.from({ length: count }, (_, index) =>
      new Member(cluster.balancer, cluster.user(), room, { ...KINDS[index % KINDS.length], ...from(index) }));
    await Promise.all(members.map((member) => member.ready()));
    let going = true;
    const senders = members.slice(0, 4);
    const sending = Promise.all(senders.map((sender) => sender.sendWhile(() => going)));
    sending.catch(() => {});
    try {
      await change(members);
      await until("all have joined again", () => members.every((member) => member.isIn));
    } finally {
      going = false;
    }
    await sending;

    // One more user leaves now: once that is announced, any earlier false announcement would have arrived, too.
    const last = cluster.user();
    const leaver = await signedIn(cluster.urls[0], last);
    await join(leaver, room);
    leaver.close();
    const users = members.map(({ user }) => user.id);
    const acked = senders.flatMap((sender) => sender.acked).sort();
    assert.ok(acked.length > 50, `${acked.length} messages are no load`);
    for (const { client } of members) {
      await complete(client, room, acked);
      await client.waitFor("user:offline", ({ userId }) => userId === last.id, OFFLINE_MS);
      assert.equal(client.willReconnect, true);
      for (const event of ["user:offline", "user-left"]) {
        const gone = client.all(event).filter(({ userId }) => users.includes(userId));
        assert.deepEqual(gone, [], `${event}, although no user left`);
      }
      const passing = (reason) => reason === "transport close" || reason === "transport error";
      assert.ok(client.disconnects.every(passing), client.disconnects.join());
    }
    return members;
  }

  test("its clients reconnect elsewhere by themselves: nothing is lost, and no user is announced as gone", async () => {
    const [leaving] = cluster.gateways.slice(1);
    await underLoad(24, async (members) => {
      await terminate(leaving, here(EMPTY_SOON_MS));
      assert.ok(members.some(({ client }) => client.disconnects.length > 0), "some were connected to it");
    });
    await cluster.restartGateway(leaving.id);
  });

  test("all gateways are restarted, one after the other", async (t) => {
    const pids = cluster.gateways.map(({ pid }) => pid);
    const members = await underLoad(24, async () => {
      const { stdout } = await xtask("rolling-restart", "--pause", "1", "--cluster", cluster.name, "--json");
      for (const { id, pid } of JSON.parse(stdout)) cluster.gateway(id).pid = pid;
    });
    for (const [index, gateway] of cluster.gateways.entries()) {
      assert.notEqual(gateway.pid, pids[index]);
      assert.ok(cluster.alive(gateway));
    }
    const absences = members.flatMap((member) => member.absences);
    t.diagnostic(`${absences.length} absences, p50 ${percentile(absences, 50)} ms, p99 ${percentile(absences, 99)} ms`);
    assert.ok(absences.length >= members.length, "all members had to reconnect");
    assert.ok(percentile(absences, 100) < GRACE_MS);
  });

  test("received events are handled and answered first", async () => {
    const [leaving] = cluster.gateways.slice(1);
    const room = newRoom();
    const watcher = await signedIn(cluster.urls[0], cluster.user());
    await join(watcher, room);
    const options = [{ transports: ["websocket"] }, { transports: ["polling"] }];
    const clients = await Promise.all(options.map((kind) =>
      signedIn(leaving.url, cluster.user(), { ...kind, reconnection: false })));
    for (const client of clients) await join(client, room);
    const { pid } = leaving;
    const answers = clients.map((client, index) => Array.from({ length: 100 }, async (_, number) => {
      const answer = await client.ask("send-message", { room, content: `${index} ${number}` });
      return answer.messageId;
    }));
    // Once the first is answered, all that were sent with it have arrived.
    await Promise.all(answers.map(([first]) => first));
    cluster.signal(leaving, "SIGTERM");
    const acked = await Promise.all(answers.flat());
    await ended(leaving, pid, 0, here(EMPTY_SOON_MS));
    await complete(watcher, room, acked.sort());
    await cluster.restartGateway(leaving.id);
  });

  test("a polling client that was moved to another node does not make the node count as dead", async () => {
    const [leaving] = cluster.gateways.slice(1);
    const sender = await signedIn(cluster.urls[0], cluster.user());
    const witness = await signedIn(leaving.url, cluster.user());
    const user = cluster.user();
    await abandonedPoll(leaving, user);
    await done(sender, "message-client", { message: "nobody comes for this" });
    await witness.waitFor("message-server");

    const { pid } = leaving;
    const { node } = (await cluster.readiness(leaving)).body;
    cluster.signal(leaving, "SIGTERM");
    await ended(leaving, pid, 0, here(STUCK_MS));
    const { nodes } = (await new Api(cluster, 0).get("/nodes")).body;
    assert.ok(nodes.length > 0 && nodes.every(({ id }) => id !== node), "its lease ended with it");
    await cluster.restartGateway(leaving.id);
  });

  test("a client that reads nothing does not block the drain; meanwhile handshakes are refused", async () => {
    const [leaving] = cluster.gateways.slice(1);
    const sender = await signedIn(cluster.urls[0], cluster.user());
    const user = cluster.user();
    const stuck = await stuckClient(leaving, user);
    await sender.waitFor("user:online", ({ userId }) => userId === user.id);
    // 12 MB are more than all buffers between the two hold.
    const api = new Api(cluster, 0);
    const large = { event: "data:updated", data: { text: "x".repeat(60_000) }, to: { everyone: true } };
    for (let count = 0; count < 200; count++) assert.equal((await api.post("/emit", large)).status, 202);
    await until("all have arrived", () => sender.all("data:updated").length === 200);

    const { pid } = leaving;
    cluster.signal(leaving, "SIGTERM");
    const refused = await until("refused", async () => {
      const answer = await fetch(`${leaving.url}/socket.io/?EIO=4&transport=polling`);
      return answer.status === 503 && answer;
    });
    assert.equal((await refused.json()).code, "server_draining");
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    await ended(leaving, pid, 0, here(STUCK_MS));
    const drained = stripVTControlCharacters(cluster.log).split("\n").findLast((line) => line.includes(" drained "));
    // At least its client: one of an earlier test may have come back, and be reading still.
    assert.match(drained, /left=[1-9]$/, "its client was still connected");
    stuck.destroy();
    await cluster.restartGateway(leaving.id);
  });
});

describe("drain.delay", () => {
  let cluster;
  before(async () => {
    cluster = await startRooms({ nodes: 1, set: { "drain.delay": "60s" } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  test("the gateway is unready and keeps serving; a second signal ends it at once", async () => {
    const [gateway] = cluster.gateways;
    const { pid } = gateway;
    const client = await signedIn(gateway.url, cluster.user());
    cluster.signal(gateway, "SIGTERM");
    const { status, body } = await until("unready", async () => {
      const answer = await cluster.readiness(gateway);
      return answer.status !== 200 && answer;
    });
    assert.equal(status, 503);
    assert.equal(body.status, "draining");
    assert.deepEqual(body.parts, { redis: true, pubSub: true, keys: true, staying: false });
    assert.equal((await client.ask("message", "still there")).status, "ok");
    assert.match(await (await fetch(`${gateway.internal}/metrics`)).text(), /^jackfield_ready\{part="staying"\} 0$/m);

    cluster.signal(gateway, "SIGTERM");
    await until("it has exited", () => cluster.log.includes(`${gateway.id} (pid ${pid}) exited: exit code 130`));
  });
});
