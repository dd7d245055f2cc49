// A member of one room: joins on every connect, with the id of the last message it received; sends each message until
// it is stored; and records in the ledger what it receives.

// Delay in ms before it resends a message that was not acknowledged as stored.
const RETRY_AFTER = 500;

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

  // `report(kind, ms)`: `ack`, `delivery` and `recovered` of a message, without ms if it was sent again or is unknown;
  // `joined`; `report('error', text)`.
  constructor({ client, room, index, ledger, now, report }) {
    this.#client = client;
    this.#room = room;
    this.#index = index;
    this.#ledger = ledger;
    this.#now = now;
    this.#report = report;
    client.on('new-message', (message) => this.#received(message, 'delivery'));
    client.on('recent-messages', (messages, { room }) => room === this.#room && this.#receivedPage(messages));
    client.on('room-reset', () => report('error', 'room-reset'));
    client.on('error', (error) => report('error', JSON.stringify(error)));
    client.on(':disconnected', () => { this.joined = false; });
  }

  joined = false;

  // Joins the room. Call it on every connect.
  async join() {
    const request = { room: this.#room, since: this.#last };
    const ack = await this.#ask('join-room', request);
    if (ack === undefined) return;
    if (request.since !== undefined && ack.recovered !== true) this.#report('error', 'rejoined, not recovered');
    this.#last ??= ack.position;
    this.joined = true;
    this.#report('joined');
    for (const resume of this.#waiting.splice(0)) resume();
  }

  // Sends a message until it is stored, over as many connections as needed.
  async send(length) {
    const key = `${this.#index}-${this.#sent}`;
    this.#sent += 1;
    const content = `${key} `.padEnd(length, '.');
    for (let tries = 0; ; tries += 1) {
      if (!this.joined) await this.#rejoined();
      if (this.#client.state === 'over') return;
      if (tries === 0) this.#ledger.sent(key, this.#now());
      else this.#ledger.resent(key);
      const ack = await this.#ask('send-message', { room: this.#room, content, clientId: key });
      if (ack !== undefined) break;
      if (this.joined) await new Promise((resume) => { setTimeout(resume, RETRY_AFTER); });
    }
    this.#report('ack', this.#ledger.age(key, this.#now()));
    this.#ledger.stored(key, this.#now());
  }

  // Resumes all sends that wait for a rejoin. For the end of the run, when no client reconnects.
  release() {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  // The answer, or undefined if it was an error or never came.
  async #ask(event, payload) {
    let ack;
    try {
      ack = await this.#client.call(event, payload);
    } catch (lost) {
      // A lost connection is no error; a missing answer on a live connection is.
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

  #receivedPage(messages) {
    // At the first join these are old messages: ignore them.
    if (this.#last === undefined) return;
    for (const message of messages) this.#received(message, 'recovered');
  }

  #received({ id, room, content }, how) {
    if (room !== this.#room) return this.#report('error', `received a message of the room ${room}`);
    this.#last = id;
    const key = content.slice(0, content.indexOf(' '));
    const ms = this.#ledger.age(key, this.#now());
    const fresh = this.#ledger.delivered(this.#index, key, id, this.#now());
    return fresh ? this.#report(how, ms) : undefined;
  }
}
