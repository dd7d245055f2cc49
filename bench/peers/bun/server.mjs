// The measured chat on Socket.IO for Bun, with the Redis adapter.
// Environment: PORT, REDIS_URL, JWT_SECRET.
import { Server as Engine } from "@socket.io/bun-engine";
import { createAdapter } from "@socket.io/redis-adapter";
import jwt from "jsonwebtoken";
import { createClient } from "redis";
import { Server } from "socket.io";
import { serveChat } from "../chat.mjs";

const { PORT, REDIS_URL, JWT_SECRET } = process.env;

const publisher = createClient({ url: REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const engine = new Engine({ path: "/socket.io/" });
const io = new Server({ adapter: createAdapter(publisher, subscriber) });
io.bind(engine);
serveChat(io, (token) => jwt.verify(token, JWT_SECRET, { algorithms: ["HS256"] }));

Bun.serve({ port: Number(PORT), hostname: "127.0.0.1", ...engine.handler() });
process.on("SIGTERM", () => process.exit(0));
