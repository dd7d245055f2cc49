// A backend that hooks call, in a process of its own, so that a test can kill it: `node hook-backend.mjs PORT RECORD`.
//
// It verifies every call with the stock library, and writes what it did to the file RECORD before it answers: after a
// restart it knows what it has done. `WEBHOOK_SECRET` is the secret. Events named `slow:…` are answered once `GET /go` was
// called, and not any more after `GET /hang`.

import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

import { Webhook } from "standardwebhooks";

const [port, record] = process.argv.slice(2);
const webhook = new Webhook(process.env.WEBHOOK_SECRET);

/** What was done, by the id of the call. */
const done = new Map();
/** Answers that wait; nothing while none does. */
let waiting;
if (existsSync(record)) {
  // The last line may be cut: it was not answered.
  for (const line of readFileSync(record, "utf8").split("\n").slice(0, -1)) {
    const { id, isNew, value } = JSON.parse(line);
    if (isNew) done.set(id, value);
  }
}

const server = createServer(async (request, response) => {
  const body = [];
  for await (const part of request) body.push(part);
  if (request.url === "/hang") {
    waiting = [];
    return response.end();
  }
  if (request.url === "/go") {
    for (const go of waiting ?? []) go();
    waiting = undefined;
    return response.end();
  }
  const answer = (status, data) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(data));
  let call;
  try {
    call = webhook.verify(Buffer.concat(body).toString(), request.headers);
  } catch (error) {
    return answer(401, { code: "bad_signature", message: error.message });
  }
  if (call.event.startsWith("slow:")) {
    const go = () => answer(200, {});
    return waiting ? waiting.push(go) : go();
  }
  const [{ clientId, sent, n, watcher }] = call.args;
  const isNew = !done.has(call.id);
  const value = isNew ? n * 2 + 1 : done.get(call.id);
  done.set(call.id, value);
  appendFileSync(record, `${JSON.stringify({ id: call.id, isNew, value, clientId, sent, socketId: call.socketId })}\n`);
  return answer(200, { ack: [{ status: "ok", value }], emit: [{ event: "made", data: { clientId }, to: { user: watcher } }] });
});
// Longer than the gateway keeps a connection.
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
