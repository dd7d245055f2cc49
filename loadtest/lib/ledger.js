// Checks deliveries in one room: every member must receive every message exactly once, in one order. Pure.
//
// Times are in ms of any clock. The key, which the sender chose, identifies a message; a stored message also has an id.
// Ids compared as strings sort in the room's order.

// How long, in ms, to remember messages that all members have, to recognise a second delivery by its key.
const REMEMBERED = 60_000;

export class Ledger {
  #messages = new Map();
  #lastId;
  #open = 0;

  constructor(members) {
    this.members = members;
    this.#lastId = new Array(members).fill('');
    this.counts = { sent: 0, stored: 0, delivered: 0, doubled: 0, reordered: 0, unknown: 0 };
  }

  // The message is being sent for the first time.
  sent(key, at) {
    this.#messages.set(key, { at, stored: false, again: false, got: new Uint8Array(this.members), missing: this.members });
    this.#open += 1;
    this.counts.sent += 1;
  }

  // The message is resent: from now on it has no age, which would only show how long its sender was away.
  resent(key) {
    this.#messages.get(key).again = true;
  }

  // How long ago the message was sent; undefined if it was sent again or is unknown.
  age(key, at) {
    const message = this.#messages.get(key);
    return message === undefined || message.again ? undefined : at - message.at;
  }

  // The sender received the acknowledgement: the message is stored.
  stored(key, at) {
    const message = this.#messages.get(key);
    message.stored = true;
    this.counts.stored += 1;
    this.#finish(message, at);
  }

  // A member received the message; returns false if it is unknown, or the member has it already.
  delivered(member, key, id, at) {
    const message = this.#messages.get(key);
    const inOrder = id > this.#lastId[member];
    if (inOrder) this.#lastId[member] = id;
    if (message === undefined || message.got[member] > 0) {
      this.counts[inOrder && message === undefined ? 'unknown' : 'doubled'] += 1;
      return false;
    }
    if (!inOrder) this.counts.reordered += 1;
    message.got[member] = 1;
    message.missing -= 1;
    this.counts.delivered += 1;
    this.#finish(message, at);
    return true;
  }

  // Whether every message is stored and delivered to all members.
  settled() {
    return this.#open === 0;
  }

  // Deliveries that are still missing, also of unacknowledged messages.
  missed() {
    return [...this.#messages.values()].reduce((sum, message) => sum + message.missing, 0);
  }

  #finish(message, at) {
    if (!message.stored || message.missing > 0) return;
    message.done = at;
    this.#open -= 1;
    // A Map keeps the order of sending: the oldest messages come first.
    for (const [key, { done }] of this.#messages) {
      if (done === undefined || at - done < REMEMBERED) break;
      this.#messages.delete(key);
    }
  }
}
