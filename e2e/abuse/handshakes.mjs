// Handshakes one after the other from one address, and nothing after them: each holds a place of the node.

import { onLines } from "./lines.mjs";
import { dial, forwarded } from "./wire.mjs";

/** Requests `places` handshakes, by default without end; counts `granted`, and other answers by status. */
export async function handshakes({ url, from, signal, again, width = 32, places = Infinity }) {
  const request = [
    "GET /socket.io/?EIO=4&transport=polling HTTP/1.1", `Host: ${new URL(url).host}`, ...forwarded(from), "", "",
  ].join("\r\n");
  let requests = 0;
  return onLines({ width, again, signal }, async (counts) => {
    const socket = dial(url, { from, signal });
    const ended = new Promise((resolve) => socket.once("close", resolve));
    const ask = () => (requests++ < places ? socket.write(request) : socket.end());
    let text = "";
    socket.on("data", (data) => {
      text += data.toString("latin1");
      const end = text.indexOf("\r\n\r\n") + 4;
      if (end < 4 || text.length < end + Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)) return;
      const status = text.slice(9, 12);
      const name = status === "200" ? "granted" : `answered ${status}`;
      counts[name] = (counts[name] ?? 0) + 1;
      text = "";
      ask();
    });
    ask();
    await ended;
  });
}
