// README's examples, as README prints them: the events of its curl commands reach the listeners of its clients.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { create } from "react-test-renderer";
import { createElement } from "react";

import { Api } from "./support/api.mjs";
import { Client, closeAll } from "./support/clients.mjs";
import { OWN } from "./support/cluster.mjs";
import { startRooms } from "./support/rooms.mjs";
import { PATIENCE_MS, until, within } from "./support/until.mjs";
import { ROOT } from "./support/xtask.mjs";
import { io } from "socket.io-client";

const README = await readFile(join(ROOT, "README.md"), "utf8");

/** The code block after this mark. */
function example(name) {
  const found = README.match(new RegExp(`<!-- example:${name} -->\\s+\`\`\`\\w+\\n([\\s\\S]*?)\n\`\`\``));
  assert.ok(found, `README has no example:${name}`);
  return found[1];
}

describe("README's examples", OWN, () => {
  let cluster, folder;
  const children = [];
  before(async () => {
    cluster = await startRooms({ nodes: 2, set: { "session.policy": "multi" } });
    // Among the tests, so that the examples find the same packages.
    folder = await mkdtemp(join(import.meta.dirname, "example-"));
  });
  after(async () => {
    await cluster?.stop();
    if (folder) await rm(folder, { recursive: true });
  });
  afterEach(() => {
    closeAll();
    for (const child of children.splice(0)) child.kill();
  });

  /** Starts a program; `text` is its output so far. */
  function start(command, args, env) {
    const child = spawn(command, args, { env: { ...process.env, ...env }, cwd: folder });
    const said = { text: "" };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (said.text += data));
    said.ended = new Promise((resolve, reject) => child.on("exit", resolve).on("error", reject));
    children.push(child);
    return said;
  }

  /** README's curl commands, at the node that the clients are not on. */
  async function callAll(user) {
    const env = { API: `${cluster.gateways[1].internal}/v1`, KEY: cluster.apiKey, USER_ID: user.id };
    const said = start("bash", ["-ec", example("curl")], env);
    assert.equal(await within(PATIENCE_MS, "curl ended", said.ended), 0, said.text);
    return said.text.trim().split("\n").map((line) => JSON.parse(line));
  }

  const online = (user) => async () => {
    return (await new Api(cluster, 1).read(`/users/${user.id}`)).online;
  };

  test("the hook of the fourth seed: its options and listeners, with the stock client", async () => {
    const user = cluster.user();
    const options = { path: "/socket.io/", transports: ["websocket", "polling"], reconnectionAttempts: 5, forceNew: true };
    const client = new Client(io(cluster.urls[0], { ...options, reconnectionDelay: 1000, auth: { token: user.token } }));
    const { success, userId } = await client.heard("authenticated");
    assert.deepEqual([success, userId], [true, user.id]);
    await client.heard("notification:unread_count", ({ unreadCount }) => unreadCount === 0);
    const [notified, emitted, published, status] = await callAll(user);
    assert.deepEqual([notified.unreadCount, notified.delivered, emitted.delivered], [1, 1, 1]);
    assert.ok(published.id);
    assert.deepEqual([status.online, status.sockets], [true, 1]);
    const { notification } = await client.heard("notification:new");
    assert.deepEqual([notification.id, notification.title, notification.type], [notified.notificationId, "Order 7", "info"]);
    await client.heard("notification:unread_count", ({ unreadCount }) => unreadCount === 1);
    const { type, data, timestamp } = await client.heard("data:updated");
    assert.deepEqual([type, data], ["order", { id: 7 }]);
    assert.ok(Date.parse(timestamp));
  });

  test("React", async () => {
    const file = join(folder, "useNotifications.mjs");
    await writeFile(file, example("react"));
    const { useNotifications } = await import(file);
    const user = cluster.user();
    let state;
    const Bell = () => {
      state = useNotifications(cluster.urls[0], user.token);
      return null;
    };
    const rendered = create(createElement(Bell));
    await until("connected", () => state?.connected);
    const [notified] = await callAll(user);
    await until("counted", () => state.unread === 1 && state.latest?.id === notified.notificationId);
    rendered.unmount();
    await until("gone", async () => !(await online(user)()));
  });

  test("Node", async () => {
    const file = join(folder, "listen.mjs");
    await writeFile(file, example("node"));
    const user = cluster.user();
    const said = start(process.execPath, [file], { URL: cluster.urls[0], TOKEN: user.token });
    await until("online", online(user));
    await callAll(user);
    await until("both are printed", () => /new: Order 7[\s\S]*updated: order 7/.test(said.text));
  });

  test("Python", async () => {
    const file = join(folder, "listen.py");
    await writeFile(file, example("python"));
    const user = cluster.user();
    const said = start(process.env.PYTHON ?? "python3", [file], { URL: cluster.urls[0], TOKEN: user.token });
    await until("online", async () => {
      // It prints nothing before: any output is an error.
      if (said.text) throw new Error(said.text);
      return online(user)();
    });
    // It joins its feed a moment after its main namespace, and does not get earlier updates: so the calls are repeated.
    await until("both are printed", async () => {
      await callAll(user);
      return said.text.includes("new: Order 7") && said.text.includes("feed: CREATE Shirt");
    });
  });
});
