// Messages over real transports. All other behaviour of these events is tested in `gateway/tests/it/chat.rs`.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { closeAll, connect, signedIn } from "./support/clients.mjs";
import { startCluster } from "./support/cluster.mjs";
import { until } from "./support/until.mjs";
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

  test("message-client and message reach everybody, on every node", async () => {
    const clients = await onEveryNode();
    const text = "¿qué tal? 👋";
    assert.deepEqual(await clients[0].ask("message-client", { id: clients[0].id, message: text }), { status: "ok" });
    assert.deepEqual(await clients[1].ask("message", text), { status: "ok", message: "Message sent successfully" });
    for (const client of clients) {
      assert.deepEqual(await client.waitFor("message-server"), { fullName: users[0].fullName, message: text });
      const received = await client.waitFor("message");
      assert.deepEqual(received, { sender: clients[1].id, message: text, timestamp: received.timestamp });
    }
  });

  test("an event above the limit of bytes is refused, and not delivered", async () => {
    const [sender, other] = await onEveryNode();
    const long = "x".repeat(70_000);
    const answer = await sender.ask("message", long);
    assert.deepEqual({ ...answer, message: "" }, { status: "error", code: "payload_too_large", message: "" });
    sender.send("message", long);
    const error = await sender.waitFor("error");
    assert.deepEqual({ ...error, message: "" }, { status: "error", code: "payload_too_large", message: "", event: "message" });

    assert.equal((await sender.ask("message", "fine")).status, "ok");
    await other.waitFor("message", ({ message }) => message === "fine");
    assert.equal(other.all("message").length, 1);
    assert.deepEqual(sender.disconnects, []);
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
});
