// The memory that one client can make a node hold is bounded in bytes, for any input and however little it reads.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { deepJson } from "./abuse/deep-json.mjs";
import { heavyEvents } from "./abuse/heavy-events.mjs";
import { longNamespace } from "./abuse/long-namespace.mjs";
import { slowReader } from "./abuse/slow-reader.mjs";
import { Wire, binaryFrame } from "./abuse/wire.mjs";
import { OWN } from "./support/cluster.mjs";
import { metric } from "./support/metrics.mjs";
import { cpuSeconds, growth, memory, startNode } from "./support/node.mjs";
import { here } from "./support/pace.mjs";
import { until, within } from "./support/until.mjs";

const MB = 1e6;
/** Growth of a node for other reasons: buffers of a message on its way, and memory that the allocator keeps. */
const SLACK = 8 * MB;
/** The most in the queue of one connection: `limits.queueBytes`, and the frame that exceeds it. */
const QUEUE = 2 * MB;
/** Bytes that the kernel buffers for a connection while nobody reads them. */
const kernelBuffers = () => ["tcp_rmem", "tcp_wmem"].reduce((sum, name) =>
  sum + Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "utf8").split(/\s+/)[2]), 0);
/** Ends an attack that the node did not end, which is a failure. */
const attacked = (seconds) => AbortSignal.timeout(seconds * 1000);

describe("memory that one connection can take", OWN, () => {
  let node;
  before(async () => {
    node = await startNode();
  });
  after(() => node?.stop());

  test("a namespace name of a megabyte is neither echoed nor kept", async () => {
    const { result, grown } = await growth(node.pid, () =>
      longNamespace({ url: node.url, width: 1, packets: 40, signal: attacked(15) }));
    assert.equal(result.closed, 1, JSON.stringify(result));
    assert.ok(grown < SLACK, `${grown / MB} MB`);
  });

  const early = {
    "more than 16 KiB in one packet": [`40${JSON.stringify({ token: "x".repeat(17_000) })}`],
    "packets before a CONNECT": Array.from({ length: 40 }, () => `42["echo","${"x".repeat(500)}"]`),
    "more than 64 KiB of refused CONNECTs": Array.from({ length: 40 }, () => `40${JSON.stringify({ token: "x".repeat(2000) })}`),
  };
  for (const [name, packets] of Object.entries(early)) {
    test(`too many bytes before CONNECT end the connection: ${name}`, async () => {
      const wire = await Wire.open(node.url);
      for (const packet of packets) await wire.text(packet);
      await within(here(5000), "closed", wire.closed);
    });
  }

  test("packets within the limit are answered", async () => {
    const wire = await Wire.open(node.url);
    await assert.rejects(wire.join("x".repeat(8000)), /invalid_token/);
    await wire.join(node.user().token);
    assert.equal(JSON.parse(await wire.ask("echo", "x".repeat(60_000)))[0].status ?? "ok", "ok");
    wire.close();
  });

  test("errors repeat at most 64 characters of a name", async () => {
    const name = "x".repeat(10_000);
    const texts = [];
    const wire = await Wire.open(node.url);
    wire.onText = (text) => texts.push(text);
    await wire.join(node.user().token);
    wire.emit(name, 1);
    wire.emit("message", { content: "a", [name]: 1 });
    wire.emit("message", { content: { [name]: 1 } });
    wire.emit("notification:mark_read", { notificationId: name });
    for (const event of ["join-room", "leave-room", "room-members", "room-history"]) wire.emit(event, { room: name });
    wire.emit("room-message", { room: name, message: "a" });
    wire.emit("private-message", { to: name, content: "a" });
    await wire.ask("echo", "all were handled");
    wire.text(`40/${name},`);
    // Either a refusal or the end of the connection.
    await Promise.race([wire.ask("echo", "handled"), wire.closed]).catch(() => {});
    wire.close();
    assert.ok(texts.filter((text) => text.startsWith('42["error"')).length >= 8, texts.join("\n"));
    for (const text of texts) assert.ok(!/x{65}/.test(text), `${text.length} characters: ${text.slice(0, 100)}`);
  });

  test("unread echoes: little more than `limits.queueBytes` is queued, then the connection is closed", async () => {
    const slow = () => metric(node.gateways, "jackfield_slow_clients_closed_total");
    const [width, closedBefore] = [4, await slow()];
    const { result, grown } = await growth(node.pid, () =>
      slowReader({ url: node.url, users: node.users(width), width, events: 200, rate: 0, signal: attacked(20) }));
    assert.equal(result.closed, width, JSON.stringify(result));
    assert.ok(grown < width * QUEUE + SLACK, `${grown / MB} MB`);
    assert.equal(await slow() - closedBefore, width);
  });

  test("an event above the limit costs no more if it is deeply nested", async () => {
    const seconds = async (flat) => {
      const from = cpuSeconds(node.pid);
      const counts = await deepJson({ url: node.url, users: node.users(1), events: 15, flat, signal: attacked(30) });
      assert.equal(counts.payload_too_large, 15, JSON.stringify(counts));
      return cpuSeconds(node.pid) - from;
    };
    const [flat, deep] = [await seconds(true), await seconds(false)];
    assert.ok(deep < 2 * flat + 0.2, `${deep} s of CPU, where flat ones took ${flat} s`);
  });
});

describe("the cost of many bytes", OWN, () => {
  let node;
  before(async () => {
    node = await startNode();
  });
  after(() => node?.stop());

  /** Calls `send` until the node closes the connection: within `most` bytes, and the rate's share meanwhile. */
  async function closedWithin(most, send) {
    const signal = attacked(20);
    const wire = await Wire.open(node.url, { signal });
    await wire.join(node.user().token);
    const begun = Date.now();
    let bytes = 0;
    while (wire.isOpen) bytes += await send(wire);
    assert.ok(!signal.aborted, "it was never closed");
    const earned = (Date.now() - begun) / 1000 * 2 * MB;
    assert.ok(bytes < most + earned + kernelBuffers(), `${bytes / MB} MB in ${Date.now() - begun} ms`);
  }
  const heavy = Buffer.alloc(990_000, "x");

  test("events of a megabyte are a flood after 30 of them", async () => {
    await closedWithin(30 * MB, async (wire) => {
      await wire.send("echo", heavy.toString());
      return heavy.length;
    });
  });

  test("binary parts of a refused event are a flood, too", async () => {
    let promised = false;
    await closedWithin(10 * MB, async (wire) => {
      if (!promised) await wire.text(`45900-["echo",${Array.from({ length: 900 }, (_, num) => `{"_placeholder":true,"num":${num}}`)}]`);
      promised = true;
      await wire.write(binaryFrame(heavy));
      return heavy.length;
    });
  });

  test("packets without a meaning for the server are a flood, too", async () => {
    await closedWithin(10 * MB, async (wire) => {
      await wire.text(`431["${heavy}"]`);
      return heavy.length;
    });
  });

  test("64 KB ten times a second are never limited", async () => {
    const wire = await Wire.open(node.url);
    await wire.join(node.user().token);
    const texts = [];
    wire.onText = (text) => texts.push(text);
    for (let sent = 0; sent < 100; sent++) {
      await wire.ask("echo", "x".repeat(64_000));
      await pause(100);
    }
    assert.ok(wire.isOpen && !texts.some((text) => text.includes("rate_limited")));
    wire.close();
  });
});

describe("memory of closed connections", OWN, () => {
  test("is returned to the system", async () => {
    // Without rosters, which would be most of the work.
    const node = await startNode({ set: { "roster.max": 1 } });
    try {
      const MANY = 1500;
      const before = memory(node.pid).now;
      const wires = [];
      // On a busy machine Redis may answer too late: the gateway then refuses or closes, and a client tries again.
      const join = (user, index) => until("it is in", async () => {
        const wire = await Wire.open(node.url, { from: `127.4.0.${index + 1}` }).catch(() => undefined);
        return wire?.join(user.token).catch(() => undefined);
      }, here(30_000));
      while (wires.length < MANY) wires.push(...await Promise.all(node.users(50).map(join)));
      const grown = memory(node.pid).now - before;
      for (const wire of wires) wire.close();
      await until("most of it is given back", () => memory(node.pid).now - before < Math.max(grown / 2, SLACK), here(30_000));
    } finally {
      await node.stop();
    }
  });
});

describe("messages that are queued for too long", OWN, () => {
  let node;
  before(async () => {
    node = await startNode({ set: { "limits.queueBytes": 64 * 1024 * 1024, "limits.queueAge": "2s", "limits.eventRate": 0 } });
  });
  after(() => node?.stop());

  test("a reader of 16 KB a second is closed, although its queue is not full", async () => {
    const begun = Date.now();
    const result = await slowReader({ url: node.url, users: node.users(2), width: 2, events: 150, signal: attacked(20) });
    assert.equal(result.closed, 2, JSON.stringify(result));
    assert.ok(Date.now() - begun < 15_000);
  });

  test("a reader that keeps up is not closed, at any volume", async () => {
    const wire = await Wire.open(node.url);
    await wire.join(node.user().token);
    const begun = Date.now();
    while (Date.now() - begun < 4000) await wire.ask("echo", "x".repeat(64_000));
    assert.ok(wire.isOpen);
    wire.close();
  });
});

describe("events while Redis does not answer", OWN, () => {
  let node;
  // A fresh node for each test: memory that a node has grown by once does not show again. Events are not limited,
  // because so many bytes would count as a flood.
  beforeEach(async () => {
    node = await startNode({ set: { "limits.eventRate": 0 } });
  });
  afterEach(() => node?.stop());

  /** Sends events of `size` bytes behind one that waits for Redis; returns their outcomes, once all were answered. */
  async function stalled(size, events) {
    const attack = { url: node.url, users: node.users(1), ahead: 1, size, events, signal: attacked(30) };
    const joined = () => process.kill(node.redis.pid, "SIGSTOP");
    const { result, grown } = await growth(node.pid, () => heavyEvents({ ...attack, joined }));
    assert.equal(result.closed, 0, JSON.stringify(result));
    assert.ok(grown < QUEUE + SLACK, `${grown / MB} MB: ${JSON.stringify(result)}`);
    return result;
  }

  test("events of a megabyte are not queued", async () => {
    const result = await stalled(999_000, 60);
    assert.equal(result.payload_too_large, 60, JSON.stringify(result));
  });

  test("events of 64 KB are queued up to `limits.inboxBytes`", () => stalled(64_000, 500));
});
