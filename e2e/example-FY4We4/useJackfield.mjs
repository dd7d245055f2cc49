// A React hook: the connection, the user's notifications, and the messages of one room without gaps.
//
//   const { status, unread, messages, send } = useJackfield({ url, token, room: "general", renew });
//
// `renew` is optional: an async function that returns a new token, or nothing if there is none any more; see tokens.js.
// With it the session is renewed before its token ends, and a page that slept for hours comes back. Without it the session
// ends with the token.
// @ts-check

import { useCallback, useEffect, useRef, useState } from "react";
import { io } from "socket.io-client";

/** @typedef {import("../../deploy/types/events.js").JackfieldSocket} JackfieldSocket */
/** @typedef {import("../../deploy/types/events.js").NewMessagePayload} Message */

const KEPT = 200;
const ANSWER_MS = 5_000;
const ATTEMPTS = 10;
const RENEW_AGAIN_MS = 3_000;
/** Refusals that pass: the same event may succeed later. */
const TEMPORARY = ["rate_limited", "unavailable"];
/** Events after which the session has ended. */
const ENDS = /** @type {const} */ (["session:replaced", "session:ended", "token:expired"]);

/** @type {{ status: string, reason?: string, unread: number, latest?: object, messages: Message[], gap: boolean }} */
const EMPTY = { status: "connecting", reason: null, unread: 0, latest: null, messages: [], gap: false };

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Adds messages: each id once, sorted by id, which is the order of the room; the newest `most`. */
export function merge(messages, added, most = KEPT) {
  const byId = new Map([...messages, ...added].map((message) => [message.id, message]));
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1)).slice(-most);
}

/**
 * Stores a message and returns its id. Retries under one `clientId`, so that the message is stored once.
 *
 * @param {JackfieldSocket} socket
 * @param {string} room
 * @param {string} content
 */
export async function sendMessage(socket, room, content) {
  const message = { room, content, clientId: crypto.randomUUID() };
  let code;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const answer = await socket.timeout(ANSWER_MS).emitWithAck("send-message", message).catch(() => null);
    if (answer?.status === "ok") return answer.messageId;
    code = answer?.code ?? "no_answer";
    // After a reconnect the room may not be joined again yet.
    if (answer && !TEMPORARY.includes(code) && code !== "not_in_room") break;
    await pause(answer?.retryAfterMs ?? 1_000);
  }
  throw new Error(code);
}

export function useJackfield({ url, token, room, renew }) {
  const [state, setState] = useState(EMPTY);
  const current = useRef(null);
  const renewal = useRef(renew);
  renewal.current = renew;

  useEffect(() => {
    if (!token) return undefined;
    const auth = { token, recover: true };
    /** @type {JackfieldSocket} */
    const socket = io(url, { auth });
    current.current = socket;
    const change = (part) => setState((before) => ({ ...before, ...part }));
    const add = (added) => setState((before) => ({ ...before, messages: merge(before.messages, added) }));
    setState(EMPTY);

    // The last position that this client knows: if it was not recovered, the room sends everything after it.
    let since, again;
    let isIn = false;
    const join = () => socket.emit("join-room", since ? { room, since } : { room }, (answer) => {
      if (answer.status === "ok") {
        if (answer.recovered === false) change({ gap: true });
        since = answer.position;
        isIn = true;
      } else if (TEMPORARY.includes(answer.code)) {
        again = setTimeout(join, answer.retryAfterMs ?? 1_000);
      } else {
        change({ reason: answer.code });
      }
    });
    socket.on("connect", () => {
      change({ status: "connected", reason: null });
      // A client that was recovered is in its room again, and what it missed follows.
      isIn &&= socket.recovered;
      if (room && !isIn) join();
    });
    socket.on("recent-messages", (messages) => {
      since = messages.at(-1)?.id ?? since;
      add(messages);
    });
    socket.on("new-message", (message) => {
      since = message.id;
      add([message]);
    });
    socket.on("room-reset", ({ position }) => {
      since = position;
      change({ gap: true });
    });

    socket.on("notification:unread_count", ({ unreadCount }) => change({ unread: unreadCount }));
    socket.on("notification:new", ({ notification }) => change({ latest: notification }));

    // While the issuer cannot be reached, tries again. False if there is no new token, or nobody waits for it any more.
    let isOver = false;
    async function renewed() {
      while (!isOver) {
        try {
          const next = await renewal.current?.();
          if (next) auth.token = next;
          return Boolean(next) && !isOver;
        } catch {
          await pause(RENEW_AGAIN_MS);
        }
      }
      return false;
    }
    socket.on("token:expiring", async () => {
      if (await renewed()) socket.emit("token:refresh", { token: auth.token });
    });
    const comeBack = async (status, reason) => {
      change({ status: "connecting", reason });
      if (await renewed()) socket.connect();
      else change({ status });
    };

    // `active` says whether the client tries again by itself. After a permanent refusal or end it does not.
    let last = null;
    for (const event of ENDS) socket.on(event, () => (last = event));
    socket.on("connect_error", ({ message }) => {
      if (message === "token_expired") comeBack("refused", message);
      else change({ status: socket.active ? "connecting" : "refused", reason: message });
    });
    socket.on("disconnect", (reason) => {
      clearTimeout(again);
      if (last === "token:expired") comeBack("ended", last);
      else change({ status: socket.active ? "connecting" : "ended", reason: last ?? reason });
      last = null;
    });
    return () => {
      isOver = true;
      clearTimeout(again);
      socket.removeAllListeners();
      socket.disconnect();
    };
  }, [url, token, room]);

  const send = useCallback((content) => sendMessage(current.current, room, content), [room]);
  return { ...state, send };
}
