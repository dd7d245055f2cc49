// The examples in README and in the pages of `docs/`, as they are printed there.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";

import { io } from "socket.io-client";

import { Api } from "./support/api.mjs";
import { Client } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { programs } from "./support/programs.mjs";
import { example } from "./support/readme.mjs";
import { startStandalone } from "./support/standalone.mjs";
import { PATIENCE_MS, until, within } from "./support/until.mjs";

describe("the examples of the documentation", OWN, () => {
  let cluster, folder;
  const { setUp, start, endAll } = programs();
  before(async () => ({ cluster, folder } = await setUp()));

  /** Runs curl commands at the node that the clients are not on; returns the answers. */
  async function call(name, user) {
    const env = { API: `${cluster.gateways[1].internal}/v1`, KEY: cluster.apiKey, USER_ID: user.id };
    const program = start("bash", ["-ec", example(name)], { env, cwd: folder });
    assert.equal(await within(PATIENCE_MS, "curl ended", program.ended), 0, program.text);
    return program.text.trim().split("\n").map((line) => JSON.parse(line));
  }

  test("the hook of the fourth seed: its options and listeners, with the stock client", async () => {
    const user = cluster.user();
    const options = { path: "/socket.io/", transports: ["websocket", "polling"], reconnectionAttempts: 5, forceNew: true };
    const client = new Client(io(cluster.urls[0], { ...options, reconnectionDelay: 1000, auth: { token: user.token } }));
    const { success, userId } = await client.waitFor("authenticated");
    assert.deepEqual([success, userId], [true, user.id]);
    await client.waitFor("notification:unread_count", ({ unreadCount }) => unreadCount === 0);
    const [notified, emitted, published, status] = await call("calls", user);
    assert.deepEqual([notified.unreadCount, notified.delivered, emitted.delivered], [1, 1, 1]);
    assert.ok(published.id);
    assert.deepEqual([status.online, status.sockets], [true, 1]);
    const { notification } = await client.waitFor("notification:new");
    assert.deepEqual([notification.id, notification.title, notification.type], [notified.notificationId, "Order 7", "info"]);
    await client.waitFor("notification:unread_count", ({ unreadCount }) => unreadCount === 1);
    const { type, data, timestamp } = await client.waitFor("data:updated");
    assert.deepEqual([type, data], ["order", { id: 7 }]);
    assert.ok(Date.parse(timestamp));
  });

  test("the one call of README", async () => {
    const [answer] = await call("call", cluster.user());
    assert.deepEqual([answer.unreadCount, answer.delivered], [1, 0]);
  });

  test("README's client, at a program that runs as README starts it", async () => {
    const program = await startStandalone();
    try {
      const file = join(folder, "client.mjs");
      await writeFile(file, example("client").replaceAll("http://localhost:3000", program.url));
      const client = start(process.execPath, [file]);
      await until("it prints its message, and where it is stored", () => {
        return /Test 1: hello/.test(client.text) && /status: 'ok',\s+messageId: '[0-9a-f]{14}-\d{12}'/.test(client.text);
      });
    } finally {
      endAll();
      await program.stop();
    }
  });

  test("a client in Node that listens to a backend", async () => {
    const file = join(folder, "listen.mjs");
    await writeFile(file, example("listener"));
    const user = cluster.user();
    const program = start(process.execPath, [file], { env: { URL: cluster.urls[0], TOKEN: user.token } });
    await until("online", async () => (await new Api(cluster, 1).read(`/users/${user.id}`)).online);
    await call("calls", user);
    await until("both are printed", () => /new: Order 7[\s\S]*updated: order 7/.test(program.text));
  });

  test("a reader of a feed in Python", async () => {
    const file = join(folder, "feed.py");
    await writeFile(file, example("feed"));
    const program = start(process.env.PYTHON ?? "python3", [file], { env: { URL: cluster.urls[0] } });
    // A reader gets no earlier updates, so the calls are repeated.
    await until("the update is printed", async () => {
      await call("calls", cluster.user());
      return program.text.includes("feed: CREATE Shirt");
    });
  });
});
