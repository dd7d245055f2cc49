// A chat like the example of Socket.IO: everybody in one room, who types, who joined and left. The page needs no change:
// it calls `io()` without a token, so this server gives each browser a guest's token as a cookie, and nginx passes it on.
// @ts-check

import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";

import express from "express";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const { API, KEY, JWT_SECRET = "", PAGE = "public", PORT = "4000", SECRET_FILE = "chat.secret" } = process.env;
const DAY = 24 * 60 * 60;
const webhook = new Webhook(readFileSync(SECRET_FILE, "utf8").trim());

/** @type {Map<string, string>} Names by session: those who are in the chat. */
const names = new Map();

/** An event to everybody, or to everybody but the sender. */
const tell = (event, data, except = []) => ({ event, data, to: { everyone: /** @type {const} */ (true), except } });

/** @type {Record<string, (call: import("./hook.mjs").EventCall) => import("./hook.mjs").Answer>} */
const EVENTS = {
  "add user"({ session, socketId, args: [username] }) {
    if (names.has(session) || typeof username !== "string") return {};
    names.set(session, username);
    const numUsers = names.size;
    const login = { event: "login", data: { numUsers }, to: { socket: socketId } };
    return { emit: [login, tell("user joined", { username, numUsers }, [socketId])] };
  },
  "new message": (call) => passOn(call, { message: call.args[0] }),
  typing: (call) => passOn(call),
  "stop typing": (call) => passOn(call),
};

/** The event to the others, with the sender's name. */
function passOn({ event, session, socketId }, data = {}) {
  const username = names.get(session);
  return username === undefined ? {} : { emit: [tell(event, { username, ...data }, [socketId])] };
}

/** The gateways know when a session is over, also after one of them was killed. */
async function ended({ session }) {
  const username = names.get(session);
  if (username === undefined) return;
  const body = tell("user left", { username, numUsers: names.size - 1 });
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const answer = await fetch(`${API}/emit`, { method: "POST", headers, body: JSON.stringify(body) });
  // An error makes the gateway deliver this fact again.
  if (!answer.ok) throw new Error(`emit: ${answer.status}`);
  names.delete(session);
}

/** A guest's token, which the gateways verify with the same secret. */
function token() {
  const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: `guest-${randomUUID()}`, name: "Guest", iat: now, exp: now + DAY, iss: "jackfield", aud: "jackfield" };
  const content = `${text({ alg: "HS256", typ: "JWT" })}.${text(claims)}`;
  return `${content}.${createHmac("sha256", JWT_SECRET).update(content).digest("base64url")}`;
}

const app = express();
app.post("/hook", express.raw({ type: "application/json" }), async ({ body, headers }, response) => {
  /** @type {any} */
  const call = webhook.verify(body, /** @type {any} */ (headers));
  if (call.type === "session.ended") await ended(call.data);
  response.json(call.type === "event" && Object.hasOwn(EVENTS, call.event) ? EVENTS[call.event](call) : {});
});
app.get("/", (_, response, next) => {
  response.cookie("guest", token(), { httpOnly: true, sameSite: "lax", maxAge: DAY * 1000 });
  next();
});
app.use(express.static(PAGE));
app.use((error, _, response, __) => {
  console.error(error.message);
  response.sendStatus(error instanceof WebhookVerificationError ? 401 : 500);
});
app.listen(Number(PORT), () => console.log(`the chat listens on ${PORT}`));
