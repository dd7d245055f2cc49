// Polling POSTs whose bodies are announced, begun, and never ended. A server may hold the received part of each.

import { randomUUID } from "node:crypto";

import { onLines } from "./lines.mjs";
import { dial, forwarded } from "./wire.mjs";

/** Characters of an answer that are kept: answers are short. */
const MOST = 4096;

export async function endlessPosts({ url, from, signal, again, width = 400, announced = 999_000, sent = 990_000, token }) {
  const body = Buffer.alloc(sent, "4");
  return onLines({ width, again, signal }, async (counts) => {
    const sid = await handshake(url, { from, token, signal });
    const socket = dial(url, { from, signal });
    let received = "";
    socket.on("data", (data) => (received = (received + data.toString("latin1")).slice(0, MOST)));
    const ended = new Promise((resolve) => socket.once("close", resolve));
    socket.write([
      `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1`, `Host: ${new URL(url).host}`,
      "Content-Type: text/plain;charset=UTF-8", `Content-Length: ${announced}`, `X-Request-Id: ${randomUUID()}`, ...forwarded(from),
      "", "",
    ].join("\r\n"));
    socket.write(body);
    counts.begun = (counts.begun ?? 0) + 1;
    await ended;
    const status = received ? `answered ${received.slice(9, 12)}` : "unanswered";
    if (signal?.aborted) return;
    counts.closed = (counts.closed ?? 0) + 1;
    counts[status] = (counts[status] ?? 0) + 1;
  });
}

/** Opens a polling session, signed in if there is a token; returns its id. */
async function handshake(url, { from, token, signal }) {
  const { sid } = JSON.parse((await request(url, { from, signal })).slice(1));
  if (!token) return sid;
  const query = `&sid=${sid}`;
  await request(url, { from, signal, query, body: `40${JSON.stringify({ token })}` });
  while (!(await request(url, { from, signal, query })).split("\x1e").some((packet) => packet.startsWith("40")));
  return sid;
}

/** One polling request over a connection of its own; returns the body of the answer. */
export async function request(url, { from, signal, query = "", body }) {
  const socket = dial(url, { from, signal });
  const chunks = [];
  socket.on("data", (data) => chunks.push(data));
  const ended = new Promise((resolve) => socket.once("close", resolve));
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  socket.write([
    `${body === undefined ? "GET" : "POST"} /socket.io/?EIO=4&transport=polling${query} HTTP/1.1`,
    `Host: ${new URL(url).host}`, "Connection: close", ...length, ...forwarded(from), "", body ?? "",
  ].join("\r\n"));
  await ended;
  const answer = Buffer.concat(chunks).toString();
  if (!answer.startsWith("HTTP/1.1 200")) throw new Error(`refused: ${answer.slice(0, 20)}`);
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}
