// Is anything lost while gateways are killed, drained, added and taken away? To be run by hand on a running cluster:
//
//   node losses.mjs http://localhost:8080 [--seconds 60] [--clients 60] [--senders 12] [--rooms 6] [--rate 10]
//
// Stock clients, a third of each: polling only, WebSocket only, and the default. All are members of a room; senders
// send at most `--rate` messages a second each, again with the same `clientId` until acknowledged. A client that was
// away joins with the last message that it saw. At the end every member must have received every acknowledged message
// of its room once, and in order; no member that was there, or back within the grace, may have been announced as gone.
// Prints one line of JSON; exits with 1 if anything is wrong.

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";

import { io } from "socket.io-client";

import { inParallel, until } from "./support/until.mjs";
import { register } from "./support/users.mjs";

const TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]];
const SETTLE_MS = 60_000;
const ANSWER_MS = 5_000;
/** A shorter absence is not announced: `presence.grace`, less the delay of a client behind its gateway. */
const GRACE_MS = 4_500;

const number = (value) => ({ type: "string", default: String(value) });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: number(60), clients: number(60), senders: number(12), rooms: number(6), rate: number(10) },
});
const [seconds, clients, senders, rooms, rate] =
  ["seconds", "clients", "senders", "rooms", "rate"].map((name) => Number(values[name]));
const url = positionals[0] ?? "http://localhost:8080";
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A room, and the ids of its acknowledged messages. */
class Room {
  name = `losses-${randomUUID()}`;
  acked = new Set();
}

class Member {
  /** Ids, in the order in which they came. */
  seen = [];
  /** Times between a disconnect and being in the room again, in ms. */
  away = [];
  offences = [];
  #left = 0;
  #since;
  #socket;

  constructor({ id, token }, room, transports) {
    this.userId = id;
    this.room = room;
    this.transports = transports;
    this.#socket = io(url, { auth: { token }, forceNew: true, transports });
    const socket = this.#socket;
    socket.on("connect", () => this.#join());
    socket.on("disconnect", (reason) => {
      this.in = false;
      this.#left ||= Date.now();
      if (reason === "io server disconnect") this.offences.push("sent away for good");
    });
    socket.on("new-message", ({ id }) => this.#saw(id));
    socket.on("recent-messages", (messages) => {
      if (this.#since !== undefined) for (const { id } of messages) this.#saw(id);
    });
    socket.on("room-reset", () => this.offences.push("room-reset"));
    for (const event of ["user:offline", "user-left"]) {
      socket.on(event, ({ userId }) => {
        if (byUser.get(userId)?.counts) this.offences.push(`${event} of somebody who was there`);
      });
    }
  }

  /** Whether it is there, or away for less than the grace. */
  get counts() {
    return this.#left === 0 || Date.now() - this.#left < GRACE_MS;
  }

  /** Sends until it is acknowledged. */
  async send() {
    const message = { room: this.room.name, content: "x".repeat(64), clientId: randomUUID() };
    for (;;) {
      if (this.in) {
        const answer = await this.#ask("send-message", message);
        if (answer?.status === "ok") return this.room.acked.add(answer.messageId);
      }
      await pause(100);
    }
  }

  async #join() {
    const answer = await this.#ask("join-room", { room: this.room.name, since: this.#since });
    if (answer?.status !== "ok") {
      await pause(200);
      if (this.#socket.connected) this.#join();
      return;
    }
    if (answer.recovered === false) this.offences.push("recovered:false");
    this.#since ??= answer.position;
    if (this.#left) this.away.push(Date.now() - this.#left);
    this.#left = 0;
    this.in = true;
  }

  #saw(id) {
    this.seen.push(id);
    this.#since = id;
  }

  /** The acknowledgement, or a value without a `status` if it does not come in time or the connection is lost. */
  #ask(event, data) {
    const socket = this.#socket;
    return new Promise((resolve) => {
      socket.once("disconnect", resolve);
      socket.timeout(ANSWER_MS).emit(event, data, (error, answer) => {
        socket.off("disconnect", resolve);
        resolve(error ? undefined : answer);
      });
    });
  }

  get missing() {
    const seen = new Set(this.seen);
    return [...this.room.acked].filter((id) => !seen.has(id)).length;
  }

  close() {
    this.#socket.disconnect();
  }
}

const all = Array.from({ length: rooms }, () => new Room());
const accounts = await inParallel(Array.from({ length: clients }), 4, () => register({ balancer: url }));
const members = accounts.map((account, index) =>
  new Member(account, all[index % rooms], TRANSPORTS[Math.floor(index / rooms) % TRANSPORTS.length]));
const byUser = new Map(members.map((member) => [member.userId, member]));
await until("everybody is in", () => members.every((member) => member.in), SETTLE_MS);
console.error(`${members.length} clients are in ${rooms} rooms; ${senders} send for ${seconds} s`);

const end = Date.now() + seconds * 1000;
await Promise.all(members.slice(0, senders).map(async (member) => {
  while (Date.now() < end) await Promise.all([member.send(), pause(1000 / rate)]);
}));
const settled = () => members.every((member) => member.in && member.missing === 0);
await until("everybody has everything", settled, SETTLE_MS).catch((error) => console.error(error.message));

const sum = (count) => members.reduce((total, member) => total + count(member), 0);
const away = members.flatMap((member) => member.away).sort((a, b) => a - b);
const percentile = (share) => away[Math.min(away.length - 1, Math.floor(away.length * share))];
const offences = members.flatMap((member) => member.offences);
const report = {
  acked: all.reduce((total, { acked }) => total + acked.size, 0),
  delivered: sum(({ seen }) => seen.length),
  lost: sum((member) => member.missing),
  doubled: sum(({ seen }) => seen.length - new Set(seen).size),
  outOfOrder: sum(({ seen }) => seen.filter((id, index) => index > 0 && id < seen[index - 1]).length),
  reconnects: away.length,
  awayMs: away.length > 0 ? { p50: percentile(0.5), p99: percentile(0.99), most: away.at(-1) } : null,
  offences: Object.fromEntries([...new Set(offences)].map((one) => [one, offences.filter((o) => o === one).length])),
};
for (const member of members) member.close();
console.log(JSON.stringify(report));
const wrong = report.lost + report.doubled + report.outOfOrder + offences.length;
process.exit(wrong > 0 || report.acked === 0 ? 1 : 0);
