// `examples/backend-node/chat.mjs`: the chat example of Socket.IO as a hook, in Chromium, behind nginx, on two gateways.
//
// The page is one of ours that speaks as the original does; CHAT_PAGE is the folder of another one, such as the original.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { startBrowser } from "./support/browser.mjs";
import { copied } from "./support/examples.mjs";
import { startNginx } from "./support/nginx.mjs";
import { startNode } from "./support/node.mjs";
import { startProgram } from "./support/programs.mjs";
import { example, settings } from "./support/readme.mjs";
import { freePort } from "./support/standalone.mjs";
import { NotYet, PATIENCE_MS, until } from "./support/until.mjs";

const PAGE = process.env.CHAT_PAGE ?? join(import.meta.dirname, "chat-page");

describe("the chat example", () => {
  const gateways = [];
  let folder, browser, chat, nginx, url;

  before(async () => {
    folder = await copied("backend-node");
    const [port, front] = [await freePort(), await freePort()];
    const secretFile = join(folder, "chat.secret");
    await writeFile(secretFile, `whsec_${randomBytes(32).toString("base64")}\n`);
    const jwtSecret = randomBytes(32).toString("hex");
    const { hooks, ...others } = settings("chat-settings");
    const hook = hooks.replace("chat.secret", secretFile).replace("localhost:4000", `127.0.0.1:${port}`);
    const set = { ...others, "jwt.secret": jwtSecret, "jwt.issuer": "jackfield", hooks: hook };
    gateways.push(await startNode({ set }));
    gateways.push(await startNode({ set, redisUrl: gateways[0].redis.url }));
    const [{ internal, apiKey }] = gateways;
    const env = { API: `${internal}/v1`, KEY: apiKey, JWT_SECRET: jwtSecret, PAGE, PORT: String(port), SECRET_FILE: secretFile };
    chat = startProgram(process.execPath, ["chat.mjs"], { env, cwd: folder });
    await until("the chat listens", () => {
      if (!chat.text.includes("listens")) throw new NotYet(chat.text);
      return true;
    });
    const upstream = (name, ...urls) => `upstream ${name} { ${urls.map((of) => `server ${new URL(of).host};`).join(" ")} }`;
    const upstreams = [upstream("gateways", ...gateways.map((gateway) => gateway.url)), upstream("chat", `http://127.0.0.1:${port}`)];
    url = `http://127.0.0.1:${front}`;
    nginx = await startNginx([...upstreams, example("chat-nginx").replace("8080", front)].join("\n"), url);
    browser = await startBrowser();
  });
  after(async () => {
    await browser?.close();
    await nginx?.stop();
    chat?.kill();
    for (const gateway of gateways.reverse()) await gateway.stop();
    await rm(folder, { recursive: true });
  });

  /** A page of one person, who has said who they are. */
  async function enter(name) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const problems = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    if (process.env.CHAT_JQUERY) {
      // The original loads it from the internet.
      const body = await readFile(process.env.CHAT_JQUERY);
      await context.route(/jquery/, (route) => route.fulfill({ body, contentType: "text/javascript" }));
    }
    const refused = [];
    page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => /unknown_event|"error"/.test(payload) && refused.push(payload)));
    await page.goto(url);
    await page.fill(".usernameInput", name);
    await page.press(".usernameInput", "Enter");
    return { name, context, page, problems, refused };
  }

  /** The number of sockets at each gateway. */
  const sockets = () => Promise.all(gateways.map(async ({ internal }) => {
    const metrics = await (await fetch(`${internal}/metrics`)).text();
    return Number(metrics.match(/^jackfield_sockets\{namespace="\/"\} (\d+)/m)?.[1]);
  }));

  const lines = ({ page }, selector = ".messages li") => page.locator(selector).allInnerTexts();
  const shows = (person, pattern, selector) => until(`${person.name} sees ${pattern}`, async () => {
    const seen = await lines(person, selector);
    if (!seen.some((line) => pattern.test(line))) throw new NotYet(seen.join(" | "));
    return true;
  });
  const nobodyTypes = (person) => until(`${person.name} sees nobody type`, async () => (await lines(person, ".messages .typing")).length === 0);

  test("who joins, writes, types and leaves", async () => {
    const ana = await enter("ana");
    await shows(ana, /\b1\b/);
    const bob = await enter("bob");
    await shows(bob, /\b2\b/);
    await shows(ana, /bob joined/);
    await shows(ana, /\b2\b/);
    let eve = await enter("eve");
    await shows(eve, /\b3\b/);
    // nginx takes the gateways in turn for all requests, so all three may be on the same one.
    for (let attempt = 0; (await sockets()).includes(0) && attempt < 20; attempt++) {
      await eve.context.close();
      await shows(ana, /eve left/);
      await fetch(`${url}/socket.io/socket.io.js`);
      eve = await enter("eve");
      await shows(eve, /\b3\b/);
    }
    assert.ok(!(await sockets()).includes(0), `sockets at the gateways: ${await sockets()}`);
    for (const person of [ana, bob]) await shows(person, /eve joined/);

    await bob.page.locator(".inputMessage").pressSequentially("hel");
    await shows(ana, /bob.*typing/s, ".messages .typing");
    await shows(eve, /bob.*typing/s, ".messages .typing");
    await nobodyTypes(bob);
    for (const person of [ana, eve]) await nobodyTypes(person);

    await bob.page.locator(".inputMessage").pressSequentially("lo");
    await bob.page.press(".inputMessage", "Enter");
    for (const person of [ana, bob, eve]) await shows(person, /bob\s*hello/);
    await ana.page.fill(".inputMessage", "hi bob");
    await ana.page.press(".inputMessage", "Enter");
    for (const person of [ana, bob, eve]) await shows(person, /ana\s*hi bob/);
    for (const person of [ana, bob, eve]) {
      assert.equal((await lines(person)).filter((line) => /hello|hi bob/.test(line)).length, 2, "each message once");
    }

    await bob.context.close();
    for (const person of [ana, eve]) {
      await shows(person, /bob left/);
      assert.match((await lines(person)).at(-1), /\b2\b/);
      assert.deepEqual([person.problems, person.refused], [[], []]);
    }
    await eve.context.close();
    await shows(ana, /eve left/);
    await ana.context.close();
  });
});
