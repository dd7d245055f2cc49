// Clients that stop reading: they speak just enough of the protocol to get in.

import { randomBytes } from "node:crypto";
import { connect } from "node:net";

import { PATIENCE_MS } from "./until.mjs";

/** Connects to a gateway as a user, on polling, and polls no more once it has joined. */
export async function abandonedPoll(gateway, user) {
  const session = `${gateway.url}/socket.io/?EIO=4&transport=polling`;
  const { sid } = JSON.parse((await (await fetch(session)).text()).slice(1));
  const headers = { "content-type": "text/plain;charset=UTF-8" };
  await fetch(`${session}&sid=${sid}`, { method: "POST", headers, body: `40${JSON.stringify({ token: user.token })}` });
  let packets = [];
  while (!packets.some((packet) => packet.startsWith("40"))) {
    const answer = await fetch(`${session}&sid=${sid}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
    packets = (await answer.text()).split("\x1e");
  }
}

/** Likewise by WebSocket over a bare TCP connection, which is not read any more from the CONNECT on. */
export async function stuckClient(gateway, user) {
  const { hostname, port } = new URL(gateway.url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  const path = `/socket.io/?EIO=4&transport=websocket`;
  const key = randomBytes(16).toString("base64");
  socket.write([
    `GET ${path} HTTP/1.1`, `Host: ${hostname}:${port}`, "Connection: Upgrade", "Upgrade: websocket",
    "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`, "", "",
  ].join("\r\n"));
  await new Promise((resolve, reject) => {
    socket.once("data", resolve);
    socket.once("close", () => reject(new Error("closed during the handshake")));
  });
  socket.pause();
  socket.write(frame(`40${JSON.stringify({ token: user.token })}`));
  return socket;
}

/** A text frame of a client: masked, as the protocol wants it. */
function frame(text) {
  const data = Buffer.from(text);
  const header = Buffer.alloc(4);
  header[0] = 0x81;
  header[1] = 0x80 | 126;
  header.writeUInt16BE(data.length, 2);
  const mask = randomBytes(4);
  return Buffer.concat([header, mask, data.map((byte, index) => byte ^ mask[index % 4])]);
}
