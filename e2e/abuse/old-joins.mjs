// A member joins a room again and again, each time as if it had seen only the first message: an event of about 110
// bytes requests all that the room keeps, here messages whose characters become six bytes each.

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

/** Fills a room with so many messages, sent by a backend; returns `{room, since}` for the attack. */
export async function fillRoom(api, { messages = 900, content = "\u0001".repeat(1000) } = {}) {
  const room = `kept-${crypto.randomUUID()}`;
  const post = async () => {
    const { status, body } = await api.post(`/rooms/${room}/messages`, { content });
    if (status !== 201) throw new Error(`a message for the room: ${status} ${JSON.stringify(body)}`);
    return body;
  };
  const { messageId } = await post();
  for (let sent = 1; sent < messages; sent += 50) {
    await Promise.all(Array.from({ length: Math.min(50, messages - sent) }, post));
  }
  return { room, since: messageId };
}

export async function oldJoins({ url, users, from, signal, again, room, since, read = true, width = 1, joins = 100 }) {
  return onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(users[number].token);
    const stalled = read ? undefined : wire.stall();
    for (let sent = 0; sent < joins && wire.isOpen; sent++) {
      if (read) await wire.ask("join-room", { room, since });
      else await wire.send("join-room", { room, since });
    }
    if (read) wire.close();
    await stalled;
    addWire(counts, wire, read ? undefined : signal);
  });
}
