// Members of a room that reconnect by themselves, as the protocol expects of clients, for tests of drains with stock
// clients behind the balancer. A member only acts and records: `cargo xtask chaos` judges losses under faults.

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

import { connect } from "./clients.mjs";
import { roomMessages } from "./rooms.mjs";
import { NotYet, until } from "./until.mjs";

/** Between two messages of one sender: a member away for a few seconds must not miss more than a room keeps. */
const PACE_MS = 20;
/** A request without an answer for this long is sent again. */
const ANSWER_MS = 2000;

/** A member of a room: joins it on every connection, with the last message that it received. */
export class Member {
  /** Milliseconds from each loss of the connection until it was in the room again. */
  absences = [];
  /** Ids of its messages, in the order of their acknowledgement. */
  acked = [];
  isIn = false;
  #position;
  #lostAt;

  constructor(url, user, room, options = {}) {
    this.user = user;
    this.room = room;
    this.client = connect(url, { token: user.token, ...options });
    this.client.socket.on("connect", () => this.#join());
    this.client.socket.on("disconnect", () => {
      this.isIn = false;
      this.#lostAt ??= Date.now();
    });
  }

  /** Waits until it is in the room. */
  async ready() {
    await until("in the room", () => this.isIn);
    return this;
  }

  /** Sends one message after the other until `going()` is false, each until it is stored. */
  async sendWhile(going) {
    while (going()) {
      const payload = { room: this.room, content: `of ${this.user.fullName}`, clientId: randomUUID() };
      await until("stored", async () => {
        const answer = await this.#ask("send-message", payload);
        if (answer?.status !== "ok") throw new NotYet(JSON.stringify(answer ?? "no answer in time"));
        this.acked.push(answer.messageId);
        return true;
      });
      await pause(PACE_MS);
    }
  }

  async #join() {
    const { id } = this.client;
    let answer;
    // Sent again until it succeeds, or until there is another connection, which joins itself.
    while (answer?.status !== "ok") {
      if (this.client.id !== id) return;
      const since = roomMessages(this.client, this.room).at(-1)?.id ?? this.#position;
      answer = await this.#ask("join-room", since ? { room: this.room, since } : this.room);
    }
    this.#position = answer.position;
    if (this.#lostAt) this.absences.push(Date.now() - this.#lostAt);
    this.#lostAt = undefined;
    this.isIn = true;
  }

  /** The acknowledgement, or nothing if it takes too long: the connection may be lost. */
  #ask(event, payload) {
    return new Promise((resolve) => {
      this.client.socket.timeout(ANSWER_MS).emit(event, payload, (late, answer) => resolve(late ? undefined : answer));
    });
  }
}
