// The page and the examples with tokens of a few seconds: they renew them unseen, also after a sleep.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { join as joined } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";

import { createElement } from "react";
import { create } from "react-test-renderer";

import { Page, startBrowser } from "./support/browser.mjs";
import { closeAll, signedIn } from "./support/clients.mjs";
import { OWN, startCluster } from "./support/cluster.mjs";
import { done, join } from "./support/rooms.mjs";
import { NotYet, until } from "./support/until.mjs";
import { register } from "./support/users.mjs";
import { ROOT } from "./support/xtask.mjs";

const LIFETIME_S = 6;
/** How many tokens each test outlives. */
const LIVES = 3;
const PASSWORD = "Passw0rd!";
const RENEWED_MS = 60_000;

const SETTINGS = {
  "session.policy": "multi",
  // A browser that sleeps loses its connection.
  "ping.interval": "1s",
  "ping.timeout": "1s",
};

describe("silent renewal", OWN, () => {
  let cluster;
  before(async () => {
    cluster = await startCluster({ nodes: 2, set: SETTINGS, authSet: { "token.lifetime": `${LIFETIME_S}s` } });
  });
  after(() => cluster?.stop());
  afterEach(closeAll);

  describe("the page", () => {
    let browser;
    const pages = [];
    before(async () => {
      browser = await startBrowser();
    });
    after(() => browser?.close());
    afterEach(() => Promise.all(pages.splice(0).map((page) => page.context.close())));

    async function open() {
      const user = await register(cluster);
      const page = await Page.open(browser, cluster.balancer);
      pages.push(page);
      await page.logIn(user.email, PASSWORD);
      await page.status("connected", new RegExp(user.email));
      return page;
    }

    const shown = (page) => page.page.inputValue("#jwt-token");

    /** Waits for so many further tokens; it must be connected all the time. */
    async function renewals(page, number) {
      const seen = new Set([await shown(page)]);
      await until(`${number} renewals`, async () => {
        assert.equal(await page.text("#server-status"), "connected");
        seen.add(await shown(page));
        if (seen.size <= number) throw new NotYet(`${seen.size - 1}`);
        return true;
      }, RENEWED_MS);
    }

    test("it stays connected, and a further tab of the same browser too, with the same login", async () => {
      const page = await open();
      const tab = Object.assign(new Page(), { context: page.context, page: await page.context.newPage() });
      await tab.page.goto(cluster.balancer);
      await tab.status("connected");
      await Promise.all([renewals(page, LIVES), renewals(tab, LIVES)]);
      for (const one of [page, tab]) await one.status("connected");
      assert.deepEqual(page.problems, []);
    });

    test("a tab that slept for longer than its token comes back signed in", async () => {
      const page = await open();
      const before = await shown(page);
      const devtools = await page.context.newCDPSession(page.page);
      await devtools.send("Debugger.enable");
      const paused = new Promise((resolve) => devtools.once("Debugger.paused", resolve));
      await devtools.send("Debugger.pause");
      await paused;
      const { exp } = JSON.parse(Buffer.from(before.split(".")[1], "base64url"));
      await until("its token is over", () => Date.now() / 1000 > exp + 1, RENEWED_MS);
      await devtools.send("Debugger.resume");
      await devtools.send("Debugger.disable");
      await until("it has another token", async () => (await shown(page)) !== before);
      await page.status("connected");
    });

    test("after a reload it is still signed in; after signing out it is not", async () => {
      const page = await open();
      await page.page.reload();
      await page.status("connected");
      const tokens = JSON.parse(await page.page.evaluate(() => localStorage.getItem("jackfield.login")));
      await page.page.click("#btn-sign-out");
      await page.status("offline", /^$/);
      const refresh = async () => {
        const headers = { "content-type": "application/json" };
        const body = JSON.stringify({ refreshToken: tokens.refreshToken });
        return (await fetch(`${cluster.balancer}/api/auth/refresh`, { method: "POST", headers, body })).status;
      };
      await until("the login has ended", async () => (await refresh()) === 401);
      await page.page.reload();
      await page.status("offline", /^$/);
    });
  });

  test("React: the session goes on, until the application signs out", async () => {
    const folder = await mkdtemp(joined(import.meta.dirname, "example-"));
    try {
      const [hook, tokensOf] = await Promise.all(["useJackfield", "tokens"].map(async (name) => {
        const file = joined(folder, `${name}.mjs`);
        await copyFile(joined(ROOT, `examples/react/${name}.js`), file);
        return import(file);
      }));
      const user = await register(cluster);
      const kept = [];
      const tokens = await tokensOf.signIn(cluster.balancer, { email: user.email, password: PASSWORD }, (token) => kept.push(token));
      let state;
      const statuses = new Set();
      const Component = () => {
        state = hook.useJackfield({ url: cluster.urls[0], token: first, room: "general", renew: tokens.renew });
        statuses.add(state.status);
        return null;
      };
      const first = tokens.token;
      const root = create(createElement(Component));
      await until("connected", () => state?.status === "connected");
      await until("several renewals", () => kept.length > LIVES, RENEWED_MS);
      await state.send("still here");
      assert.deepEqual([...statuses], ["connecting", "connected"]);

      const again = await tokensOf.resume(cluster.balancer, kept.at(-1));
      await again.end();
      await until("ended", () => state.status === "ended");
      assert.equal(state.reason, "session:ended");
      assert.equal(await again.renew(), undefined);
      root.unmount();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("Python: it goes on receiving", async () => {
    const user = await register(cluster, "Pia");
    const env = { ...process.env, URL: cluster.balancer, EMAIL: user.email, PASSWORD };
    const args = [joined(ROOT, "examples/python/client.py"), "general", "hello"];
    const program = spawn(process.env.PYTHON ?? "python3", args, { env });
    try {
      let text = "";
      for (const stream of [program.stdout, program.stderr]) stream.on("data", (data) => (text += data));
      await until("it prints its own message", () => text.includes("Pia: hello"));
      const over = Date.now() + LIVES * LIFETIME_S * 1000;
      await until("several tokens are over", () => Date.now() > over, RENEWED_MS);
      const friend = await signedIn(cluster.urls[1], await register(cluster));
      await join(friend, "general");
      await done(friend, "send-message", { room: "general", content: "are you there" });
      await until("it prints another's message", () => {
        if (!text.includes("are you there")) throw new NotYet(text);
        return true;
      });
      assert.doesNotMatch(text, /refused|lost|Traceback/);
    } finally {
      program.kill();
    }
  });
});
