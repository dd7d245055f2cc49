// An order desk: customers have a cart and send orders, the desk (role ADMIN) sees all of them, and who is online.
//
//   SECRET_FILE=desk.secret KEY=… node order-desk.mjs
//
// KEY is an API key with the scope `emit`; API is the address of `/v1` on any gateway.
// @ts-check

import express from "express";

import { Refused, hook } from "./hook.mjs";

/** @typedef {import("./hook.mjs").EventCall} EventCall */

const { API = "http://localhost:13000/v1", KEY, PORT = "4000", SECRET_FILE = "desk.secret" } = process.env;
/** The room of those who handle orders. */
const DESK = "desk";
const STEPS = ["open", "packed", "sent"];

/** @type {{ id: number, user: string, items: string[], step: string }[]} */
const orders = [];
/** @type {Map<string, string[]>} Items by the user's id. */
const carts = new Map();
/** @type {Map<string, Set<string>>} Sessions by the user's id: who is online. */
const online = new Map();

/** What the user's other sockets, and the desk, must know. */
const changed = (order) => [
  { event: "order:changed", data: order, to: { room: DESK, except: [`user:${order.user}`] } },
  { event: "order:changed", data: order, to: { user: order.user } },
];

/** @type {Record<string, (call: EventCall, first: any) => import("./hook.mjs").Answer>} */
const EVENTS = {
  "cart:add"({ user, socketId }, first) {
    if (typeof first?.item !== "string" || first.item.length > 100) throw new Refused("invalid_item", "item must be text");
    const cart = [...(carts.get(user.id) ?? []), first.item];
    carts.set(user.id, cart);
    return {
      ack: [{ status: "ok", cart }],
      emit: [{ event: "cart:changed", data: { cart }, to: { user: user.id, except: [socketId] } }],
    };
  },

  "order:create"({ user }) {
    const items = carts.get(user.id);
    if (!items) throw new Refused("empty_cart", "Add an item first");
    carts.delete(user.id);
    const order = { id: orders.length + 1, user: user.id, items, step: STEPS[0] };
    orders.push(order);
    return { ack: [{ status: "ok", order }], emit: changed(order) };
  },

  "order:list"({ user, data }) {
    const listed = isDesk(data) ? orders : orders.filter((order) => order.user === user.id);
    return { ack: [{ status: "ok", orders: listed.slice(-100) }] };
  },

  "order:step"({ data }, first) {
    if (!isDesk(data)) throw new Refused("forbidden", "Only the desk may do this", 403);
    const order = orders.find(({ id }) => id === first?.id);
    const next = STEPS[STEPS.indexOf(order?.step) + 1];
    if (!order || !next) throw new Refused("no_such_step", "The order does not exist, or is done", 404);
    order.step = next;
    return { ack: [{ status: "ok", order }], emit: changed(order) };
  },

  "desk:watch"({ data }) {
    if (!isDesk(data)) throw new Refused("forbidden", "Only the desk may do this", 403);
    return { join: [DESK], ack: [{ status: "ok", online: [...online.keys()] }] };
  },
};

/** Whether the connect hook said so of this socket. */
const isDesk = (data) => data?.desk === true;

const FACTS = {
  "session.started": ({ user, session }) => online.set(user, (online.get(user) ?? new Set()).add(session)),
  "session.ended"({ user, session }) {
    const sessions = online.get(user);
    sessions?.delete(session);
    if (sessions?.size === 0) online.delete(user);
  },
  // After the grace, so that a reconnect does not blink.
  "user.online": ({ user }) => tellDesk("customer:online", { user }),
  "user.offline": ({ user }) => tellDesk("customer:offline", { user }),
};

/** Sends an event to the desk. Fails if no gateway takes it; then the fact is delivered again. */
async function tellDesk(event, data) {
  const answer = await fetch(`${API}/emit`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ event, data, to: { room: DESK } }),
    signal: AbortSignal.timeout(5_000),
  });
  if (!answer.ok) throw new Error(`emit: ${answer.status} ${await answer.text()}`);
}

const app = express();
app.disable("x-powered-by");
app.post("/hook", hook(SECRET_FILE, async (call) => {
  switch (call.type) {
    case "connect":
      // Customers may connect, too; only the desk is told apart.
      return call.user.roles.includes("ADMIN") ? { join: [DESK], data: { desk: true } } : {};
    case "event":
      if (!Object.hasOwn(EVENTS, call.event)) throw new Refused("unknown_event", "No such event", 404);
      return EVENTS[call.event](call, call.args[0]);
    default:
      await FACTS[call.type]?.(call.data);
  }
}));
const server = app.listen(Number(PORT), () => console.log(`the order desk listens on ${PORT}`));
process.on("SIGTERM", () => server.close(() => process.exit()));
