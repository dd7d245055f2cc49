// The programs in `examples/`, as they are, against a cluster of two nodes.

import assert from "node:assert/strict";
import { copyFile } from "node:fs/promises";
import { join as joined } from "node:path";
import { before, describe, test } from "node:test";

import { createElement } from "react";
import { create } from "react-test-renderer";

import { Api } from "./support/api.mjs";
import { signedIn } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { programs } from "./support/programs.mjs";
import { done, join, newRoom, roomMessages } from "./support/rooms.mjs";
import { PATIENCE_MS, until, within } from "./support/until.mjs";
import { ROOT } from "./support/xtask.mjs";

const EXAMPLES = joined(ROOT, "examples");

describe("the examples", OWN, () => {
  let cluster, folder;
  const { setUp, start } = programs();
  before(async () => ({ cluster, folder } = await setUp()));

  /** Runs the backend at the node that the clients are not on. */
  async function backend(user, room) {
    const env = { API: `${cluster.gateways[1].internal}/v1`, KEY: cluster.apiKey };
    const args = [joined(EXAMPLES, "backend-node/notify.mjs"), user.id, room];
    const program = start(process.execPath, args, { env });
    assert.equal(await within(PATIENCE_MS, "the backend ended", program.ended), 0, program.text);
    return program.text;
  }

  test("the backend: a notification and a message of the room", async () => {
    const [user, room] = [cluster.user(), newRoom()];
    const client = await signedIn(cluster.urls[0], user);
    await join(client, room);
    const text = await backend(user, room);
    assert.match(text, /^notification [0-9a-f-]{36}: 1 unread, sent to 1 sessions\nmessage [0-9a-f]{14}-\d{12}\n$/);
    const { notification } = await client.waitFor("notification:new");
    assert.deepEqual([notification.title, notification.data], ["Order 7", { orderId: 7 }]);
    const { content, sender } = await client.waitFor("new-message");
    assert.deepEqual([content, sender.id], ["Order 7 is on its way", "system"]);
  });

  test("the backend is refused: it says why", async () => {
    const env = { API: `${cluster.gateways[1].internal}/v1`, KEY: "wrong" };
    const program = start(process.execPath, [joined(EXAMPLES, "backend-node/notify.mjs"), "u", newRoom()], { env });
    assert.equal(await within(PATIENCE_MS, "the backend ended", program.ended), 1);
    assert.match(program.text, /invalid_api_key/);
  });

  test("Python: it sends once, prints what others send, and misses nothing when it reconnects", async () => {
    const [user, room] = [cluster.user({ name: "Pia" }), newRoom()];
    const args = [joined(EXAMPLES, "python/client.py"), room, "hello from Python"];
    const env = { URL: cluster.urls[0], TOKEN: user.token };
    const program = start(process.env.PYTHON ?? "python3", args, { env });
    await until("it prints its own message", () => program.text.includes("Pia: hello from Python"));

    const other = await signedIn(cluster.urls[1], cluster.user({ name: "Ana" }));
    await join(other, room);
    await done(other, "send-message", { room, content: "one" });
    await until("it prints a message", () => program.text.includes("Ana: one"));
    await backend(user, room);
    await until("it prints the notification", () => program.text.includes("notification: Order 7"));
    await until("it prints the backend's message", () => program.text.includes("System: Order 7 is on its way"));

    const [gateway] = cluster.gateways;
    cluster.signal(gateway, "SIGKILL");
    await until("the node is gone", () => !cluster.alive(gateway));
    await done(other, "send-message", { room, content: "two" });
    await cluster.restartGateway(gateway.id);
    await until("it prints the message that it missed", () => program.text.includes("Ana: two"));
    assert.deepEqual(program.text.match(/.*(hello from Python|one|two)$/gm), ["Pia: hello from Python", "Ana: one", "Ana: two"]);
    assert.doesNotMatch(program.text, /lost|refused/);
    await cluster.allReadinessIs(200);
  });

  describe("React", () => {
    /** Renders a component that does nothing but call the hook; `state` is what the hook returned last. */
    async function rendered(options) {
      const file = joined(folder, "useJackfield.mjs");
      await copyFile(joined(EXAMPLES, "react/useJackfield.js"), file);
      const hook = await import(file);
      const seen = { hook };
      const Component = () => {
        seen.state = hook.useJackfield(options);
        return null;
      };
      seen.root = create(createElement(Component));
      return seen;
    }

    test("connection, notifications, messages of a room, and sending", async () => {
      const [user, room] = [cluster.user({ name: "Rea" }), newRoom()];
      const seen = await rendered({ url: cluster.urls[0], token: user.token, room });
      await until("connected", () => seen.state?.status === "connected");
      const id = await seen.state.send("hello from React");
      await until("its own message", () => seen.state.messages.some((message) => message.id === id));
      await backend(user, room);
      await until("the notification", () => seen.state.unread === 1 && seen.state.latest?.title === "Order 7");
      await until("the backend's message", () => seen.state.messages.length === 2);
      assert.deepEqual(seen.state.messages.map(({ content }) => content), ["hello from React", "Order 7 is on its way"]);
      assert.deepEqual([seen.state.gap, seen.state.reason], [false, null]);
      seen.root.unmount();
      const api = new Api(cluster, 1);
      await until("gone", async () => !(await api.read(`/users/${user.id}`)).online);
    });

    test("a lost connection costs no message; a permanent end says why", async () => {
      const [user, room] = [cluster.user(), newRoom()];
      const seen = await rendered({ url: cluster.urls[0], token: user.token, room });
      await until("connected", () => seen.state?.status === "connected");
      await seen.state.send("one");
      await until("the first message", () => seen.state.messages.length === 1);

      const other = await signedIn(cluster.urls[1], cluster.user());
      await join(other, room);
      const [gateway] = cluster.gateways;
      cluster.signal(gateway, "SIGKILL");
      await until("it notices", () => seen.state.status === "connecting");
      await done(other, "send-message", { room, content: "two" });
      await cluster.restartGateway(gateway.id);
      await until("the missed message", () => seen.state.messages.length === 2);
      assert.deepEqual([seen.state.status, seen.state.gap], ["connected", false]);
      assert.deepEqual(seen.state.messages.map(({ id }) => id), [...seen.state.messages.map(({ id }) => id)].sort());
      assert.equal(roomMessages(other, room).at(-1).id, seen.state.messages.at(-1).id);

      await new Api(cluster, 1).post(`/users/${user.id}/disconnect`, { reason: "over" });
      await until("the end", () => seen.state.status === "ended");
      assert.equal(seen.state.reason, "session:ended");
      seen.root.unmount();
      await cluster.allReadinessIs(200);
    });

    test("a refused token", async () => {
      const seen = await rendered({ url: cluster.urls[0], token: "no token", room: newRoom() });
      await until("refused", () => seen.state?.status === "refused");
      assert.equal(seen.state.reason, "invalid_token");
      seen.root.unmount();
    });

    test("messages are merged by id, in order, and the oldest are dropped", async () => {
      const seen = await rendered({ url: cluster.urls[0], token: null });
      const [a, b, c] = ["a", "b", "c"].map((id) => ({ id }));
      assert.deepEqual(seen.hook.merge([b], [c, a, b]), [a, b, c]);
      assert.deepEqual(seen.hook.merge([a, b], [c], 2), [b, c]);
      seen.root.unmount();
    });
  });
});
