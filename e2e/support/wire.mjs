// Connections without a client library: every packet is written by hand, and only pings are answered.

import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import WebSocket from "ws";

import { here } from "./pace.mjs";
import { NotYet, PATIENCE_MS, until, within } from "./until.mjs";

/** Between the packets of a polling payload. */
export const SEPARATOR = "\x1e";

/** Packets of Engine.IO. */
const [PING, PONG] = ["2", "3"];

const open = new Set();

/** Closes all connections that are still open. */
export function closeWires() {
  for (const wire of open) wire.close();
  open.clear();
}

/** Opens an Engine.IO connection that is in no namespace yet. */
export function openWire(url, { transport = "websocket", path = "/socket.io/" } = {}) {
  return (transport === "polling" ? PollingWire : WebSocketWire).open(`${url}${path}?EIO=4&transport=${transport}`);
}

/** The common part of both transports: received `packets` (without pings), and `ended` once it is closed. */
class Wire {
  /** Texts, and Buffers for binary ones. */
  packets = [];
  ended = false;

  /** Joins a namespace. */
  async join(token, namespace = "/") {
    const prefix = namespace === "/" ? "" : `${namespace},`;
    await this.send(`40${prefix}${JSON.stringify({ token })}`);
    await this.until(`in ${namespace}`, (packet) => packet.startsWith?.(`40${prefix}{"sid"`));
    return this;
  }

  /** Waits for a packet that satisfies `match`. */
  until(what, match, ms) {
    return until(what, () => {
      const found = this.packets.find(match);
      if (found !== undefined) return found;
      const came = JSON.stringify(this.packets).slice(-500);
      throw this.ended ? new Error(`closed, and not within its packets: ${what}; came ${came}`) : new NotYet(`came ${came}`);
    }, ms);
  }

  /** Waits until the server has ended the connection. */
  closed(ms = here(3000)) {
    return until("the server closes the connection", () => {
      if (!this.ended) throw new NotYet(`open; came ${JSON.stringify(this.packets).slice(-500)}`);
      return true;
    }, ms);
  }

  receive(packet) {
    if (packet === PING) this.send(PONG);
    else this.packets.push(packet);
  }
}

class WebSocketWire extends Wire {
  static async open(url) {
    const wire = new this();
    wire.socket = new WebSocket(url.replace("http", "ws"));
    wire.socket.on("message", (data, isBinary) => wire.receive(isBinary ? data : data.toString()));
    wire.socket.on("close", () => (wire.ended = true));
    wire.socket.on("error", () => (wire.ended = true));
    await within(PATIENCE_MS, "WebSocket opens", once(wire.socket, "open"));
    open.add(wire);
    return wire;
  }

  /** Sends packets, each a message of its own. */
  async send(...packets) {
    for (const packet of packets) this.socket.send(packet);
  }

  close() {
    this.socket.terminate();
  }
}

class PollingWire extends Wire {
  static async open(url) {
    const wire = new this();
    const [handshake] = (await (await fetch(url)).text()).split(SEPARATOR);
    wire.url = `${url}&sid=${JSON.parse(handshake.slice(1)).sid}`;
    wire.abort = new AbortController();
    wire.polling = wire.#poll();
    open.add(wire);
    return wire;
  }

  /** Sends packets in one payload; returns the answer's status. */
  async send(...packets) {
    return this.post(packets.join(SEPARATOR));
  }

  async post(body) {
    const headers = { "content-type": "text/plain;charset=UTF-8" };
    const answer = await fetch(this.url, { method: "POST", headers, body, signal: AbortSignal.timeout(PATIENCE_MS) });
    await answer.arrayBuffer();
    return answer.status;
  }

  async #poll() {
    try {
      for (;;) {
        const answer = await fetch(this.url, { signal: this.abort.signal });
        const text = await answer.text();
        if (!answer.ok) break;
        for (const packet of text.split(SEPARATOR)) {
          if (packet === "1") return;
          this.receive(packet);
        }
      }
    } catch {
      // Cut off, by the server or by us.
    } finally {
      this.ended = true;
    }
  }

  close() {
    this.abort.abort();
  }
}

/** Sends these lines to a server; returns the status and headers of its response. */
export async function rawRequest(url, lines) {
  const { hostname, port } = new URL(url);
  const socket = connectTcp(Number(port), hostname);
  try {
    let came = "";
    socket.on("data", (data) => (came += data.toString("latin1")));
    socket.on("error", (error) => (came ||= `${error}`));
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    await until("an answer's head", () => came.includes("\r\n\r\n"));
    const [status, ...headers] = came.split("\r\n\r\n")[0].split("\r\n");
    return {
      status: Number(status.split(" ")[1]),
      headers: Object.fromEntries(headers.map((line) => [line.split(":")[0].toLowerCase(), line.split(":").slice(1).join(":").trim()])),
    };
  } finally {
    socket.destroy();
  }
}
