// A Socket.IO client in one namespace, over any transport (lib/transport). Like the stock client, it answers pings and
// closes the connection if the server sends none; reconnects, with the stock delays, when a handshake fails or the
// transport closes; never reconnects after CONNECT_ERROR or DISCONNECT.
//
// It does not support binary, several namespaces over one connection, upgrades from polling, or buffering of events
// while there is no connection. It knows neither k6 nor node: timers are the only globals it uses.

import { PONG, decode, decodeMessage, encodeConnect, encodeDisconnect, encodeEvent, eventName } from './packet.js';

// Delays before reconnecting, in ms: the first one, doubled each time up to the longest, each ±50 % at random.
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 5000;

export class Client {
  #transport;
  #namespace;
  #token;
  #now;
  #connectLimit;
  #ackLimit;
  #listeners = new Map();
  #link = null;
  #heartbeat = null;
  #timer = null;
  #attempts = 0;
  #begun = 0;
  #pending = new Map();
  #nextId = 0;

  // `transport(handlers)` opens a connection `{send(frame), close()}`, and calls `frame(text)` and `closed(why)`.
  // Times are in ms; `now` is a clock.
  constructor({ transport, namespace = '/', token, now = Date.now, connectLimit = 20_000, ackLimit = 10_000 }) {
    this.#transport = transport;
    this.#namespace = namespace;
    this.#token = token;
    this.#now = now;
    this.#connectLimit = connectLimit;
    this.#ackLimit = ackLimit;
  }

  // `idle`, `connecting`, `connected`, `pausing`, or `over`: refused, disconnected by the server, or left; final.
  state = 'idle';
  // The public socket id; set only while connected.
  id = undefined;

  // Adds a listener for a server event, or for one of the client's own, which no server sends: `:connected` (ms since
  // this attempt began, failures since the last connect, a lost connection included), `:failed` (why) for a failed
  // attempt, `:disconnected` (why), `:over` (why), `:packet-error` (text).
  on(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
    return this;
  }

  // Begins to connect.
  open() {
    this.state = 'connecting';
    this.#begun = this.#now();
    // Identifies this connection, so that late calls from an old one are ignored.
    const link = {};
    this.#link = link;
    this.#wait(this.#connectLimit, () => this.#lost(link, 'timeout'));
    link.transport = this.#transport({
      frame: (text) => this.#link === link && this.#frame(link, text),
      closed: (why) => this.#lost(link, why),
    });
  }

  // Sends an event; returns false if there is no connection.
  emit(...args) {
    if (this.state !== 'connected') return false;
    this.#link.transport.send(encodeEvent(this.#namespace, args));
    return true;
  }

  // Sends an event and waits for its acknowledgement. Rejects if there is no connection, if the connection is lost
  // before the answer, and after `ackLimit`.
  call(...args) {
    return new Promise((resolve, reject) => {
      if (this.state !== 'connected') return reject(new Error('not connected'));
      const id = this.#nextId;
      this.#nextId += 1;
      const timer = setTimeout(() => this.#settle(id, ({ reject: fail }) => fail(new Error('no ack in time'))), this.#ackLimit);
      this.#pending.set(id, { resolve, reject, timer });
      this.#link.transport.send(encodeEvent(this.#namespace, args, id));
      return undefined;
    });
  }

  // Ends the client for good; sends DISCONNECT if it is connected.
  leave() {
    if (this.state === 'connected') this.#link.transport.send(encodeDisconnect(this.#namespace));
    this.#end('left');
  }

  // Closes the transport without DISCONNECT, and reconnects: simulates a bad network.
  drop() {
    if (this.#link !== null) this.#lost(this.#link, 'dropped');
  }

  #frame(link, text) {
    try {
      const { type, text: rest } = decode(text);
      if (type === 'open') this.#opened(link, JSON.parse(rest));
      else if (type === 'ping') this.#ping(link);
      else if (type === 'close') this.#lost(link, 'closed by the server');
      else if (type === 'message') this.#packet(link, decodeMessage(rest));
    } catch (error) {
      this.#notify(':packet-error', String(error));
    }
  }

  #opened(link, { pingInterval, pingTimeout }) {
    link.silence = pingInterval + pingTimeout;
    this.#watch(link);
    link.transport.send(encodeConnect(this.#namespace, { token: this.#token }));
  }

  #ping(link) {
    link.transport.send(PONG);
    this.#watch(link);
  }

  #watch(link) {
    clearTimeout(this.#heartbeat);
    this.#heartbeat = setTimeout(() => this.#lost(link, 'ping timeout'), link.silence);
  }

  #packet(link, { type, namespace, id, json }) {
    if (namespace !== this.#namespace) throw new Error(`unexpected packet of the namespace ${namespace}`);
    if (type === 'event') this.#event(json);
    else if (type === 'ack') this.#settle(id, ({ resolve }) => resolve(JSON.parse(json)[0]));
    else if (type === 'connect') this.#connected(JSON.parse(json));
    else if (type === 'connect_error') this.#end(JSON.parse(json).message);
    else this.#end('io server disconnect');
  }

  #event(json) {
    const name = eventName(json);
    if (this.#listeners.has(name)) this.#notify(name, ...JSON.parse(json).slice(1));
  }

  #connected({ sid }) {
    clearTimeout(this.#timer);
    const attempts = this.#attempts;
    this.#attempts = 0;
    this.state = 'connected';
    this.id = sid;
    this.#notify(':connected', this.#now() - this.#begun, attempts);
  }

  // The transport closed, or has to be closed: reconnect after a delay.
  #lost(link, why) {
    if (this.#link !== link) return;
    const was = this.state;
    this.#close(why);
    this.state = 'pausing';
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#attempts) * (0.5 + Math.random());
    this.#attempts += 1;
    this.#wait(pause, () => this.open());
    this.#notify(was === 'connected' ? ':disconnected' : ':failed', why);
  }

  // Ends the client for good: no reconnect.
  #end(why) {
    if (this.state === 'over') return;
    const was = this.state;
    this.#close(why);
    clearTimeout(this.#timer);
    this.state = 'over';
    if (was === 'connected') this.#notify(':disconnected', why);
    this.#notify(':over', why);
  }

  #close(why) {
    const link = this.#link;
    this.#link = null;
    this.id = undefined;
    clearTimeout(this.#heartbeat);
    if (link !== null && link.transport !== undefined) link.transport.close();
    for (const id of [...this.#pending.keys()]) this.#settle(id, ({ reject }) => reject(new Error(why)));
  }

  #settle(id, how) {
    const waiting = this.#pending.get(id);
    if (waiting === undefined) return;
    this.#pending.delete(id);
    clearTimeout(waiting.timer);
    how(waiting);
  }

  #wait(ms, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }

  #notify(name, ...args) {
    for (const listener of this.#listeners.get(name) ?? []) listener(...args);
  }
}
