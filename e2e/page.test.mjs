// The page, with two users, in front of a cluster and of the standalone program.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Page, startBrowser } from "./support/browser.mjs";
import { startCluster } from "./support/cluster.mjs";
import { startStandalone } from "./support/standalone.mjs";
import { login } from "./support/users.mjs";

const SYSTEMS = { "a cluster": () => startCluster(), "the standalone program": () => startStandalone() };
const DEMO = { email: "test1@mail.com", password: "test123" };

for (const [name, start] of Object.entries(SYSTEMS)) {
  describe(`the page of ${name}`, () => {
    let system, browser;
    const pages = [];
    const open = async () => {
      const page = await Page.open(browser, system.balancer);
      pages.push(page);
      return page;
    };
    before(async () => {
      [system, browser] = await Promise.all([start(), startBrowser()]);
    });
    after(async () => {
      await browser?.close();
      await system?.stop();
    });
    afterEach(() => Promise.all(pages.splice(0).map((page) => page.context.close())));

    test("two users sign in and register, see each other, and talk", async () => {
      const [ana, bob] = [await open(), await open()];
      await ana.logIn(DEMO.email, DEMO.password);
      await ana.status("connected", /test1@mail\.com/);
      const email = `bob-${process.pid}@example.com`;
      await bob.register("Bob the Second", email, "Passw0rd!");
      await bob.status("connected", new RegExp(email));
      await ana.clients(2);
      await bob.clients(2);

      await bob.send("hola from Bob");
      for (const page of [ana, bob]) await page.shows("#messages-ul", "Bob the Second - hola from Bob");
      const script = "<img src=x onerror=document.title='owned'>";
      await ana.send(script);
      await bob.shows("#messages-ul", script);
      assert.equal(await bob.page.title(), "Jackfield");

      await bob.page.click("#btn-disconnect");
      await bob.status("disconnected");
      await ana.clients(1);
      for (const page of [ana, bob]) assert.deepEqual(page.problems, []);
    });

    test("a token can be pasted; a second session replaces the first, and the page says so", async () => {
      const [first, second] = [await open(), await open()];
      await first.logIn(DEMO.email, DEMO.password);
      await first.status("connected");
      await second.useToken(await login(system, DEMO));
      await second.status("connected", /test1@mail\.com/);
      await first.status("disconnected", /session:replaced/);
      await second.clients(1);
      for (const page of [first, second]) assert.deepEqual(page.problems, []);
    });

    test("errors are shown", async () => {
      const page = await open();
      await page.useToken("ABC-123");
      await page.status("disconnected", /invalid_token/);
      await page.logIn(DEMO.email, "Wrong-password-1");
      await page.page.locator("#account-note", { hasText: "Invalid Credentials" }).waitFor();
    });
  });
}

test("the standalone program prints its address and the demo users, and exits on SIGTERM and SIGINT", async () => {
  for (const signal of ["SIGTERM", "SIGINT"]) {
    const program = await startStandalone();
    assert.ok(program.text().includes(program.url) || program.text().includes(program.url.replace("127.0.0.1", "localhost")));
    for (const word of ["test1@mail.com", "test2@mail.com", "test123"]) assert.ok(program.text().includes(word), word);
    assert.equal(await program.stop(signal), 0, program.text());
  }
});
