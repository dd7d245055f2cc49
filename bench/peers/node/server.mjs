// The measured chat on Socket.IO for Node.js, with the Redis adapter.
// Environment: PORT, REDIS_URL, JWT_SECRET.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import jwt from "jsonwebtoken";
import { createClient } from "redis";
import { Server } from "socket.io";
import { serveChat } from "../chat.mjs";

const { PORT, REDIS_URL, JWT_SECRET } = process.env;

const publisher = createClient({ url: REDIS_URL });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const server = createServer();
const io = new Server(server, { adapter: createAdapter(publisher, subscriber) });
serveChat(io, (token) => jwt.verify(token, JWT_SECRET, { algorithms: ["HS256"] }));

// The benchmark opens many connections at once: more than the default queue of 511 takes.
server.listen({ port: Number(PORT), host: "127.0.0.1", backlog: 4096 });
process.on("SIGTERM", () => process.exit(0));
