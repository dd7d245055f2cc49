// Stock clients that ask for recovery, what is sent to them, and a checker that compares it with what they received.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { TRANSPORTS, connect } from "./clients.mjs";
import { here } from "./pace.mjs";
import { newRoom } from "./rooms.mjs";
import { NotYet, ifReachable, until } from "./until.mjs";

/** In a log of received events: the client was not recovered here, and events for its user may be missing. */
export const GAP = Symbol("gap");

/** Rooms of each client of a crowd. */
const EACH = 3;
/**
 * Between two messages of one sender. A client that is away for 20 s must not miss more than half of `limits.queue`:
 * it gets about ten messages in this time.
 */
const PACE_MS = 500;
/** Longer than any fault of these tests. */
const STORED_MS = 60_000;
const BACK_MS = 30_000;
const ALL_MS = 20_000;
/** Refusals that are over soon: Redis is away, or the client is about to join its rooms again. */
const TEMPORARY = ["unavailable", "not_in_room"];

/** Events for one user. `send` returns whether it surely succeeded, `number` the number of a received event. */
const KINDS = {
  "private-message": {
    send: async (number, user, { friend }) =>
      succeeded(await answerTo(friend, "private-message", { to: user.id, content: `${number}` })),
    number: ({ content }) => content,
  },
  "notification:new": {
    send: (number, user, { api }) =>
      accepted(api.post(`/users/${user.id}/notifications`, { title: `${number}`, message: "m", type: "info" })),
    number: ({ notification }) => notification.title,
  },
  "own:event": {
    send: (number, user, { api }) =>
      accepted(api.post("/emit", { event: "own:event", data: { number }, to: { users: [user.id] } })),
    number: ({ number }) => number,
  },
};

/** The names of the events for one user that `tell` sends. */
export const USER_EVENTS = Object.keys(KINDS);

/** The acknowledgement, or `undefined` if the connection was lost before, or nothing came in time. */
const answerTo = (client, event, payload) => client.ask(event, payload).catch(() => undefined);

/** Whether an event was acknowledged. If not, it may have taken effect all the same. */
function succeeded(answer) {
  if (answer && answer.status !== "ok" && !TEMPORARY.includes(answer.code)) throw new Error(JSON.stringify(answer));
  return answer?.status === "ok";
}

/** Whether a call of a backend succeeded. If not, it may have taken effect all the same. */
async function accepted(call) {
  const answer = await ifReachable(call);
  if (answer && answer.status >= 300 && answer.status !== 503) throw new Error(JSON.stringify(answer));
  return answer?.status < 300;
}

/** A client that asks for recovery. Only if it is not recovered, it joins its rooms again, with the last id of each. */
export class Recovering {
  /** The keys of what it received, in order, by stream: the room's name, or the user's id. */
  received;
  /** For each connect after the first: whether it was recovered, and whether it had the same id. */
  returns = [];
  #joined = new Set();
  #since = new Map();
  #id;
  #refusal;

  constructor(url, user, rooms, options = {}) {
    this.user = user;
    this.rooms = rooms;
    this.received = new Map([user.id, ...rooms].map((stream) => [stream, []]));
    this.client = connect(url, { ...options, auth: { token: user.token, recover: true } });
    this.client.socket.on("connect", () => this.#connected());
    this.client.socket.onAny((name, ...args) => this.#receive(name, args));
  }

  /** Waits until it is connected and in all of its rooms. */
  async ready(ms) {
    await until("in its rooms", () => {
      const missing = this.rooms.filter((room) => !this.#joined.has(room));
      if (this.client.connected && missing.length === 0) return true;
      throw new NotYet(`${this}, not in ${missing.length} of ${this.rooms.length} rooms: ${this.#refusal}`);
    }, ms);
    return this;
  }

  /** Forgets the packets and events that `Client` keeps, for long runs. */
  trim() {
    this.client.events.length = 0;
    this.client.packets.length = 0;
  }

  toString() {
    const { connected, openedOn, transport, disconnects } = this.client;
    const state = connected ? "connected" : "disconnected";
    const [losses, returns] = [disconnects, this.returns].map((list) => JSON.stringify(list.slice(-5)));
    const where = `opened on ${openedOn.at(-1)}, ${state} on ${transport}`;
    return `${this.user.fullName}: ${where}, lost ${losses}, back ${returns}`;
  }

  #connected() {
    const { socket, connects } = this.client;
    if (this.#id !== undefined) {
      this.returns.push([socket.recovered, socket.id === this.#id]);
      if (!socket.recovered) {
        this.#joined.clear();
        this.received.get(this.user.id).push(GAP);
      }
    }
    this.#id = socket.id;
    for (const room of this.rooms) this.#join(room, connects);
  }

  /** Joins until it succeeds, or until the connection is lost: the next one joins itself. */
  async #join(room, connects) {
    const over = () => !this.client.connected || this.client.connects !== connects;
    await until(`in ${room}`, async () => {
      if (over() || this.#joined.has(room)) return true;
      const since = this.#since.get(room);
      const answer = await answerTo(this.client, "join-room", { room, since });
      if (answer?.position && !this.#since.has(room)) this.#since.set(room, answer.position);
      this.#refusal = answer?.message;
      return false;
    }, Infinity);
  }

  #receive(name, [data, about]) {
    if (name === "new-message") {
      this.#message(data);
    } else if (name === "recent-messages") {
      data.forEach((message) => this.#message(message));
      // From here on, the client's offset includes the room, whether or not the acknowledgement arrives.
      if (!about.more) this.#joined.add(about.room);
    } else if (name in KINDS) {
      this.received.get(this.user.id).push(keyOfEvent(name, KINDS[name].number(data)));
    }
  }

  #message({ id, room, sender, content }) {
    this.received.get(room).push(keyOfMessage(sender, content));
    this.#since.set(room, id);
  }
}

const keyOfMessage = (sender, content) => `${sender.id}: ${content}`;
const keyOfEvent = (name, number) => `${name} ${number}`;

/** Everything that was sent. */
export class Sent {
  /** By stream: entries `{key, order, sure}`. Only those that are sure have been promised; `order` sorts these. */
  streams = new Map();
  #numbers = new Map();

  /** Counts from 1 for each series. */
  next(series) {
    const number = (this.#numbers.get(series) ?? 0) + 1;
    this.#numbers.set(series, number);
    return number;
  }

  add(stream, entry) {
    if (!this.streams.has(stream)) this.streams.set(stream, []);
    this.streams.get(stream).push(entry);
    return entry;
  }
}

/** Sends the sender's next message to a room, until it is acknowledged. */
export async function say(sender, room, sent) {
  const content = `${room} ${sent.next(`${room} ${sender.user.id}`)}`;
  const entry = sent.add(room, { key: keyOfMessage(sender.user, content), sure: false });
  const payload = { room, content, clientId: randomUUID() };
  const { messageId } = await until(`${content} is stored`, async () => {
    const answer = await answerTo(sender.client, "send-message", payload);
    if (!succeeded(answer)) throw new NotYet(`${JSON.stringify(answer)}; ${sender}`);
    return answer;
  }, here(STORED_MS));
  Object.assign(entry, { order: messageId, sure: true });
}

/**
 * Sends the next event for a user, of one kind after the other, through an `api` or a `friend`. Returns whether it
 * surely succeeded.
 */
export async function tell(user, through, sent) {
  const number = sent.next(user.id);
  const kind = USER_EVENTS[number % USER_EVENTS.length];
  const entry = sent.add(user.id, { key: keyOfEvent(kind, number), order: number, sure: false });
  entry.sure = await KINDS[kind].send(number, user, through);
  return entry.sure;
}

/**
 * Compares what one client received with what was sent, each by stream. Lists the keys that were promised and `missed`,
 * those that came more than once (`doubled`) or after a later one (`reordered`), and those that were never sent in
 * that stream (`foreign`). Entries that are not sure may be missing, and be anywhere. At a `GAP`, any may be missing.
 */
export function verify(received, sent) {
  const wrong = { missed: [], doubled: [], reordered: [], foreign: [] };
  for (const [stream, keys] of received) {
    const entries = sent.get(stream) ?? [];
    const known = new Set(entries.map(({ key }) => key));
    const sure = entries.filter((entry) => entry.sure).sort((a, b) => (a.order < b.order ? -1 : 1));
    const promised = sure.map(({ key }) => key);
    const places = new Map(promised.map((key, place) => [key, place]));
    const [seen, excused] = [new Set(), new Set()];
    let [next, inGap] = [0, false];
    const excuseUpTo = (place) => promised.slice(next, place).forEach((key) => excused.add(key));
    for (const key of keys) {
      if (key === GAP) {
        inGap = true;
      } else if (!known.has(key)) {
        wrong.foreign.push(key);
      } else if (seen.has(key)) {
        wrong.doubled.push(key);
      } else {
        seen.add(key);
        const place = places.get(key);
        if (place < next) {
          wrong.reordered.push(key);
        } else if (place !== undefined) {
          if (inGap) excuseUpTo(place);
          [next, inGap] = [place + 1, false];
        }
      }
    }
    if (inGap) excuseUpTo(promised.length);
    wrong.missed.push(...promised.filter((key) => !seen.has(key) && !excused.has(key)));
  }
  return wrong;
}

/** Waits until these clients have everything; each of it once, and in order. */
export async function allHave(clients, sent, ms = here(ALL_MS)) {
  await until("every client has everything", () => {
    for (const one of clients) {
      const { missed } = verify(one.received, sent.streams);
      if (missed.length > 0) throw new NotYet(`${missed.length} missed, such as ${missed.slice(0, 5)}; ${one}`);
    }
    return true;
  }, ms);
  for (const one of clients) {
    const nothing = { missed: [], doubled: [], reordered: [], foreign: [] };
    assert.deepEqual(verify(one.received, sent.streams), nothing, `${one}`);
  }
}

/** So many clients behind the balancer, on all transports, each in some of the rooms. */
export async function crowd(cluster, count, roomCount) {
  const rooms = Array.from({ length: roomCount }, () => newRoom());
  const transports = Object.values(TRANSPORTS);
  // Longer than the longest run.
  const exp = Math.floor(Date.now() / 1000) + 24 * 3600;
  const clients = Array.from({ length: count }, (_, index) => {
    const { id, fullName, roles } = cluster.user();
    const token = cluster.token({ sub: id, name: fullName, roles, exp });
    const own = Array.from({ length: EACH }, (_, next) => rooms[(index + next) % roomCount]);
    return new Recovering(cluster.balancer, { id, fullName, token }, own, transports[index % transports.length]);
  });
  await allReady(clients);
  await Promise.all(clients.map(({ client }) => client.upgraded()));
  return clients;
}

/** Waits until all clients are back in their rooms. */
export const allReady = (clients) => Promise.all(clients.map((one) => one.ready(here(BACK_MS))));

/**
 * Sends to all rooms and all users until `change()` is done and the clients are back; then all must have everything.
 * `api()` returns an `Api` of a node that answers. Returns what was sent.
 */
export async function underLoad(clients, api, change) {
  const sent = new Sent();
  let going = true;
  const line = async (step) => {
    for (let n = 0; going; n++) {
      await step(n);
      await pause(PACE_MS);
    }
  };
  const tellUser = (index) =>
    tell(clients[index].user, { api: api(), friend: clients[(index + 1) % clients.length].client }, sent);
  const lines = Promise.all(clients.flatMap((one, index) => [
    line((n) => say(one, one.rooms[n % EACH], sent)),
    line(() => tellUser(index)),
  ]));
  // Awaited below; until then nothing handles a failure.
  lines.catch(() => {});
  try {
    const hasSome = (one) => [...one.received.values()].every((keys) => keys.length > 0);
    await until("there is load", () => clients.every(hasSome));
    await change();
    await allReady(clients);
  } finally {
    going = false;
  }
  await lines;
  // One more in each room and for each user: a client that has these has got everything before.
  await Promise.all(clients.map((one) => say(one, one.rooms[0], sent)));
  await Promise.all(clients.map((_, index) => until("it surely succeeded", () => tellUser(index))));
  await allHave(clients, sent);
  return sent;
}

/** Changes a number in the client's offset: that of its first room, or else of its user's events. */
export function shiftOffset(client, ofRoom, by) {
  // `r1.<epoch>-<number>.<index>-<epoch>-<number>…`, in base 36: the user's, and then each room's.
  const pattern = ofRoom ? /^(r1\.[^.]+\.[^-]+-[^-]+-)([0-9a-z]+)/ : /^(r1\.[^-.]+-)([0-9a-z]+)/;
  assert.match(client.socket._lastOffset, pattern);
  const shifted = (_, front, number) => front + (parseInt(number, 36) + by).toString(36);
  client.socket._lastOffset = client.socket._lastOffset.replace(pattern, shifted);
}

/** Closes the transport under a client, which reconnects by itself. */
export async function lose(client) {
  const count = client.disconnects.length;
  client.socket.io.engine.close();
  await until("it has noticed", () => client.disconnects.length > count);
}

/** Closes the transport under a client, which stays away until `comeBack`. */
export function cut(client) {
  client.socket.io.reconnection(false);
  return lose(client);
}

/** Connects a client again, whatever ended its connection. */
export async function comeBack(client) {
  const { connects } = client;
  client.socket.io.reconnection(true);
  client.socket.connect();
  await until("it is back", () => client.connects > connects);
  await client.ready();
}

/** Waits for as long as a fault or a setting lasts. */
export function passed(ms) {
  const end = Date.now() + ms;
  return until(`${ms} ms have passed`, () => Date.now() >= end, ms + 1000);
}
