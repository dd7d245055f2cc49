// A WebSocket by hand, which speaks Engine.IO and Socket.IO only as far as its caller wants: it can read slowly or not
// at all, announce parts that it does not send, and never pauses by itself.

import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { connect } from "node:net";

const TEXT = 0x81;
const BINARY = 0x82;
const PONG = 0x8a;
/** How often a reader that has stopped checks whether it was closed: only a write shows that. */
const PROBE_MS = 250;

/** A masked frame. A mask of zeros is valid, and saves the work. */
export function frame(payload, kind = TEXT) {
  const data = Buffer.from(payload);
  const size = data.length;
  const length = size < 126 ? 0 : size < 65_536 ? 2 : 8;
  const header = Buffer.alloc(2 + length + 4);
  header[0] = kind;
  header[1] = 0x80 | (length === 0 ? size : length === 2 ? 126 : 127);
  if (length === 2) header.writeUInt16BE(size, 2);
  if (length === 8) header.writeBigUInt64BE(BigInt(size), 2);
  return Buffer.concat([header, data]);
}

export const binaryFrame = (payload) => frame(payload, BINARY);

/** The header for a gateway that trusts one proxy: for it, `from` becomes an address that is not this machine's own. */
export const forwarded = (from) => (from ? [`X-Forwarded-For: ${from.replace(/^127\./, "198.")}`] : []);

/** Opens a TCP connection, from the local address `from`; it ends when `signal` is aborted. */
export function dial(url, { from, signal } = {}) {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress: from, highWaterMark: 16_384 });
  // Every error also closes the socket.
  socket.on("error", () => {});
  const end = () => socket.destroy();
  if (signal?.aborted) end();
  if (signal) setMaxListeners(0, signal);
  signal?.addEventListener("abort", end, { once: true });
  socket.once("close", () => signal?.removeEventListener("abort", end));
  return socket;
}

export class Wire {
  /** Bytes that came after the handshake, and Socket.IO packets among them. */
  bytes = 0;
  packets = 0;
  /** The longest message, in bytes. */
  longest = 0;
  /** Outcomes of acknowledgements and `error` events, counted: "ok", or their code. */
  outcomes = {};
  /** Received DISCONNECTs and refusals of a CONNECT: packets of types 1 and 4. */
  refusals = [];
  isOpen = true;
  /** Called with the text of each Socket.IO packet. */
  onText = () => {};
  #socket;
  #chunks = [];
  #have = 0;
  #need = 2;
  #pending = new Map();
  #nextAck = 0;

  /** Connects. Rejects if that is refused. */
  static async open(url, { from, signal, query = "" } = {}) {
    const socket = dial(url, { from, signal });
    socket.write([
      `GET /socket.io/?EIO=4&transport=websocket${query} HTTP/1.1`, `Host: ${new URL(url).host}`, "Connection: Upgrade",
      "Upgrade: websocket", "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      ...forwarded(from), "", "",
    ].join("\r\n"));
    const rest = await new Promise((resolve, reject) => {
      let head = Buffer.alloc(0);
      const data = (chunk) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        socket.off("data", data);
        if (head.toString("latin1", 9, 12) === "101") return resolve(head.subarray(end + 4));
        socket.destroy();
        reject(new Error(`refused: ${head.toString("latin1", 0, 20)}`));
      };
      socket.on("data", data);
      socket.once("close", () => reject(new Error("closed during the handshake")));
    });
    return new Wire(socket, rest);
  }

  constructor(socket, rest) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      socket.once("close", () => {
        this.isOpen = false;
        for (const { reject } of this.#pending.values()) reject(new Error("closed"));
        resolve();
      });
    });
    socket.on("data", (chunk) => this.#take(chunk));
    this.#take(rest);
  }

  /** Sends whole frames; resolves once the kernel has taken them, or the connection is over. */
  async write(data) {
    if (!this.isOpen || this.#socket.write(data)) return;
    await Promise.race([new Promise((resolve) => this.#socket.once("drain", resolve)), this.closed]);
  }

  text(text) {
    return this.write(frame(text));
  }

  emit(...args) {
    return this.text(`42${JSON.stringify(args)}`);
  }

  /** Sends an event whose acknowledgement is only counted. */
  send(...args) {
    return this.text(`42${this.#nextAck++}${JSON.stringify(args)}`);
  }

  /** Sends an event and resolves with the acknowledgement: the JSON text of its list. */
  ask(...args) {
    if (!this.isOpen) return Promise.reject(new Error("closed"));
    const id = this.#nextAck++;
    const answer = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.text(`42${id}${JSON.stringify(args)}`);
    return answer;
  }

  /** Joins `/`; rejects if that is refused. */
  async join(token) {
    const joined = new Promise((resolve, reject) => this.#pending.set("join", { resolve, reject }));
    this.text(`40${JSON.stringify({ token })}`);
    await joined;
    return this;
  }

  /** Stops reading, and pongs now and then; resolves when the connection is over. */
  async stall() {
    this.#socket.pause();
    await this.#probe();
  }

  /** Likewise, but still reads so many bytes a second. */
  async drip(bytes) {
    this.#socket.removeAllListeners("data");
    this.#socket.pause();
    const reading = setInterval(() => this.#socket.read(bytes), 1000);
    await this.#probe();
    clearInterval(reading);
  }

  close() {
    this.#socket.destroy();
  }

  async #probe() {
    const probing = setInterval(() => this.#socket.write(frame("", PONG)), PROBE_MS);
    await this.closed;
    clearInterval(probing);
  }

  #take(chunk) {
    this.bytes += chunk.length;
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    if (this.#have < this.#need) return;
    let rest = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    for (;;) {
      const { begin, end } = extent(rest);
      this.#need = end;
      if (rest.length < end) break;
      const kind = rest[0] & 0x0f;
      if (kind === 1) this.#message(rest.toString("utf8", begin, end));
      if (kind === 8) this.#socket.end();
      if (kind === 9) this.#socket.write(frame(rest.subarray(begin, end), PONG));
      rest = rest.subarray(end);
    }
    this.#chunks = [rest];
    this.#have = rest.length;
  }

  #message(text) {
    if (text === "2") return this.#socket.write(frame("3"));
    if (text[0] !== "4") return undefined;
    this.packets++;
    this.longest = Math.max(this.longest, text.length);
    if (text.startsWith("43")) this.#acknowledged(text);
    if (text.startsWith('42["error"')) this.#count(text);
    if (text.startsWith("40")) this.#answer("join", "resolve");
    if (text.startsWith("41") || text.startsWith("44")) {
      this.refusals.push(text);
      this.#answer("join", "reject", new Error(text.slice(0, 200)));
    }
    return this.onText(text);
  }

  #acknowledged(text) {
    const at = text.indexOf("[");
    this.#count(text);
    this.#answer(Number(text.slice(2, at)), "resolve", text.slice(at));
  }

  #answer(id, how, what) {
    this.#pending.get(id)?.[how](what);
    this.#pending.delete(id);
  }

  #count(text) {
    const code = /"status":"error".*?"code":"(\w+)"|"code":"(\w+)".*?"status":"error"/.exec(text.slice(0, 300));
    const outcome = code?.[1] ?? code?.[2] ?? "ok";
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }
}

/** Begin and end of the payload of a server's frame; while its length is unknown, `end` is how much to wait for. */
function extent(bytes) {
  if (bytes.length < 2) return { end: 2 };
  const short = bytes[1] & 0x7f;
  const begin = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < begin) return { end: begin };
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  return { begin, end: begin + size };
}
