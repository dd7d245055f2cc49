// The hooks in `examples/backend-node` and `examples/backend-python`, and the one of the page about migration, started as
// their pages say.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { closeAll, signedIn } from "./support/clients.mjs";
import { ownEvents } from "./support/contract.mjs";
import { copied } from "./support/examples.mjs";
import { startNode } from "./support/node.mjs";
import { startProgram } from "./support/programs.mjs";
import { example, settings } from "./support/readme.mjs";
import { done, refused } from "./support/rooms.mjs";
import { freePort } from "./support/standalone.mjs";
import { NotYet, until } from "./support/until.mjs";

ownEvents(
  "cart:add", "cart:changed", "order:create", "order:list", "order:step", "order:changed", "desk:watch", "customer:online",
  "customer:offline", "ticket:open", "ticket:list", "ticket:close", "ticket:changed", "chat:send", "chat:message", "chat:gone",
);

const PYTHON = process.env.PYTHON ?? "python3";

/**
 * For one `describe`: runs the commands `name` of a page in a copy of the example, with a gateway as the page sets it up.
 * The last command is the program.
 */
function started(name, { of, port: printed, set = {} }) {
  const system = {};
  before(async () => {
    const [folder, port] = [await copied(of), await freePort()];
    system.folder = folder;
    // `cargo xtask test` has installed the packages.
    const lines = example(name).split("\n").filter((line) => !/^(pip|npm) /.test(line));
    const program = lines.pop().replace(printed, port).replace(/\bpython\b/, PYTHON);
    await promisify(execFile)("bash", ["-ec", lines.join("\n")], { cwd: folder });
    const { hooks, ...others } = settings(`${name}-settings`);
    const hook = hooks.replace(`localhost:${printed}`, `127.0.0.1:${port}`).replace("secretFile=", `secretFile=${folder}/`);
    system.node = await startNode({ set: { ...others, hooks: hook, ...set } });
    const env = { API: `${system.node.internal}/v1`, KEY: system.node.apiKey };
    system.program = startProgram("bash", ["-ec", `exec env ${program}`], { cwd: folder, env });
    await until(`${name} listens`, () => {
      if (!system.program.text.includes("listens")) throw new NotYet(system.program.text);
      return true;
    });
  });
  after(async () => {
    system.program?.kill();
    await system.node?.stop();
    if (system.folder) await rm(system.folder, { recursive: true });
  });
  afterEach(closeAll);
  return system;
}

describe("the order desk", () => {
  const system = started("order-desk", { of: "backend-node", port: "4000", set: { "presence.grace": "300ms" } });

  test("customers order, the desk sees it, and who is online", async () => {
    const { node } = system;
    const desk = await signedIn(node.url, node.user("Desk", ["ADMIN"]));
    await done(desk, "desk:watch");
    const ana = node.user("Ana");
    const [phone, laptop] = [await signedIn(node.url, ana), await signedIn(node.url, ana)];
    await desk.waitFor("customer:online", ({ user }) => user === ana.id);
    assert.ok((await done(desk, "desk:watch")).online.includes(ana.id));

    assert.deepEqual((await done(phone, "cart:add", { item: "tea" })).cart, ["tea"]);
    assert.deepEqual((await done(laptop, "cart:add", { item: "milk" })).cart, ["tea", "milk"]);
    await phone.waitFor("cart:changed", ({ cart }) => cart.length === 2);
    await refused(phone, "cart:add", { item: 7 }, "invalid_item");

    const { order } = await done(phone, "order:create", { clientId: "first" });
    assert.deepEqual({ ...order }, { id: order.id, user: ana.id, items: ["tea", "milk"], step: "open" });
    for (const client of [desk, phone, laptop]) await client.waitFor("order:changed", ({ id }) => id === order.id);
    // Sent again, as after a lost acknowledgement.
    assert.deepEqual((await done(phone, "order:create", { clientId: "first" })).order, order);
    await refused(phone, "order:create", { clientId: "second" }, "empty_cart");

    await refused(phone, "order:step", { id: order.id }, "forbidden");
    await refused(phone, "desk:watch", {}, "forbidden");
    await refused(desk, "order:step", { id: 999 }, "no_such_step");
    assert.equal((await done(desk, "order:step", { id: order.id })).order.step, "packed");
    await laptop.waitFor("order:changed", ({ step }) => step === "packed");
    assert.equal(laptop.all("order:changed").length, 2, "the repeated order was announced once");
    assert.equal((await done(laptop, "order:list")).orders.length, 1);
    const other = await signedIn(node.url, node.user("Bob"));
    assert.deepEqual((await done(other, "order:list")).orders, []);
    assert.ok((await done(desk, "order:list")).orders.some(({ id }) => id === order.id));

    phone.close();
    laptop.close();
    await desk.waitFor("customer:offline", ({ user }) => user === ana.id);
    assert.ok(!(await done(desk, "desk:watch")).online.includes(ana.id));
  });

  test("calls that the gateway did not sign are refused", async () => {
    const [, port] = system.program.text.match(/listens on (\d+)/);
    const headers = { "content-type": "application/json", "webhook-id": "x", "webhook-timestamp": "1", "webhook-signature": "v1,AA==" };
    const answer = await fetch(`http://127.0.0.1:${port}/hook`, { method: "POST", headers, body: "{}" });
    assert.deepEqual([answer.status, (await answer.json()).code], [401, "bad_signature"]);
  });
});

describe("the help desk in Python", () => {
  const system = started("tickets", { of: "backend-python", port: "4001" });

  test("users open tickets, helpers close them", async () => {
    const { node } = system;
    const helper = await signedIn(node.url, node.user("Helper", ["ADMIN"]));
    const user = await signedIn(node.url, node.user("Ana"));
    const { ticket } = await done(user, "ticket:open", { text: "¿dónde está? 👋", clientId: "a" });
    for (const client of [helper, user]) await client.waitFor("ticket:changed", ({ text }) => text === ticket.text);
    assert.deepEqual((await done(user, "ticket:open", { text: "again", clientId: "a" })).ticket, ticket);
    await refused(user, "ticket:open", {}, "invalid_text");
    await refused(user, "ticket:close", { id: ticket.id }, "forbidden");
    await done(helper, "ticket:close", { id: ticket.id });
    await user.waitFor("ticket:changed", ({ open }) => open === false);
    assert.equal((await done(user, "ticket:list")).tickets.length, 1);
    await refused(helper, "ticket:close", { id: 99 }, "no_such_ticket");
  });
});

describe("the chat of the page about migration", () => {
  const programs = [];
  let folder, node;
  before(async () => {
    const port = await freePort();
    // Among the tests, so that it finds the same packages.
    folder = await mkdtemp(join(import.meta.dirname, "example-"));
    await writeFile(join(folder, "team.mjs"), example("migrated"));
    const secretFile = join(folder, "team.secret");
    await writeFile(secretFile, `whsec_${randomBytes(32).toString("base64")}\n`);
    const hook = `team;url=http://127.0.0.1:${port}/;events=chat:send;connect;facts=user.offline;secretFile=${secretFile}`;
    node = await startNode({ set: { hooks: hook, facts: "user.offline", "presence.grace": "300ms" } });
    const env = { API: `${node.internal}/v1`, KEY: node.apiKey, PORT: String(port), SECRET_FILE: secretFile };
    programs.push(startProgram(process.execPath, ["team.mjs"], { env, cwd: folder }));
    await until("it listens", () => fetch(`http://127.0.0.1:${port}/`, { method: "POST" }).catch(() => null));
  });
  after(async () => {
    for (const program of programs) program.kill();
    await node?.stop();
    if (folder) await rm(folder, { recursive: true });
  });
  afterEach(closeAll);

  test("a team's messages, and who has gone", async () => {
    const person = async (name, team) => {
      const user = node.user(name);
      return Object.assign(await signedIn(node.url, user, { auth: { token: user.token, team } }), { user });
    };
    const [ana, bob, eve] = [await person("Ana", "a"), await person("Bob", "a"), await person("Eve", "b")];
    const { id } = await done(ana, "chat:send", { text: "hello" });
    const message = await bob.waitFor("chat:message", (one) => one.id === id);
    assert.deepEqual(message, { id, from: ana.user.id, room: "team:a", text: "hello" });
    await refused(bob, "chat:send", {}, "empty");
    await done(bob, "chat:send", { text: "hi" });
    await ana.waitFor("chat:message", ({ text }) => text === "hi");
    bob.close();
    await ana.waitFor("chat:gone", ({ user }) => user === bob.user.id);
    for (const [client, count] of [[ana, 1], [eve, 0]]) assert.equal(client.all("chat:message").length, count);
  });
});
