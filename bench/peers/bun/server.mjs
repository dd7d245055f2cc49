// The measured chat on Socket.IO for Bun: namespace /chat, a token in the handshake, rooms, and the Redis adapter.
// Nothing is stored. Environment: PORT, REDIS_URL, JWT_SECRET.
import { randomUUID } from "node:crypto";
import { Server as Engine } from "@socket.io/bun-engine";
import { createAdapter } from "@socket.io/redis-adapter";
import jwt from "jsonwebtoken";
import { createClient } from "redis";
import { Server } from "socket.io";

const { PORT, REDIS_URL, JWT_SECRET } = process.env;

const publisher = createClient({ url: REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const engine = new Engine({ path: "/socket.io/" });
const io = new Server({ adapter: createAdapter(publisher, subscriber) });
io.bind(engine);
const chat = io.of("/chat");

chat.use((socket, next) => {
  try {
    const { sub, name } = jwt.verify(socket.handshake.auth.token, JWT_SECRET, { algorithms: ["HS256"] });
    socket.data.user = { id: sub, name };
    next();
  } catch {
    next(new Error("unauthorized"));
  }
});

chat.on("connection", (socket) => {
  socket.on("echo", (value, acknowledge) => acknowledge(value));
  socket.on("join-room", async ({ room }, acknowledge) => {
    await socket.join(room);
    acknowledge({ status: "ok", room });
  });
  socket.on("send-message", ({ room, content }, acknowledge) => {
    if (!socket.rooms.has(room)) return acknowledge({ status: "error", code: "not_in_room" });
    const id = randomUUID();
    const timestamp = new Date().toISOString();
    chat.to(room).emit("new-message", { id, room, content, sender: socket.data.user, timestamp });
    acknowledge({ status: "ok", messageId: id });
  });
});

Bun.serve({ port: Number(PORT), hostname: "127.0.0.1", ...engine.handler() });
process.on("SIGTERM", () => process.exit(0));
