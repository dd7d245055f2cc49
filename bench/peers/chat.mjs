// The measured chat on Socket.IO, whatever runs it: namespace /chat, a token in the handshake, rooms. Nothing is stored.
import { randomUUID } from "node:crypto";

/** Adds the chat to a server of Socket.IO; `verify` returns a token's claims, or throws. */
export function serveChat(io, verify) {
  const chat = io.of("/chat");

  chat.use((socket, next) => {
    try {
      const { sub, name } = verify(socket.handshake.auth.token);
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
}
