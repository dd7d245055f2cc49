// Who should have got what in one room: every stored message, at every member, exactly once, in one order. Pure.
//
// Times are in ms of any clock. A message is known by its key, which its sender chose, and once it is stored also by its
// id; ids compared as strings sort in the room's order.

// Messages that everybody has are remembered for so long, to tell a second delivery from a wrong order.
const REMEMBERED = 60_000;

export class Ledger {
  #messages = new Map();
  #lastId;
  #open = 0;

  constructor(members) {
    this.members = members;
    this.#lastId = new Array(members).fill('');
    this.counts = { sent: 0, stored: 0, delivered: 0, doubled: 0, disordered: 0, unknown: 0 };
  }

  // It is being sent for the first time.
  sent(key, at) {
    this.#messages.set(key, { at, stored: false, again: false, got: new Uint8Array(this.members), missing: this.members });
    this.#open += 1;
    this.counts.sent += 1;
  }

  // It has to be sent again: from now on it has no age, which would only say how long its sender was away.
  sentAgain(key) {
    this.#messages.get(key).again = true;
  }

  // How long ago it was sent; nothing where it was sent twice, or is not known.
  age(key, at) {
    const message = this.#messages.get(key);
    return message === undefined || message.again ? undefined : at - message.at;
  }

  // Its sender was told that it is stored.
  stored(key, at) {
    const message = this.#messages.get(key);
    message.stored = true;
    this.counts.stored += 1;
    this.#finish(message, at);
  }

  // A member got it; false where the member should not have got it.
  delivered(member, key, id, at) {
    const message = this.#messages.get(key);
    const inOrder = id > this.#lastId[member];
    if (inOrder) this.#lastId[member] = id;
    if (message === undefined || message.got[member] > 0) {
      this.counts[inOrder && message === undefined ? 'unknown' : 'doubled'] += 1;
      return false;
    }
    if (!inOrder) this.counts.disordered += 1;
    message.got[member] = 1;
    message.missing -= 1;
    this.counts.delivered += 1;
    this.#finish(message, at);
    return true;
  }

  // Is every message stored and delivered to everybody?
  settled() {
    return this.#open === 0;
  }

  // Deliveries that are still missing.
  missed() {
    return [...this.#messages.values()].reduce((sum, message) => sum + message.missing, 0);
  }

  #finish(message, at) {
    if (!message.stored || message.missing > 0) return;
    message.done = at;
    this.#open -= 1;
    // A Map is in the order of sending: the oldest come first.
    for (const [key, { done }] of this.#messages) {
      if (done === undefined || at - done < REMEMBERED) break;
      this.#messages.delete(key);
    }
  }
}
