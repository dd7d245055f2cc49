// A backend: notifies a user and writes to a room, with Node.js 20 or later and without packages.
//
//   KEY=… node notify.mjs USER_ID ROOM
//
// KEY is an API key with the scopes `notify` and `publish`; API is the address of `/v1` on any gateway.

import { randomUUID } from "node:crypto";

const { API = "http://localhost:13000/v1", KEY } = process.env;
const ATTEMPTS = 5;
const TEMPORARY = [409, 429, 503];

/** Calls a gateway. Every attempt has the same Idempotency-Key, so a repeated call takes effect once. */
async function post(path, body) {
  const headers = {
    authorization: `Bearer ${KEY}`,
    "content-type": "application/json",
    "idempotency-key": randomUUID(),
  };
  for (let attempt = 1; ; attempt++) {
    const options = { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(10_000) };
    const answer = await fetch(`${API}/${path}`, options).catch((error) => error);
    if (answer.ok) return answer.json();
    // No answer at all is temporary, too.
    const temporary = answer instanceof Error || TEMPORARY.includes(answer.status);
    if (!temporary || attempt === ATTEMPTS) throw new Error(answer.message ?? (await answer.text()));
    const seconds = Number(answer.headers?.get("retry-after") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  }
}

const [user, room] = process.argv.slice(2);

const { notificationId, unreadCount, delivered } = await post(`users/${encodeURIComponent(user)}/notifications`, {
  title: "Order 7",
  message: "It is on its way",
  type: "info",
  data: { orderId: 7 },
});
console.log(`notification ${notificationId}: ${unreadCount} unread, sent to ${delivered} sessions`);

const { messageId } = await post(`rooms/${encodeURIComponent(room)}/messages`, { content: "Order 7 is on its way" });
console.log(`message ${messageId}`);
