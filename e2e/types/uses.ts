// Uses of the generated types that must be accepted, and others that must not. Compiled, never run.

import { io, type Socket } from "socket.io-client";

import type { paths } from "../../deploy/types/api.js";
import type {
  ClientToServerEvents, HookEventAnswer, HookEventRequest, JackfieldFeed, JackfieldSocket, ServerToClientEvents,
} from "../../deploy/types/events.js";

const plain: Socket<ServerToClientEvents, ClientToServerEvents> = io();
plain.emit("typing", { room: "general" });
plain.emit("send-message", { room: "general", content: "hello" }, (answer) => {
  if (answer.status === "ok") answer.messageId.trim();
  else answer.retryAfterMs?.toFixed();
});
plain.on("new-message", ({ sender }) => sender.name.trim());
plain.on("recent-messages", (messages, about) => about.more && messages[0].content.trim());
// @ts-expect-error
plain.on("no-event", () => {});
// @ts-expect-error
plain.emit("send-message", { room: "general" });
// @ts-expect-error
plain.emit("join-room", { room: 7 });

type Order = { id: number; item: string };
type Receive = { "order:changed": (order: Order) => void };
type Send = { "order:create": (order: { item: string }, ack: (answer: { status: "ok"; id: number }) => void) => void };
const own = io() as unknown as JackfieldSocket<Receive, Send>;
own.on("order:changed", ({ item }) => item.trim());
own.on("notification:new", ({ notification }) => notification.title.trim());
own.timeout(5_000).emit("leave-room", "general", (error, answer) => !error && answer.status);

export async function answers() {
  const created = await own.emitWithAck("order:create", { item: "tea" });
  created.id.toFixed();
  const joined = await own.timeout(5_000).emitWithAck("join-room", { room: "general", since: undefined });
  if (joined.status === "ok") joined.position.trim();
  const listed = await own.emitWithAck("notification:list");
  if (listed.status === "ok") return listed.notifications.map(({ read }) => !read);
  // @ts-expect-error
  joined.messageId.trim();
  // @ts-expect-error
  return created.status === "error";
}

const feed = io() as unknown as JackfieldFeed;
feed.on("updates", (update) => "entity" in update && update.type === "CREATE");
// @ts-expect-error
feed.on("new-message", () => {});

/** A hook. */
export function hook({ event, args, user }: HookEventRequest): HookEventAnswer {
  return { ack: [{ status: "ok", event, args }], emit: [{ event: "order:changed", data: 1, to: { user: user.id } }] };
}

/** A call. */
export type Emitted = paths["/v1/emit"]["post"]["responses"]["202"]["content"]["application/json"];
