// The HTTP long-polling transport: one GET waits for packets of the server, one POST at a time sends ours.

import http from 'k6/http';

import { CLOSE, joinPayload, splitPayload } from '../packet.js';

// The timeout is longer than a server stays silent (its pings answer a poll).
const PARAMS = { timeout: '60s', responseType: 'text', headers: { 'Content-Type': 'text/plain;charset=UTF-8' } };

// Transports to the server at this base URL.
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

  // Sends CLOSE to the server; does not wait for packets that the server still has.
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
        // The open packet names the session that all later requests need.
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

  // The body of an answer with status 200; any other answer ends the transport.
  async #request(method, body) {
    let why;
    try {
      const answer = await http.asyncRequest(method, this.#url, body, PARAMS);
      if (answer.status === 200) return answer.body;
      why = `${method} answered ${answer.status} ${answer.error}`;
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
