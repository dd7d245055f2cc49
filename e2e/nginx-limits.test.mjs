// Limits of one client address at nginx: it cannot fill a disk, take all places, or have passwords hashed all day.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { startFollow } from "./support/follow.mjs";
import { freePort } from "./support/standalone.mjs";
import { until } from "./support/until.mjs";
import { ROOT } from "./support/xtask.mjs";

const POLL = "/socket.io/?EIO=4&transport=polling";
const SIZE = 900_000;

describe("bodies", () => {
  let nginx;
  before(async () => {
    nginx = await startFollow();
  });
  after(() => nginx?.stop());

  test("an incomplete body is not written to disk", async () => {
    const options = { method: "POST", headers: { "content-length": SIZE } };
    const open = Array.from({ length: 8 }, () => request(`${nginx.url}${POLL}&sid=x`, options).on("error", () => {}));
    for (const one of open) one.write(Buffer.alloc(SIZE / 2));
    // nginx unlinks such a file as it creates it, but logs it.
    const filed = () => nginx.text().includes("temporary file");
    await until("all that was sent has arrived, or is in a file", () =>
      nginx.gateways.received >= open.length * SIZE / 2 || filed(), 10_000);
    assert.ok(!filed(), nginx.text());
    for (const one of open) one.destroy();
  });

  test("a message of the largest size passes, a larger one is refused", async () => {
    const send = (size, path) => fetch(nginx.url + path, { method: "POST", body: Buffer.alloc(size) });
    const before = nginx.gateways.received;
    assert.equal((await send(1_000_000, `${POLL}&sid=x`)).status, 200);
    assert.equal(nginx.gateways.received - before, 1_000_000);
    assert.equal((await send(1_100_000, `${POLL}&sid=x`)).status, 413);
    assert.equal((await send(1_900_000, "/v1/users/notifications")).status, 200);
  });
});

describe("limits of an address", () => {
  let nginx, count = 0;
  before(async () => {
    const limits = { ADDRESS_CONNECTIONS: "8", ADDRESS_UPLOADS: "2", ADDRESS_HANDSHAKES: "1", ADDRESS_SIGN_INS: "1", ADDRESS_API: "3" };
    nginx = await startFollow(limits);
  });
  after(() => nginx?.stop());

  const client = () => `203.0.113.${++count}`;
  const ask = (path, address, options = {}) => fetch(nginx.url + path, { ...options, headers: { "x-forwarded-for": address } });
  /** Sends so many requests at once; returns the number of answers by status, and one that was refused. */
  async function statuses(times, path, address, options) {
    const answers = await Promise.all(Array.from({ length: times }, () => ask(path, address, options)));
    const counts = {};
    for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
    return { ...counts, refused: answers.find(({ status }) => status > 200) };
  }
  /** The refusal is temporary, and has the shape of all errors. */
  async function refusal(answer, status, code) {
    const body = await answer.json();
    assert.deepEqual([answer.status, body.statusCode, body.code], [status, status, code]);
    assert.ok(Number(answer.headers.get("retry-after")) > 0);
  }

  test("requests and WebSockets at a time are limited, and so are bodies", async () => {
    const [first, second] = [client(), client()];
    const held = Array.from({ length: 8 }, () => ask(`${POLL}&sid=held`, first));
    await until("they wait", () => nginx.gateways.held.length === 8);
    await refusal(await ask(`${POLL}&sid=x`, first), 503, "too_many_connections");
    await refusal(await ask("/", first), 503, "too_many_connections");
    const uploads = Array.from({ length: 2 }, () => ask(`${POLL}&sid=held`, second, { method: "POST", body: "x" }));
    await until("these too", () => nginx.gateways.held.length === 10);
    await refusal(await ask(`${POLL}&sid=x`, second, { method: "POST", body: "x" }), 503, "too_many_connections");
    assert.equal((await ask(`${POLL}&sid=x`, second)).status, 200);
    for (const respond of nginx.gateways.held.splice(0)) respond();
    for (const answer of await Promise.all([...held, ...uploads])) assert.equal(answer.status, 200);
    assert.equal((await ask(`${POLL}&sid=x`, first)).status, 200);
  });

  test("handshakes per second are limited; polls are not counted, other addresses are not delayed", async () => {
    const address = client();
    const seen = [];
    for (let round = 0; round < 8; round++) seen.push(await statuses(8, POLL, address));
    const served = seen.reduce((sum, round) => sum + (round[200] ?? 0), 0);
    assert.ok(served >= 10 && served < 50, `${served} of 64`);
    await refusal(seen.find(({ refused }) => refused).refused, 429, "rate_limited");
    assert.equal((await statuses(8, `${POLL}&sid=x`, address))[200], 8);
    assert.equal((await ask(POLL, client())).status, 200);
  });

  test("sign-ins per second are limited, and calls of all kinds", async () => {
    const address = client();
    const login = { method: "POST", body: "{}" };
    let served = 0;
    for (let round = 0; round < 8; round++) served += (await statuses(6, "/api/auth/login", address, login))[200] ?? 0;
    assert.ok(served >= 10 && served < 40, `${served} of 48`);
    await refusal(await ask("/%61pi//auth/register", address, login), 429, "rate_limited");
    // The limit of sign-ins does not affect users who are signed in already.
    assert.equal((await ask("/api/auth/check-status", address)).status, 200);
    served = 0;
    for (let round = 0; round < 20; round++) served += (await statuses(6, "/api/auth/check-status", address))[200] ?? 0;
    assert.ok(served < 100, `${served} of 120`);
    assert.equal((await ask("/api/auth/login", client(), login)).status, 200);
  });

  test("a network of IPv6 is one client", async () => {
    const from = (network) => statuses(1, POLL, `2001:db8:${network}:${(++count).toString(16)}::1`);
    // However many zeros the network has, which are left out where they are most.
    const networks = {
      "1:2": () => from("1:2"),
      "0:0": () => statuses(1, POLL, `2001:db8::${(++count).toString(16)}`),
      "0:0 of few zeros": () => statuses(1, POLL, `2001:db9::${(++count).toString(16)}:2:3:4`),
      "7:0": () => statuses(1, POLL, `2001:db8:7::${(++count).toString(16)}:0:1`),
      "::7": () => statuses(1, POLL, `2001::7:1:${(++count).toString(16)}:1:1`),
    };
    for (const [network, ask] of Object.entries(networks)) {
      let served = 0;
      for (let index = 0; index < 40; index++) served += (await ask())[200] ?? 0;
      assert.ok(served >= 10 && served < 40, `${network}: ${served} of 40`);
    }
    assert.equal((await from("1:3"))[200], 1);
  });
});

test("limits can be switched off", async () => {
  const off = ["CONNECTIONS", "UPLOADS", "HANDSHAKES", "SIGN_INS", "API"].map((name) => [`ADDRESS_${name}`, "0"]);
  const nginx = await startFollow(Object.fromEntries(off));
  try {
    for (let round = 0; round < 30; round++) {
      const answers = await Promise.all(Array.from({ length: 40 }, () => fetch(`${nginx.url}/api/auth/login`)));
      assert.ok(answers.every(({ status }) => status === 200));
    }
  } finally {
    await nginx.stop();
  }
});

test("over TLS, page and accounts send Strict-Transport-Security", async () => {
  const parts = await mkdtemp(join(tmpdir(), "jackfield-parts-"));
  const tlsPort = await freePort();
  let nginx;
  try {
    await cp(join(ROOT, "deploy/nginx"), parts, { recursive: true });
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "tls_key"];
    const args = ["req", "-x509", ...key, "-out", "tls_certificate", "-days", "2", "-subj", "/CN=localhost"];
    await promisify(execFile)("openssl", args, { cwd: parts });
    const places = [["listen 8443", `listen 127.0.0.1:${tlsPort}`], ["/run/secrets", parts], ["/etc/jackfield", parts], ["/srv/page", join(ROOT, "deploy/page")]];
    const example = await readFile(join(parts, "tls.conf"), "utf8");
    await mkdir(join(parts, "servers"));
    await writeFile(join(parts, "servers/tls.conf"), places.reduce((text, [from, to]) => text.replaceAll(from, to), example));
    nginx = await startFollow({ PARTS: parts });
    for (const path of ["/", "/page.js", "/api/auth/check-status", POLL]) {
      const answer = await new Promise((resolve, reject) =>
        get(`https://127.0.0.1:${tlsPort}${path}`, { rejectUnauthorized: false, agent: false }, resolve).on("error", reject));
      answer.destroy();
      assert.equal(answer.statusCode, 200);
      assert.equal(answer.headers["strict-transport-security"], "max-age=31536000", path);
      assert.equal((await fetch(nginx.url + path)).headers.get("strict-transport-security"), null);
    }
  } finally {
    await nginx?.stop();
    await rm(parts, { recursive: true, force: true });
  }
});
