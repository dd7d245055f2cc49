// Messages across nodes, their errors, their limits and their order.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { alsoIn, closeAll, connect, signedIn } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { inParallel, until } from "./support/until.mjs";
import { registerMany } from "./support/users.mjs";

describe("chat over three nodes", () => {
  let cluster, users;
  before(async () => {
    cluster = await startCluster({ set: { "limits.broadcastRate": 0 } });
    users = await registerMany(cluster, 4);
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  /** A client of another user on each node. */
  const onEveryNode = (options) => Promise.all(cluster.urls.map((url, index) => signedIn(url, users[index], options)));

  test("message-client reaches the whole namespace, including the sender, with the full name of the sender", async () => {
    const clients = await onEveryNode();
    for (const [index, sender] of clients.entries()) {
      const message = `from ${index}: ¿qué tal? 👋`;
      assert.deepEqual(await sender.ask("message-client", { id: sender.id, message }), { status: "ok" });
      for (const client of clients) {
        const received = await client.waitFor("message-server", (one) => one.message === message);
        assert.deepEqual(received, { fullName: users[index].fullName, message });
      }
    }
  });

  test("an empty message-client is sent as no-message!!!", async () => {
    const clients = await onEveryNode();
    clients[0].send("message-client", { id: clients[0].id, message: "" });
    for (const client of clients) {
      assert.deepEqual(await client.waitFor("message-server"), { fullName: users[0].fullName, message: "no-message!!!" });
    }
  });

  test("message, as text and as an object, has sender, content and time", async () => {
    const clients = await onEveryNode();
    for (const payload of ["plain text", { content: "in an object" }]) {
      const text = payload.content ?? payload;
      const answer = await clients[1].ask("message", payload);
      assert.deepEqual(answer, { status: "ok", message: "Message sent successfully" });
      for (const client of clients) {
        const received = await client.waitFor("message", ({ message }) => message === text);
        assert.deepEqual(received, { sender: clients[1].id, message: text, timestamp: received.timestamp });
        assert.match(received.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      }
    }
  });

  test("/ and /chat are separate", async () => {
    const main = await onEveryNode();
    const chat = await Promise.all(main.map((client, index) => alsoIn(client, "/chat", users[index].token).ready()));
    main[0].send("message", "in the main one");
    chat[0].send("message", "in chat");
    // The last message of each namespace comes after any that could have leaked into it.
    await until("all received it", () => [...main, ...chat].every((client) => client.all("message").length === 1));
    for (const client of [...main, ...chat]) client.events.length = 0;
    chat[2].send("message-client", { message: "chat again" });
    main[2].send("message-client", { message: "main again" });
    await until("all received it", () => [...main, ...chat].every((client) => client.all("message-server").length === 1));
    for (const client of main) assert.deepEqual(client.all("message-server").map((one) => one.message), ["main again"]);
    for (const client of chat) assert.deepEqual(client.all("message-server").map((one) => one.message), ["chat again"]);
    for (const client of [...main, ...chat]) assert.deepEqual(client.all("message"), []);
  });

  test("messages arrive only in the namespace in which they were sent", async () => {
    const client = await signedIn(cluster.urls[0], users[0], { namespace: "/chat" });
    // The sockets in `/` receive a list with this newcomer.
    const newcomer = await signedIn(cluster.urls[0], users[1]);
    await newcomer.waitFor("clients-updated", (ids) => ids.includes(newcomer.id));
    assert.equal((await client.ask("message", "only chat")).status, "ok");
    await client.waitFor("message", ({ message }) => message === "only chat");
    assert.deepEqual(client.all("clients-updated"), [], "the roster is sent only in /");
  });

  const bad = {
    "no content": ["message", [], "validation_failed", /content|message/],
    "empty text": ["message", [""], "validation_failed", /content/],
    "too long a text": ["message", ["x".repeat(1001)], "validation_failed", /content/],
    "too long a content": ["message", [{ content: "ñ".repeat(1001) }], "validation_failed", /content/],
    "a number": ["message", [5], "validation_failed", /content|message/],
    "a number as content": ["message", [{ content: 5 }], "validation_failed", /content/],
    "a list": ["message", [["a"]], "validation_failed", /content|message/],
    "a room one is not in": ["message", [{ content: "x", room: "elsewhere" }], "not_in_room", /elsewhere/],
    "a number for a message-client": ["message-client", [{ message: 5 }], "validation_failed", /message/],
    "an unknown event": ["no-such-event", [{ a: 1 }], "unknown_event", /./],
    "a name that objects have": ["constructor", [{}], "unknown_event", /./],
    "more than the limit of an event": ["message", ["x".repeat(70_000)], "payload_too_large", /./],
  };
  for (const [name, [event, args, code, words]] of Object.entries(bad)) {
    test(`refused, and not delivered: ${name}`, async () => {
      const [sender, other] = await onEveryNode();
      const answer = await sender.ask(event, ...args);
      assert.deepEqual({ ...answer, message: "" }, { status: "error", code, message: "" });
      assert.match(answer.message, words);

      sender.send(event, ...args);
      const error = await sender.waitFor("error");
      assert.deepEqual({ ...error, message: "" }, { status: "error", code, message: "", event });

      assert.equal((await sender.ask("message", "fine")).status, "ok");
      await other.waitFor("message", ({ message }) => message === "fine");
      const received = other.events.filter((one) => ["message", "message-server", "error"].includes(one.name));
      assert.equal(received.length, 1);
      assert.deepEqual(sender.disconnects, []);
    });
  }

  test("1,000 characters are counted as characters, not as bytes", async () => {
    const [sender, other] = await onEveryNode();
    const text = "👋".repeat(1000);
    assert.equal((await sender.ask("message", text)).status, "ok");
    assert.equal((await other.waitFor("message")).message, text);
  });

  test("500 events sent without waiting arrive on every node, in order, without a loss", async () => {
    const listeners = await onEveryNode();
    for (const transports of [["websocket"], ["polling"]]) {
      const sender = await signedIn(cluster.urls[0], users[3], { transports });
      const sent = Array.from({ length: 500 }, (_, index) => `${transports} ${index}`);
      for (const text of sent) sender.send("message", text);
      for (const listener of [...listeners, sender]) {
        const received = () => listener.all("message").filter((one) => one.sender === sender.id).map((one) => one.message);
        await until("500 messages", () => received().length >= sent.length);
        assert.deepEqual(received(), sent);
      }
      sender.close();
    }
  });

  test("events of different kinds do not overtake each other", async () => {
    const [sender, other] = await onEveryNode();
    const sent = Array.from({ length: 200 }, (_, index) => String(index));
    for (const text of sent) {
      if (Number(text) % 2) sender.send("message", text);
      else sender.send("message-client", { message: text });
    }
    const names = ["message", "message-server"];
    const received = () => other.events.filter(({ name }) => names.includes(name)).map(({ args }) => args[0].message);
    await until("200 messages", () => received().length === sent.length);
    assert.deepEqual(received(), sent);
  });

  test("an event sent in the tick of connect, or before it, is handled", async () => {
    for (let round = 0; round < 20; round++) {
      for (const transports of [["websocket"], ["polling"]]) {
        const client = connect(cluster.urls[round % 3], { token: users[3].token, transports });
        const early = client.ask("message", "before connect");
        const atOnce = new Promise((resolve) => {
          client.socket.once("connect", () => client.socket.emit("message", "in the tick of connect", resolve));
        });
        assert.equal((await early).status, "ok");
        assert.equal((await atOnce).status, "ok");
        client.close();
      }
    }
  });

  test("too many events are refused, without harm to others; far too many disconnect the client", OWN, async () => {
    // Users of their own: events that a user has sent in other tests count against the same budget.
    const fresh = await registerMany(cluster, 2);
    const [flooder, other] = await Promise.all(fresh.map((user, index) => signedIn(cluster.urls[index], user)));
    const begun = Date.now();
    // No more at a time than a gateway queues for a slow reader, as we may be.
    const answers = await inParallel(Array.from({ length: 1200 }, (_, index) => `m${index}`), 200, (text) => flooder.ask("message", text));
    const refused = answers.filter((answer) => answer.status === "error");
    // 1,000 pass at once, and 100 a second.
    const earned = Math.ceil((Date.now() - begun) / 10);
    const most = answers.length - 1000;
    assert.ok(refused.length <= most && refused.length >= most - earned, `${refused.length} refused, ${earned} more may pass`);
    for (const answer of refused) {
      assert.equal(answer.code, "rate_limited");
      assert.ok(answer.retryAfterMs > 0, JSON.stringify(answer));
    }
    assert.equal(flooder.connected, true);
    assert.equal((await other.ask("message", "undisturbed")).status, "ok");

    for (let index = 0; index < 3000; index++) flooder.send("message", `more ${index}`);
    assert.equal(await flooder.disconnected(), "io server disconnect");
    assert.equal(flooder.willReconnect, false);
    assert.equal(flooder.events.at(-1).name, "error");
    assert.equal(flooder.last("error").code, "rate_limited");
    assert.equal((await other.ask("message", "still undisturbed")).status, "ok");
  });
});
