// Rooms as their members see them, and users who send to them.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { signedIn } from "./clients.mjs";
import { RUNNING, startCluster } from "./cluster.mjs";
import { startIssuer } from "./issuer.mjs";
import { NotYet, until } from "./until.mjs";
import { registerMany } from "./users.mjs";

/** Accounts at a cluster that runs already: more than one test uses, so that no user is in two tests at a time. */
const ACCOUNTS = 60;

/** Most tests are not about the limits of one user. */
const UNLIMITED = Object.fromEntries(
  ["eventRate", "broadcastRate", "privateRate", "userConnectRate", "userRooms", "userBytes"]
    .map((limit) => [`limits.${limit}`, 0]),
);

/** Types of packets of the Socket.IO protocol. */
const EVENT = 2;
const ACK = 3;

export const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * A cluster that trusts an issuer of ours: `cluster.user()` makes as many users as a test wants, at no cost, and
 * `cluster.token(claims)` any token. The rates of users are not limited, unless `set` does so.
 */
export async function startRooms({ set = {}, ...options } = {}) {
  if (RUNNING) return withAccounts(await startCluster());
  const issuer = await startIssuer();
  const trusted = { "jwt.jwksUrl": issuer.jwksUrl };
  const cluster = await startCluster({ set: { ...trusted, ...UNLIMITED, ...set }, ...options });
  let count = 0;
  cluster.user = ({ name = `User Number ${++count}`, roles = ["USER"] } = {}) => {
    const id = randomUUID();
    return { id, fullName: name, roles, token: issuer.token({ sub: id, name, roles }) };
  };
  cluster.token = issuer.token;
  const stop = cluster.stop.bind(cluster);
  cluster.stop = () => stop().finally(issuer.stop);
  return cluster;
}

/** A cluster that runs already does not trust our issuer: its users are accounts with names of their own, in turn. */
async function withAccounts(cluster) {
  const accounts = await registerMany(cluster, ACCOUNTS);
  let next = 0;
  return Object.assign(cluster, { user: () => accounts[next++ % ACCOUNTS] });
}

/** A connected client of a new user on each node. */
export function onEachNode(cluster, options) {
  return Promise.all(cluster.urls.map((url) => signedIn(url, cluster.user(), options)));
}

/** A name that no other room has. */
export function newRoom(prefix = "room") {
  return `${prefix}-${randomUUID()}`;
}

/** Sends an event, and expects success. */
export async function done(client, event, payload) {
  const answer = await client.ask(event, payload);
  assert.equal(answer.status, "ok", `${event}: ${JSON.stringify(answer)}`);
  return answer;
}

/** Sends an event, and expects a refusal with this code; returns its message. */
export async function refused(client, event, payload, code) {
  const answer = await client.ask(event, payload);
  assert.deepEqual({ ...answer, message: "" }, { status: "error", code, message: "" }, JSON.stringify(answer));
  return answer.message;
}

/**
 * Joins a room; returns the acknowledgement, `recent` (the messages of all `recent-messages`), and `pages` (their
 * number in each). Fails unless these come in this order, with nothing else of the room in between: `joined`,
 * `recent-messages`, acknowledgement.
 */
export async function join(client, room, since) {
  const from = client.packets.length;
  const answer = await done(client, "join-room", since === undefined ? room : { room, since });
  const packets = client.packets.slice(from).filter(({ nsp }) => nsp === client.socket.nsp);
  const end = packets.findIndex(({ type, data }) => type === ACK && data[0].position === answer.position);
  const events = packets.slice(0, end).filter(({ type }) => type === EVENT).map(({ data }) => data);
  const ofRoom = events.filter(([, data, about]) => data?.room === room || about?.room === room);
  const begin = ofRoom.findIndex(([name]) => name === "joined");
  assert.deepEqual(ofRoom[begin], ["joined", { room }]);
  const pages = ofRoom.slice(begin + 1);
  for (const [index, [name, messages, about]] of pages.entries()) {
    assert.deepEqual([name, about], ["recent-messages", { room, more: index < pages.length - 1 }]);
    const size = Buffer.byteLength(JSON.stringify(messages));
    // A page ends once it has 100 messages or 256 KiB.
    const most = messages.length === 100 || (messages.length < 100 && (!about.more || size > 200 * 1024));
    assert.ok(most && size < 300 * 1024, `${messages.length} messages, ${size} bytes in page ${index + 1} of ${pages.length}`);
  }
  assert.ok(pages.length > 0, "there is always one");
  const counts = pages.map(([, messages]) => messages.length);
  return { ...answer, recent: pages.flatMap(([, messages]) => messages), pages: counts };
}

/** Every stored message of a room that a client received, live or on joining, in the order in which they came. */
export function roomMessages(client, room) {
  return client.events.flatMap(({ name, args: [data, about] }) => {
    if (name === "new-message" && data.room === room) return [data];
    return name === "recent-messages" && about.room === room ? data : [];
  });
}

export const ids = (messages) => messages.map(({ id }) => id);

/** Sends a message; returns its id. */
async function sendOne(sender, room, content) {
  return (await done(sender, "send-message", { room, content })).messageId;
}

/** Sends so many messages, each sender one after the other; returns the ids in the order of their acknowledgement. */
export async function sendMany(senders, room, count, text = "message") {
  const sent = [];
  let next = 0;
  await Promise.all(senders.map(async (sender) => {
    while (next < count) sent.push(await sendOne(sender, room, `${text} ${next++}`));
  }));
  return sent;
}

/** Senders at full speed until `stop` is called, each with `window` messages on their way; `acked` has their ids. */
export function sendOn(senders, room, window = 4) {
  const acked = [];
  let going = true;
  const line = async (sender) => {
    while (going) acked.push(await sendOne(sender, room, `number ${acked.length}`));
  };
  const lines = Promise.all(senders.flatMap((sender) => Array.from({ length: window }, () => line(sender))));
  // `stop` returns a failure; until then nothing awaits it.
  lines.catch(() => {});
  return {
    acked,
    stop: () => {
      going = false;
      return lines;
    },
  };
}

/** Waits until a member received so many messages; they must be these, each once, in order. */
export async function complete(client, room, expected, ms) {
  await until(`${expected.length} messages of ${room}`, () => {
    const count = roomMessages(client, room).length;
    if (count < expected.length) throw new NotYet(`${count} of them`);
    return true;
  }, ms);
  assert.deepEqual(ids(roomMessages(client, room)), expected);
}

/** The room's log from its newest message back to its oldest, read in pages; oldest first. */
export async function history(client, room) {
  const messages = [];
  for (;;) {
    const page = (await done(client, "room-history", { room, before: messages[0]?.id })).messages;
    assert.ok(page.length <= 50);
    if (page.length === 0) return messages;
    messages.unshift(...page);
  }
}
