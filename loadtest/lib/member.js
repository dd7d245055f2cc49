// A member of one room: joins whenever it is connected, with what it saw last; sends each message until it is stored; and
// tells the ledger what it gets.

// Between two tries to send what the server could not store.
const AGAIN = 500;

export class Member {
  #client;
  #room;
  #index;
  #ledger;
  #now;
  #report;
  #last = undefined;
  #sent = 0;
  #waiting = [];

  // `report(what, ms)`: `ack`, `delivery` and `recovered` of a message, without ms where they say nothing; `joined`;
  // `report('error', text)`.
  constructor({ client, room, index, ledger, now, report }) {
    this.#client = client;
    this.#room = room;
    this.#index = index;
    this.#ledger = ledger;
    this.#now = now;
    this.#report = report;
    client.on('new-message', (message) => this.#got(message, 'delivery'));
    client.on('recent-messages', (messages, { room }) => room === this.#room && this.#caughtUp(messages));
    client.on('room-reset', () => report('error', 'room-reset'));
    client.on('error', (error) => report('error', JSON.stringify(error)));
    client.on(':disconnected', () => { this.joined = false; });
  }

  joined = false;

  // Joins; to be called whenever the client is connected.
  async join() {
    const asked = { room: this.#room, since: this.#last };
    const ack = await this.#ask('join-room', asked);
    if (ack === undefined) return;
    if (asked.since !== undefined && ack.recovered !== true) this.#report('error', 'came back, not recovered');
    this.#last ??= ack.position;
    this.joined = true;
    this.#report('joined');
    for (const resume of this.#waiting.splice(0)) resume();
  }

  // Sends a message, through as many connections as it takes.
  async send(length) {
    const key = `${this.#index}-${this.#sent}`;
    this.#sent += 1;
    const content = `${key} `.padEnd(length, '.');
    for (let tries = 0; ; tries += 1) {
      if (!this.joined) await this.#rejoined();
      if (this.#client.state === 'over') return;
      if (tries === 0) this.#ledger.sent(key, this.#now());
      else this.#ledger.sentAgain(key);
      const ack = await this.#ask('send-message', { room: this.#room, content, clientId: key });
      if (ack !== undefined) break;
      if (this.joined) await new Promise((resume) => { setTimeout(resume, AGAIN); });
    }
    this.#report('ack', this.#ledger.age(key, this.#now()));
    this.#ledger.stored(key, this.#now());
  }

  // Lets whoever waits to send go on; for the end, when nobody comes back any more.
  release() {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  // The answer, or nothing where it was an error or never came.
  async #ask(event, payload) {
    let ack;
    try {
      ack = await this.#client.call(event, payload);
    } catch (lost) {
      // A connection may be lost; a connection that stays owes an answer.
      if (this.#client.state === 'connected' && lost.message === 'no ack in time') this.#report('error', `${event}: no ack`);
      return undefined;
    }
    if (ack.status === 'ok') return ack;
    this.#report('error', `${event}: ${ack.code} ${ack.message}`);
    return undefined;
  }

  #rejoined() {
    return new Promise((resume) => { this.#waiting.push(resume); });
  }

  #caughtUp(messages) {
    // At the first join these are other people's past.
    if (this.#last === undefined) return;
    for (const message of messages) this.#got(message, 'recovered');
  }

  #got({ id, room, content }, how) {
    if (room !== this.#room) return this.#report('error', `a message of the room ${room}`);
    this.#last = id;
    const key = content.slice(0, content.indexOf(' '));
    const ms = this.#ledger.age(key, this.#now());
    const fresh = this.#ledger.delivered(this.#index, key, id, this.#now());
    return fresh ? this.#report(how, ms) : undefined;
  }
}
