// A page that speaks with the server as the chat example of Socket.IO does: the same events and arguments, no token.
"use strict";

const TYPING_MS = 400;
const socket = io();
const messages = document.querySelector(".messages");
const input = document.querySelector(".inputMessage");
const typing = new Map();
let name, stopTyping;

function show(kind, text) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  messages.append(line);
  return line;
}

function isTyping(username, is) {
  typing.get(username)?.remove();
  typing.delete(username);
  if (is) typing.set(username, show("typing", `${username} is typing`));
}

const count = ({ numUsers }) => show("log", `participants: ${numUsers}`);

document.querySelector(".login").addEventListener("submit", (event) => {
  event.preventDefault();
  name = document.querySelector(".usernameInput").value;
  event.target.hidden = true;
  socket.emit("add user", name);
});
input.addEventListener("input", () => {
  if (!stopTyping) socket.emit("typing");
  clearTimeout(stopTyping);
  stopTyping = setTimeout(() => {
    stopTyping = undefined;
    socket.emit("stop typing");
  }, TYPING_MS);
});
input.addEventListener("keydown", ({ key }) => {
  if (key !== "Enter") return;
  socket.emit("new message", input.value);
  show("message", `${name} ${input.value}`);
  input.value = "";
});

socket.on("login", count);
socket.on("new message", ({ username, message }) => {
  isTyping(username, false);
  show("message", `${username} ${message}`);
});
socket.on("user joined", (data) => {
  show("log", `${data.username} joined`);
  count(data);
});
socket.on("user left", (data) => {
  show("log", `${data.username} left`);
  isTyping(data.username, false);
  count(data);
});
socket.on("typing", ({ username }) => isTyping(username, true));
socket.on("stop typing", ({ username }) => isTyping(username, false));
socket.io.on("reconnect", () => name && socket.emit("add user", name));
