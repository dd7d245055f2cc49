// A Socket.IO client in one namespace, over any transport (lib/transport). It does what the stock client does: answers
// pings and gives up a server that sends none; comes back by itself, with the stock pauses, when a handshake fails or the
// transport closes; never comes back after CONNECT_ERROR or DISCONNECT.
//
// What it does not do: binary, several namespaces over one connection, upgrades from polling, keeping events for later
// while there is no connection. It knows neither k6 nor node: timers are the only globals it uses.

import { PONG, decode, decodeMessage, encodeConnect, encodeDisconnect, encodeEvent, eventName } from './packet.js';

// Pauses before coming back, in ms: the first, doubled each time up to the longest, each of it give or take a half.
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

  // `transport(handlers)` opens a connection: `{send(frame), close()}`, and tells `frame(text)` and `closed(why)`.
  // Times are in ms; `now` is a clock.
  constructor({ transport, namespace = '/', token, now = Date.now, connectLimit = 20_000, ackLimit = 10_000 }) {
    this.#transport = transport;
    this.#namespace = namespace;
    this.#token = token;
    this.#now = now;
    this.#connectLimit = connectLimit;
    this.#ackLimit = ackLimit;
  }

  // `idle`, `connecting`, `connected`, `pausing`, or `over`: sent away or left, and never coming back.
  state = 'idle';
  // The public id; only while connected.
  id = undefined;

  // Listens to an event of the server, or to one of the client's own, which no server sends: `:connected` (ms since this
  // connection was begun, attempts before it), `:failed` (why) for a try that came to nothing, `:disconnected` (why),
  // `:over` (why), `:packet-error` (text).
  on(name, listener) {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener]);
    return this;
  }

  // Begins to connect.
  open() {
    this.state = 'connecting';
    this.#begun = this.#now();
    // By this a late word of an old connection is told from the new one's.
    const link = {};
    this.#link = link;
    this.#wait(this.#connectLimit, () => this.#lost(link, 'timeout'));
    link.transport = this.#transport({
      frame: (text) => this.#link === link && this.#frame(link, text),
      closed: (why) => this.#lost(link, why),
    });
  }

  // Sends an event; false where there is no connection.
  emit(...args) {
    if (this.state !== 'connected') return false;
    this.#link.transport.send(encodeEvent(this.#namespace, args));
    return true;
  }

  // Sends an event and waits for its acknowledgement. Fails where there is no connection, where it is lost before the
  // answer, and after `ackLimit`.
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

  // Leaves for good, with a word.
  leave() {
    if (this.state === 'connected') this.#link.transport.send(encodeDisconnect(this.#namespace));
    this.#end('left');
  }

  // Loses the connection without a word to the namespace, and comes back: what a bad network does.
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
      this.#tell(':packet-error', String(error));
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
    if (namespace !== this.#namespace) throw new Error(`a packet of the namespace ${namespace}`);
    if (type === 'event') this.#event(json);
    else if (type === 'ack') this.#settle(id, ({ resolve }) => resolve(JSON.parse(json)[0]));
    else if (type === 'connect') this.#connected(JSON.parse(json));
    else if (type === 'connect_error') this.#end(JSON.parse(json).message);
    else this.#end('io server disconnect');
  }

  #event(json) {
    const name = eventName(json);
    if (this.#listeners.has(name)) this.#tell(name, ...JSON.parse(json).slice(1));
  }

  #connected({ sid }) {
    clearTimeout(this.#timer);
    const attempts = this.#attempts;
    this.#attempts = 0;
    this.state = 'connected';
    this.id = sid;
    this.#tell(':connected', this.#now() - this.#begun, attempts);
  }

  // The transport is gone, or has to go: this was passing.
  #lost(link, why) {
    if (this.#link !== link) return;
    const was = this.state;
    this.#close(why);
    this.state = 'pausing';
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#attempts) * (0.5 + Math.random());
    this.#attempts += 1;
    this.#wait(pause, () => this.open());
    this.#tell(was === 'connected' ? ':disconnected' : ':failed', why);
  }

  // This is final.
  #end(why) {
    if (this.state === 'over') return;
    const was = this.state;
    this.#close(why);
    clearTimeout(this.#timer);
    this.state = 'over';
    if (was === 'connected') this.#tell(':disconnected', why);
    this.#tell(':over', why);
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

  #tell(name, ...args) {
    for (const listener of this.#listeners.get(name) ?? []) listener(...args);
  }
}
