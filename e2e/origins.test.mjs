// The allowed origins of web pages: tested at the server, and with a browser.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, afterEach, before, describe, test } from "node:test";

import { startBrowser } from "./support/browser.mjs";
import { closeAll, connect } from "./support/clients.mjs";
import { GREETING, PRODUCTS, reading } from "./support/feeds.mjs";
import { startStandalone } from "./support/standalone.mjs";
import { until } from "./support/until.mjs";

const FRIEND = "https://app.friend.example";
const REFUSED = "to allow it, add it to `cors.origins` (CORS_ORIGINS)";

describe("origins of pages", () => {
  let program, pages;
  before(async () => {
    pages = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<!doctype html>"));
    await new Promise((resolve) => pages.listen(0, resolve));
    const origins = ["https://*.friend.example", "http://localhost:*"];
    program = await startStandalone({ set: { "cors.origins": origins.join(), "api.public": true } });
  });
  after(async () => {
    pages?.close();
    await program?.stop();
  });
  afterEach(closeAll);

  const lines = (text) => program.text().split("\n").filter((line) => line.includes(text) && line.includes(REFUSED));
  const ask = (path, headers, method = "GET") => fetch(`${program.url}${path}`, { method, headers });
  const preflight = (path, origin, wanted) => {
    const request = { "access-control-request-method": wanted, "access-control-request-headers": "authorization" };
    return ask(path, { origin, ...request }, "OPTIONS");
  };

  test("Engine.IO, a public `/v1` and accounts: an allowed page may send requests, with credentials", async () => {
    const engine = "/socket.io/?EIO=4&transport=polling";
    for (const [path, method] of [[engine, "GET"], ["/v1/users/u/notifications/n", "DELETE"], ["/api/auth/login", "POST"]]) {
      const allowed = await preflight(path, FRIEND, method);
      assert.equal(allowed.headers.get("access-control-allow-origin"), FRIEND, path);
      assert.equal(allowed.headers.get("access-control-allow-credentials"), "true");
      assert.match(allowed.headers.get("access-control-allow-methods"), new RegExp(method));
      assert.match(allowed.headers.get("access-control-allow-headers"), /authorization/);
      const refused = await preflight(path, "https://friend.example", method);
      const none = await ask(path, {}, method);
      for (const answer of [refused, none]) {
        for (const header of ["allow-origin", "allow-credentials"]) {
          assert.equal(answer.headers.get(`access-control-${header}`), null, `${path}: ${header}`);
        }
      }
    }
    const answer = await ask("/v1/openapi.json", { origin: FRIEND });
    assert.equal(answer.headers.get("access-control-allow-origin"), FRIEND);
    assert.equal((await ask("/v1/stats", { origin: FRIEND })).headers.get("access-control-allow-origin"), FRIEND);
  });

  test("a page of the same site can reset the demo users, another one cannot", async () => {
    for (const [site, status] of [["cross-site", 403], ["same-site", 200], ["same-origin", 200], ["none", 200]]) {
      assert.equal((await ask("/api/seed/", { "sec-fetch-site": site })).status, status, site);
    }
  });

  test("a refusal is logged once for each origin, with the setting that would allow it", async () => {
    const refused = (origin) => ask("/socket.io/?EIO=4&transport=polling", { origin });
    const [first, second] = ["https://once.example", "https://twice.example"];
    for (const origin of [first, second, first, second, first]) await refused(origin);
    await until("both are logged", () => lines(first).length > 0 && lines(second).length > 0);
    await refused("https://last.example");
    await until("the last is logged", () => lines("https://last.example").length > 0);
    assert.deepEqual([lines(first).length, lines(second).length], [1, 1]);
    assert.match(lines(first)[0], /WARN/);
    assert.deepEqual(lines(FRIEND), []);
  });

  test("a WebSocket of a page that is not allowed is refused; the own page and a client without an origin are not", async () => {
    const from = (origin) => ({ extraHeaders: origin === undefined ? {} : { origin } });
    for (const origin of [FRIEND, program.url, undefined]) await reading(program.url, from(origin));
    for (const origin of ["https://evil.example", "null", `${program.url}1`]) {
      const client = connect(program.url, { namespace: PRODUCTS, reconnection: false, ...from(origin) });
      await until("refused", () => client.errors.length > 0);
      assert.equal(client.connects, 0, origin);
      await until("it is logged", () => lines(origin).length === 1);
    }
  });

  test("a real browser: the stock client with credentials on a page that is allowed, and on one that is not", async () => {
    const browser = await startBrowser();
    try {
      const page = await browser.newPage();
      const { port } = pages.address();
      const outcome = async (host, transports) => {
        await page.goto(`http://${host}:${port}/`);
        await page.addScriptTag({ content: await (await fetch(`${program.url}/socket.io/socket.io.js`)).text() });
        return page.evaluate(([url, transports]) => new Promise((resolve) => {
          const socket = window.io(url, { transports, withCredentials: true, reconnection: false });
          socket.on("connection", resolve);
          socket.on("connect_error", (error) => resolve(`refused: ${error.message}`));
        }), [program.url + PRODUCTS, transports]);
      };
      for (const transport of ["polling", "websocket"]) {
        assert.equal(await outcome("localhost", [transport]), GREETING, transport);
        assert.match(await outcome("127.0.0.1", [transport]), /^refused: (xhr poll|websocket) error/, transport);
      }
      await until("it is logged", () => lines(`http://127.0.0.1:${port}`).length === 1);
    } finally {
      await browser.close();
    }
  });
});
