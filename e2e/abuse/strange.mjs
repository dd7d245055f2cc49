// Frames and packets that no stock client sends, on connections that joined, that did not, and over polling: each goes
// on until the node ends it, and then the next one begins. Nothing is random but the seed's order.

import { Wire, frame } from "./wire.mjs";

/** Frames of one connection at most: many are legal, and would go on for ever. */
const PER_CONNECTION = 40;
/** How long to wait for the node to end a connection. */
const CLOSED_MS = 5;

const raw = (...bytes) => Buffer.from(bytes);
const masked = (kind, payload) => frame(payload, kind);
const times = (count, one) => Buffer.concat(Array.from({ length: count }, () => one));
const placeholders = (count) => Array.from({ length: count }, (_, num) => JSON.stringify({ _placeholder: true, num })).join();

/** WebSocket frames. */
const FRAMES = [
  raw(0x81, 0x01, 0x61),
  raw(0x81, 0x81, 1, 2),
  raw(0x83, 0x80, 0, 0, 0, 0),
  raw(0x8f, 0x80, 0, 0, 0, 0),
  raw(0xc1, 0x80, 0, 0, 0, 0),
  raw(0x09, 0x80, 0, 0, 0, 0),
  raw(0x81, 0xfe, 0, 5, 0, 0, 0, 0),
  raw(0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0),
  raw(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
  // Most of a message that never comes: a legal length, and one beyond the limit.
  raw(0x82, 0xff, 0, 0, 0, 0, 0, 0x0e, 0, 0, 0, 0, 0, 0, 1, 2, 3),
  raw(0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3),
  masked(0x80, "continues nothing"),
  Buffer.concat([masked(0x01, "4"), masked(0x01, "again")]),
  Buffer.concat([masked(0x02, ""), times(5000, masked(0x00, ""))]),
  Buffer.concat([masked(0x01, "4"), times(200, masked(0x00, "x"))]),
  Buffer.concat([masked(0x01, raw(0x34, 0xce)), masked(0x89, "between"), masked(0x80, raw(0xce))]),
  masked(0x81, raw(0x34, 0xff, 0xfe)),
  times(100, masked(0x89, "x".repeat(125))),
  times(100, masked(0x8a, "nobody asked")),
  masked(0x89, "x".repeat(126)),
  masked(0x88, raw(3)),
  masked(0x88, raw(3, 237)),
  masked(0x88, Buffer.concat([raw(3, 232), raw(0xff)])),
  masked(0x82, ""),
];

/** Engine.IO and Socket.IO packets: they go over either transport. */
const PACKETS = [
  "", "0", "1x", "2", "2probe", "3probe", "5", "6", "7", "9", "b", "é", "\u0000",
  "4", "47", "4-1", "4é", "40", "40{", "40[]", "40/", `40/${"n".repeat(70)},`, "40/none,{}", "41{}", "41/none,",
  "42", "42{}", "42[", "42[]", "42[1]", "42[null]", '42["\\ud800"]', '42["connect"]', '42["message",', `42${"[".repeat(5000)}`,
  '4299999999999999999999["echo",1]', '42/none,["echo",1]', '42["echo",{"_placeholder":true,"num":0}]', `42["${"e".repeat(3000)}"]`,
  "43", "430[]", "43{}", '439999["no"]', "44", '44{"message":"x"}',
  "45", "45-", "450-[]", "451-", '451-["a"]', `452-["echo",${placeholders(2)}]`, '45-1-["a"]', '451001-["a"]', `45999-["echo",${placeholders(9)}]`,
  "46", "461-", '461-7["a"]', "48", "4999",
];

/** A sequence of numbers below `below`, the same for the same seed. */
function numbers(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** `count` frames and packets, by so many clients at a time; returns how many were sent, and what became of them. */
export async function strange({ url, users = [], count = Infinity, width = 16, seed = 1, signal }) {
  const counts = { sent: 0, connections: 0, closed: 0, posts: 0, refused: 0 };
  const going = () => counts.sent < count && !signal?.aborted;

  async function socket(next) {
    const wire = await Wire.open(url, { signal }).catch(() => undefined);
    if (!wire) return void counts.refused++;
    counts.connections++;
    const user = users[next(2 * users.length)];
    if (user) await wire.join(user.token).catch(() => {});
    for (let sent = 0; sent < PER_CONNECTION && wire.isOpen && going(); sent++) {
      const at = next(FRAMES.length + PACKETS.length);
      counts.sent++;
      await wire.write(at < FRAMES.length ? FRAMES[at] : frame(PACKETS[at - FRAMES.length]));
      await Promise.race([wire.closed, new Promise((resolve) => setTimeout(resolve, sent % 4 === 3 ? CLOSED_MS : 0))]);
    }
    if (!wire.isOpen) counts.closed++;
    wire.close();
  }

  async function polling(next) {
    const address = `${url}/socket.io/?EIO=4&transport=polling`;
    const opened = await fetch(address, { signal }).catch(() => undefined);
    if (!opened?.ok) return void counts.refused++;
    counts.connections++;
    const { sid } = JSON.parse((await opened.text()).slice(1));
    for (let posts = 0; posts < PER_CONNECTION && going(); posts++) {
      const packets = Array.from({ length: 1 + next(3) }, () => PACKETS[next(PACKETS.length)]);
      if (next(3) === 0) packets.push(["b*", "bAAEC", "b", "bAA\n"][next(4)]);
      counts.sent += packets.length;
      const answer = await fetch(`${address}&sid=${sid}`, { method: "POST", body: packets.join("\x1e"), signal }).catch(() => undefined);
      counts.posts++;
      await answer?.arrayBuffer().catch(() => {});
      if (!answer?.ok) return void counts.closed++;
    }
    await fetch(`${address}&sid=${sid}`, { method: "POST", body: "1", signal }).catch(() => {});
  }

  await Promise.all(Array.from({ length: width }, async (_, line) => {
    const next = numbers(seed + line);
    while (going()) await (next(4) === 0 ? polling : socket)(next);
  }));
  return counts;
}
