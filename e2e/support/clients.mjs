// Stock clients that record their history.

import { Manager as Manager4, io as io4 } from "socket.io-client";
import client3 from "socket.io-client-3";
import client40 from "socket.io-client-4.0";
import { watch } from "./contract.mjs";
import { NotYet, PATIENCE_MS, until, within } from "./until.mjs";

/** The client versions that are tested, by name. */
export const VERSIONS = {
  "4.8": { io: io4, Manager: Manager4 },
  "4.0": { io: client40.io, Manager: client40.Manager },
  3.1: { io: client3.io, Manager: client3.Manager },
};

/** The ways to reach a server: options of the stock client. */
export const TRANSPORTS = {
  "websocket only": { transports: ["websocket"] },
  "polling only": { transports: ["polling"] },
  "polling, upgraded": { transports: ["polling", "websocket"] },
};

/** A packet type of the Socket.IO protocol. */
const CONNECT_ERROR = 4;

const open = new Set();

/** Closes all clients that are still open. */
export function closeAll() {
  for (const client of open) client.close();
  open.clear();
}

/** A socket and its history. */
export class Client {
  /** Every event of the server, in order: `{name, args, at}`. */
  events = [];
  /** Reasons of disconnects. */
  disconnects = [];
  /** Errors at connect. */
  errors = [];
  /** Every packet that came for any namespace of the connection. */
  packets = [];
  /** Transports that its connections began with. */
  openedOn = [];
  /** How often it was connected. */
  connects = 0;

  constructor(socket) {
    this.socket = socket;
    open.add(this);
    watch(socket);
    socket.io.on("packet", (packet) => this.packets.push(packet));
    socket.io.on("open", () => this.openedOn.push(this.transport));
    socket.onAny((name, ...args) => this.events.push({ name, args, at: Date.now() }));
    socket.on("connect", () => this.connects++);
    socket.on("disconnect", (reason) => this.disconnects.push(reason));
    socket.on("connect_error", (error) => this.errors.push(error));
  }

  get id() {
    return this.socket.id;
  }

  /** The URL that it connects to. */
  get url() {
    return this.socket.io.uri;
  }

  get connected() {
    return this.socket.connected;
  }

  /** Whether it will reconnect by itself, as the stock client states. */
  get willReconnect() {
    return this.socket.active;
  }

  get transport() {
    return this.socket.io.engine?.transport?.name;
  }

  /** First arguments of all events of that name. */
  all(name) {
    return this.events.filter((event) => event.name === name).map((event) => event.args[0]);
  }

  /** First argument of the newest event of that name. */
  last(name) {
    return this.all(name).at(-1);
  }

  /** Waits for an event of that name whose first argument satisfies `match`; returns that argument. */
  async waitFor(name, match = () => true, ms = PATIENCE_MS) {
    const event = await until(`\`${name}\``, () => {
      const found = this.events.find((event) => event.name === name && match(event.args[0]));
      if (found) return found;
      const others = this.all(name).length > 0 ? JSON.stringify(this.all(name).slice(-3)) : "none";
      throw new NotYet(`${this.connected ? "connected" : `disconnected: ${this.disconnects.at(-1)}`}; of that name ${others}`);
    }, ms);
    return event.args[0];
  }

  send(name, ...args) {
    this.socket.emit(name, ...args);
  }

  /** Sends and waits for the acknowledgement. */
  async ask(name, ...args) {
    return (await this.askAll(name, ...args))[0];
  }

  /** Sends and waits for the acknowledgement; all of its arguments. */
  askAll(name, ...args) {
    const answer = new Promise((resolve, reject) => {
      // An acknowledgement that is still to come is lost with the connection.
      const lost = (reason) => reject(new Error(`no acknowledgement of ${name}: disconnected, ${reason}`));
      this.socket.once("disconnect", lost);
      this.socket.emit(name, ...args, (...answers) => {
        this.socket.off("disconnect", lost);
        resolve(answers);
      });
    });
    return within(PATIENCE_MS, `acknowledgement of ${name}`, answer);
  }

  /** The refusal that the server sent, if any: a packet, and not a failed transport. */
  get refusal() {
    return this.packets.find(({ type, nsp }) => type === CONNECT_ERROR && nsp === this.socket.nsp)?.data.message;
  }

  /** Waits until it is connected and has received `authenticated`. */
  async ready(ms = PATIENCE_MS) {
    await until("connected", () => {
      if (this.refusal && !this.willReconnect) throw new Error(`refused for good: ${this.refusal}`);
      if (!this.connected) throw new NotYet(this.errors.at(-1)?.message ?? "not connected");
      return this.all("authenticated").length >= this.connects;
    }, ms);
    return this;
  }

  /** Waits until it is on the last of its transports. */
  upgraded() {
    const last = this.socket.io.opts.transports.at(-1);
    return until(`on ${last}`, () => this.transport === last);
  }

  /** Waits until it was refused for good; returns the message. */
  refused(ms = PATIENCE_MS) {
    return until("refused", () => {
      if (this.connected) throw new Error("it was accepted");
      if (!this.refusal) throw new NotYet(this.errors.at(-1)?.message ?? "no answer");
      return this.refusal;
    }, ms);
  }

  /** Waits until it was disconnected; returns the newest reason. */
  disconnected(ms = PATIENCE_MS) {
    return until("disconnected", () => {
      if (this.connected) throw new NotYet(`connected; last event: ${this.events.at(-1)?.name}`);
      return this.disconnects.at(-1);
    }, ms);
  }

  close() {
    this.socket.disconnect();
    open.delete(this);
  }
}

/** A client of `url`. `token` goes into `auth`; anything else are options of the stock client. */
export function connect(url, { token, version = "4.8", namespace = "/", ...options } = {}) {
  const auth = token === undefined ? undefined : { token };
  const defaults = { forceNew: true, transports: ["websocket"], reconnectionDelay: 200, reconnectionDelayMax: 500 };
  return new Client(VERSIONS[version].io(url + namespace, { auth, ...defaults, ...options }));
}

/** A connected client of a user. */
export function signedIn(url, user, options = {}) {
  return connect(url, { token: user.token, ...options }).ready();
}

/** Another namespace over the connection of a client. */
export function alsoIn(client, namespace, token) {
  return new Client(client.socket.io.socket(namespace, { auth: { token } }));
}

/** Waits until the newest list of each of `clients` is exactly that of the sockets `present`. */
export async function listed(clients, present, ms) {
  const ids = present.map((client) => client.id).sort().join();
  await until(`all clients list ${present.length} sockets`, () => {
    const list = (client) => [...(client.last("clients-updated") ?? [])].sort().join();
    const wrong = clients.filter((client) => list(client) !== ids);
    if (wrong.length === 0) return true;
    const counts = new Set(wrong.map((client) => `${client.last("clients-updated")?.length} at ${client.url}`));
    throw new NotYet(`${wrong.length} of ${clients.length} list others: ${[...counts].join(", ")}`);
  }, ms);
}
