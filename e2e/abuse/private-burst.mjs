// A few users each send a burst of private messages to one victim, who polls from far away and so cannot receive them
// as fast: its session must survive.

import { setTimeout as pause } from "node:timers/promises";

import { addWire, onLines } from "./lines.mjs";
import { Wire } from "./wire.mjs";

export async function privateBurst({ url, users, from, signal, again, width = 4, events = 990, size = 1000 }) {
  const [victim, ...abusers] = users;
  const content = "x".repeat(size);
  const stopped = new AbortController();
  const watching = poll(url, victim, AbortSignal.any([stopped.signal, ...(signal ? [signal] : [])]));
  const counts = await onLines({ width, again, signal }, async (counts, number) => {
    const wire = await Wire.open(url, { from, signal });
    await wire.join(abusers[number].token);
    const message = ["private-message", { to: victim.id, content }];
    for (let sent = 0; sent < events - 1 && wire.isOpen; sent++) await wire.send(...message);
    await wire.ask(...message).catch(() => {});
    wire.close();
    addWire(counts, wire);
  });
  // Long enough for the victim to poll the messages, or to find that its session is gone.
  await pause(again ? 0 : 3000);
  stopped.abort();
  return { ...counts, ...await watching };
}

/** Polls, each time with a delay of half a second, and joins anew after it lost the session; counts the losses. */
async function poll(url, victim, signal) {
  const counts = { victimLost: 0, victimReceived: 0 };
  let session;
  const call = async (query, body) => {
    const at = `${url}/socket.io/?EIO=4&transport=polling${query}`;
    const answer = await fetch(at, { method: body ? "POST" : "GET", body, signal });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.text();
  };
  while (!signal.aborted) {
    try {
      if (!session) {
        session = `&sid=${JSON.parse((await call("")).slice(1)).sid}`;
        await call(session, `40${JSON.stringify({ token: victim.token })}`);
      }
      await pause(500, undefined, { signal });
      const packets = (await call(session)).split("\x1e");
      counts.victimReceived += packets.filter((packet) => packet.startsWith('42["private-message"')).length;
      if (packets.includes("1")) throw new Error("closed");
      if (packets.includes("2")) await call(session, "3");
    } catch {
      if (signal.aborted) break;
      if (session) counts.victimLost++;
      session = undefined;
    }
  }
  return counts;
}
