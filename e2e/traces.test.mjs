// Traces as a collector receives them, and the ids that log lines carry.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join as inFolder } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { Api } from "./support/api.mjs";
import { alsoIn, closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { ownEvents } from "./support/contract.mjs";
import { PRODUCTS, reading } from "./support/feeds.mjs";
import { matches, startCollector } from "./support/otlp.mjs";
import { done, join, newRoom, refused, startRooms } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";
import { api } from "./support/users.mjs";

/** Kinds of spans, by OpenTelemetry's numbers. */
const [INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER] = [1, 2, 3, 4, 5];

ownEvents("hooked:x");

describe("traces of a cluster", OWN, () => {
  let cluster, collector, logs, nodes;
  /** A backend for hooks, and the headers of its calls. */
  const calls = [];
  const backend = createServer((request, response) => {
    calls.push(request.headers);
    request.resume().on("end", () => response.writeHead(204).end());
  });
  before(async () => {
    collector = await startCollector();
    await new Promise((resolve) => backend.listen(0, "127.0.0.1", resolve));
    logs = await mkdtemp(inFolder(tmpdir(), "jackfield-traces-"));
    const traced = { "otel.exporterOtlpEndpoint": collector.url, "otel.tracesSamplerArg": 1 };
    const [secret, port] = [`${logs}-secret`, backend.address().port];
    await writeFile(secret, `whsec_${randomBytes(32).toString("base64")}`);
    const hooks = `traced;url=http://127.0.0.1:${port}/;events=hooked:*;secretFile=${secret}`;
    const set = { ...traced, hooks, "log.format": "json", "log.level": "trace", "session.policy": "multi" };
    cluster = await startRooms({ set, authSet: { ...traced, "log.format": "json", "log.level": "trace" }, logs });
    nodes = await Promise.all(cluster.gateways.map(async (gateway) => (await cluster.readiness(gateway)).body.node));
  });
  after(async () => {
    await cluster?.stop();
    collector?.stop();
    backend.close();
    backend.closeAllConnections();
    if (logs) await Promise.all([logs, `${logs}-secret`].map((path) => rm(path, { recursive: true, force: true })));
  });
  afterEach(closeAll);

  /** The one span that matches `wanted`. */
  function one(spans, wanted) {
    const found = spans.filter((span) => matches(span, wanted));
    assert.equal(found.length, 1, `${JSON.stringify(wanted)} of ${spans.map(({ name, instance }) => `${name} ${instance}`)}`);
    return found[0];
  }

  /** Asserts that each span is the parent of the next and begins first, as far as clocks of one machine can show. */
  function follow(...chain) {
    for (const [index, span] of chain.entries()) {
      assert.ok(span.end >= span.start, span.name);
      if (index === 0) continue;
      assert.equal(span.parent, chain[index - 1].id, `${span.name} below ${chain[index - 1].name}`);
      assert.ok(span.start >= chain[index - 1].start, `${span.name} after ${chain[index - 1].name}`);
    }
  }

  test("a stored message: event, append, and the deliveries of every node are one trace", async (t) => {
    const room = newRoom();
    const clients = await Promise.all(cluster.urls.map((url, node) =>
      signedIn(url, cluster.user(), node === 1 ? { transports: ["websocket"] } : {})));
    await until("all are upgraded", () => clients.every(({ transport }) => transport === "websocket"));
    for (const client of clients) await join(client, room);
    const { messageId } = await done(clients[0], "send-message", { room, content: "traced" });
    for (const client of clients) await client.waitFor("new-message", ({ id }) => id === messageId);

    const first = await collector.find("the event's span", ({ name }) => name === "send-message");
    const spans = await collector.trace(first.trace, [
      { name: "append" },
      ...nodes.map((instance) => ({ name: "deliver", instance })),
    ]);
    assert.deepEqual([...new Set(spans.map(({ service }) => service))], ["jackfield-gateway"]);
    const event = one(spans, { name: "send-message", kind: SERVER, instance: nodes[0], parent: "" });
    assert.equal(event.attributes.namespace, "/");
    const append = one(spans, { name: "append", kind: PRODUCER, instance: nodes[0] });
    follow(event, append);
    for (const instance of nodes) {
      const deliver = one(spans, { name: "deliver", kind: CONSUMER, instance });
      follow(append, deliver);
    }
    assert.equal(spans.length, 2 + nodes.length);
    t.diagnostic(JSON.stringify({ trace: first.trace, spans: spans.map(({ name, instance, start, end }) =>
      ({ name, instance, atMicros: Number(start - event.start) / 1000, tookMicros: Number(end - start) / 1000 })) }));
  });

  test("an event for a hook: the event, its turn, and the call, which continues at the backend", async () => {
    const client = await signedIn(cluster.urls[0], cluster.user(), { transports: ["websocket"] });
    assert.deepEqual(await client.ask("hooked:x", { n: 1 }), { status: "ok" });
    const first = await collector.find("the event's span", ({ name }) => name === "hooked:x");
    const spans = await collector.trace(first.trace, [{ name: "hook traced" }, { name: "hook" }]);
    const event = one(spans, { name: "hooked:x", kind: SERVER, instance: nodes[0], parent: "" });
    const turn = one(spans, { name: "hook traced", kind: INTERNAL });
    const call = one(spans, { name: "hook", kind: CLIENT });
    follow(event, turn, call);
    assert.equal(call.attributes["http.response.status_code"], 204);
    assert.equal(call.attributes.hook, "traced");
    assert.deepEqual(calls.map(({ traceparent }) => traceparent), [`00-${call.trace}-${call.id}-01`]);
  });

  test("a call of a backend continues the trace of the backend", async () => {
    const room = newRoom();
    const client = await signedIn(cluster.urls[1], cluster.user(), { transports: ["websocket"] });
    await join(client, room);
    const [trace, parent] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
    const headers = { traceparent: `00-${trace}-${parent}-01`, "x-request-id": "mine-1" };
    const answer = await new Api(cluster, 2).post(`/rooms/${room}/messages`, { content: "x" }, headers);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    assert.equal(answer.headers.get("x-request-id"), "mine-1");
    const spans = await collector.trace(trace, [{ parent }, { name: "append" }, { name: "deliver" }]);
    const call = one(spans, { parent, kind: SERVER, instance: nodes[2] });
    assert.match(call.name, /^POST \/v1\/rooms\/\{/);
    assert.equal(call.attributes["request.id"], "mine-1");
    assert.equal(call.attributes["http.response.status_code"], 201);
    const append = one(spans, { name: "append", instance: nodes[2] });
    const deliver = one(spans, { name: "deliver", instance: nodes[1] });
    follow(call, append, deliver);

    // A trace that the caller does not record is not continued.
    const [quiet, loud] = [randomBytes(16).toString("hex"), randomBytes(16).toString("hex")];
    await new Api(cluster, 2).get("/stats", { traceparent: `00-${quiet}-${parent}-00` });
    await new Api(cluster, 2).get("/stats", { traceparent: `00-${loud}-${parent}-01` });
    // A node sends its spans in the order in which they ended.
    await collector.trace(loud, [{ parent, kind: SERVER, instance: nodes[2] }]);
    assert.deepEqual(collector.spans.filter((span) => span.trace === quiet), []);
  });

  test("events that are not stored, for one user, and for readers of a feed", async () => {
    const [alice, bob] = [cluster.user(), cluster.user()];
    const sender = await signedIn(cluster.urls[0], alice, { transports: ["websocket"] });
    const receiver = await signedIn(cluster.urls[1], bob, { transports: ["websocket"] });
    const admin = cluster.user({ roles: ["ADMIN"] });
    const reader = await reading(cluster.urls[1], {});
    const writer = await reading(cluster.urls[2], { token: admin.token });
    const ways = [
      ["message", () => sender.ask("message", "hello"), "publish"],
      ["private-message", () => sender.ask("private-message", { to: bob.id, content: "psst" }), "publish"],
      ["updateProduct", () => writer.ask("updateProduct", { id: 1 }), "append"],
    ];
    for (const [name, send, hop] of ways) {
      assert.equal((await send()).status, "ok", name);
      const event = await collector.find(`the span of ${name}`, (span) => span.name === name);
      const spans = await collector.trace(event.trace, [{ name: hop }, { name: "deliver", instance: nodes[1] }]);
      const deliver = one(spans, { name: "deliver", instance: nodes[1] });
      const sent = spans.find(({ id }) => id === deliver.parent);
      assert.deepEqual([sent.name, sent.parent], [hop, event.id]);
      follow(event, sent, deliver);
    }
    assert.equal(receiver.disconnects.length + reader.disconnects.length, 0);
  });

  test("log lines have request, session and trace, and no secret", async () => {
    const secrets = [cluster.apiKey, "Correct-horse-7", "Wrong-horse-77", "not.a.token"];
    const user = cluster.user();
    secrets.push(user.token);
    const client = await signedIn(cluster.urls[0], user);
    await join(client, newRoom());
    const refusedToken = cluster.token({ sub: "x", name: "x", roles: [], exp: 1 });
    secrets.push(refusedToken);
    for (const token of [refusedToken, "not.a.token"]) {
      await connect(cluster.urls[0], { token }).refused();
      await refused(client, "token:refresh", { token }, "validation_failed");
    }
    const account = { email: `traces-${process.pid}@mail.com`, password: "Correct-horse-7", fullName: "Ana" };
    const { email, password } = account;
    const ask = (path, body) => api(cluster, "POST", `/auth/${path}`, body);
    const registered = await ask("register", account);
    assert.equal((await ask("login", { email, password: "Wrong-horse-77" })).status, 401);
    const loggedIn = await ask("login", { email, password });
    secrets.push(registered.body.token, loggedIn.body.token);
    const loginId = loggedIn.headers.get("x-request-id");
    const many = alsoIn(client, "/chat", user.token);
    await many.ready();
    for (const key of [cluster.apiKey, "wrong key that is long enough"]) await new Api(cluster, 0, key).get("/stats");
    secrets.push("wrong key that is long enough");
    const call = await new Api(cluster, 0).get("/nodes");
    const requestId = call.headers.get("x-request-id");

    // A session that is ended leaves a line.
    await new Api(cluster, 1).post(`/users/${user.id}/disconnect`, { reason: "test" });
    await client.waitFor("session:ended");

    // A last request to each process: once its line is there, so are all lines before it.
    const words = await Promise.all(nodes.map(async (_, node) => (await new Api(cluster, node).get("/stats")).headers.get("x-request-id")));
    words.push((await ask("login", { email, password: "Wrong-horse-77" })).headers.get("x-request-id"));
    const wanted = [requestId, loginId, ...words];
    const lines = await until("the lines are logged", async () => {
      const files = (await readdir(logs)).filter((file) => file.endsWith(".log"));
      const texts = await Promise.all(files.map((file) => readFile(inFolder(logs, file), "utf8")));
      // The last line of a file may be half written.
      const all = texts.flatMap((text) => text.split("\n").slice(0, -1)).filter((line) => line.startsWith("{"));
      const answered = all.filter((line) => line.includes('"request answered"'));
      const missing = wanted.filter((id) => !answered.some((line) => line.includes(id)));
      if (missing.length > 0) throw new NotYet(`${missing} is missing in ${all.length} lines of ${files}`);
      return all;
    });
    const ended = lines.filter((line) => line.includes('"session"'));
    assert.ok(ended.length > 0, "no line about a session");
    const text = lines.join("\n");
    for (const secret of secrets) assert.equal(typeof secret, "string");
    for (const secret of secrets) assert.equal(text.includes(secret), false, `a secret of ${secret.length} characters is in the logs`);
    assert.equal(/eyJ[A-Za-z0-9_-]{8}/.test(text), false, "something like a token is in the logs");
    assert.equal(/\$argon2/.test(text), false, "a hash of a password is in the logs");

    const answered = lines.map((line) => JSON.parse(line)).filter(({ message }) => message === "request answered");
    const ours = answered.find((line) => line.spans.some((span) => span.request_id === requestId));
    const trace = ours.spans.find(({ name }) => name === "trace").trace_id;
    const spans = await collector.trace(trace, [{ kind: SERVER }]);
    assert.equal(spans[0].attributes["request.id"], requestId);
  });
});
