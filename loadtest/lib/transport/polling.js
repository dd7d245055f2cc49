// The HTTP long-polling transport: one GET waits for what the server has, one POST at a time brings what we have.

import http from 'k6/http';

import { CLOSE, joinPayload, splitPayload } from '../packet.js';

// Longer than a server stays silent (its pings answer a poll).
const PARAMS = { timeout: '60s', responseType: 'text', headers: { 'Content-Type': 'text/plain;charset=UTF-8' } };

// Transports of the server at that base URL.
export function polling(baseUrl) {
  return (handlers) => new Polling(`${baseUrl}/socket.io/?EIO=4&transport=polling`, handlers);
}

class Polling {
  #url;
  #frame;
  #closed;
  #over = false;
  #outbox = [];
  #posting = false;

  constructor(url, { frame, closed }) {
    this.#url = url;
    this.#frame = frame;
    this.#closed = closed;
    this.#poll();
  }

  send(text) {
    this.#outbox.push(text);
    if (!this.#posting) this.#post();
  }

  // The server hears of it; what it still has for us is not waited for.
  close() {
    if (this.#over) return;
    this.send(CLOSE);
    this.#over = true;
  }

  async #poll() {
    while (!this.#over) {
      const body = await this.#request('GET', null);
      if (body === undefined) return;
      for (const text of splitPayload(body)) {
        // The first packet of all says where to go on.
        if (text[0] === '0') this.#url += `&sid=${JSON.parse(text.slice(1)).sid}`;
        if (!this.#over) this.#frame(text);
      }
    }
  }

  async #post() {
    this.#posting = true;
    while (this.#outbox.length > 0) {
      const answer = await this.#request('POST', joinPayload(this.#outbox.splice(0)));
      if (answer === undefined) break;
    }
    this.#posting = false;
  }

  // The body of a good answer; any other ends the transport.
  async #request(method, body) {
    let why;
    try {
      const answer = await http.asyncRequest(method, this.#url, body, PARAMS);
      if (answer.status === 200) return answer.body;
      why = `${method} answers ${answer.status} ${answer.error}`;
    } catch (error) {
      why = `${method}: ${error}`;
    }
    if (!this.#over) {
      this.#over = true;
      this.#closed(why);
    }
    return undefined;
  }
}
