// How these tests wait: the meaning of "not yet", and of a failure.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";

import { NotYet, ifReachable, until } from "./support/until.mjs";

/** Waits with a condition that runs `first` on its first call, and holds on the second; returns the number of calls. */
async function checks(first) {
  let count = 0;
  await until("it is there", () => (++count === 1 ? first() : true));
  return count;
}

test("a falsy value, a NotYet and a failed assertion are retried", async () => {
  const firsts = [
    () => false,
    () => undefined,
    () => 0,
    async () => "",
    () => { throw new NotYet("seen"); },
    async () => { throw new NotYet("seen"); },
    () => assert.equal(1, 2),
    async () => assert.deepEqual([1], []),
  ];
  for (const first of firsts) assert.equal(await checks(first), 2, String(first));
});

test("any other error is thrown at once, unchanged", async () => {
  const mistakes = [
    [() => undefined.field, TypeError],
    [() => nowhere, ReferenceError],
    [async () => JSON.parse("{"), SyntaxError],
    [() => { throw new Error("GET /x: 503"); }, /^Error: GET \/x: 503$/],
    [async () => fetch("http://127.0.0.1:1/"), /fetch failed|bad port/],
  ];
  for (const [mistake, what] of mistakes) {
    const begun = Date.now();
    await assert.rejects(until("it is there", mistake, 600_000), what, String(mistake));
    assert.ok(Date.now() - begun < 60_000);
  }
});

test("the error of a timeout names the condition and the last state", async () => {
  const seen = [
    [() => false, "false"],
    [() => undefined, "undefined"],
    [() => { throw new NotYet("2 of 3"); }, "2 of 3"],
    [() => assert.ok(false, "one is not two"), "one is not two"],
  ];
  for (const [condition, last] of seen) {
    await assert.rejects(until("it is there", condition, 20), { message: `not within 20 ms: it is there (last seen: ${last})` });
  }
});

test("a server that refuses connections is unreachable; one that answers anything is reachable", async () => {
  const server = createServer((_, answer) => answer.writeHead(503).end());
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;
  assert.equal((await ifReachable(fetch(url))).status, 503);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await ifReachable(fetch(url)), undefined);
  await assert.rejects(ifReachable(fetch("no url")), TypeError);
});
