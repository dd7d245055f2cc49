// A backend notifies users over HTTP. Each user must receive every notification once, with the right unread count, and
// marks every second one as read.

import http from 'k6/http';

import { error, metrics } from '../metrics.js';
import { now, sleep, until } from '../scenario.js';

// One in this many notifications is posted twice, as by a backend that received no answer.
const TWICE_EVERY = 5;

export async function notifications(scenario, prepared, group) {
  const { settings } = scenario;
  if (settings.apiUrl === '' || settings.apiKey === '') throw new Error('set API_URL (the base URL of `/v1`) and API_KEY');
  const clients = scenario.clients(prepared, group);
  const inboxes = clients.map((client) => new Inbox(client));
  await scenario.open(clients);

  const end = now() + settings.duration;
  const api = settings.apiUrl.split(',');
  await Promise.all(inboxes.map((inbox, index) => notifies(inbox, settings, api[(group + index) % api.length], end)));
  await Promise.all(inboxes.map((inbox) => inbox.close(settings.settle)));
  for (const client of clients) client.leave();
  return inboxes.every((inbox) => inbox.received > 0);
}

// The inbox of one user.
class Inbox {
  #client;
  #sent = new Map();
  #unread = undefined;
  #reading = 0;

  constructor(client) {
    this.#client = client;
    this.userId = client.userId;
    client.on('notification:unread_count', ({ unreadCount }) => { this.#unread = unreadCount; });
    client.on('notification:new', ({ notification }) => this.#take(notification));
  }

  received = 0;

  sending(key) {
    this.#sent.set(key, { at: now(), got: false });
  }

  async close(limit) {
    await until(() => this.received === this.#sent.size && this.#reading === 0, limit);
    metrics.missed.add(this.#sent.size - this.received);
    const unread = Math.ceil(this.received / 2);
    await this.#counts(unread, limit);
    await this.#read({ all: true });
    await this.#counts(0, limit);
  }

  #take({ id, data }) {
    const sent = this.#sent.get(data?.key);
    if (sent === undefined) return error(`unknown notification: ${id}`);
    if (sent.got) return metrics.doubled.add(1);
    sent.got = true;
    metrics.delivery_ms.add(now() - sent.at);
    this.received += 1;
    return this.received % 2 === 0 ? this.#read({ notificationId: id }) : undefined;
  }

  async #read(which) {
    this.#reading += 1;
    const begun = now();
    try {
      const ack = await this.#client.call('notification:mark_read', which);
      if (ack.success !== true) error(`notification:mark_read: ${JSON.stringify(ack)}`);
      else metrics.ack_ms.add(now() - begun);
    } catch (failure) {
      error(`notification:mark_read: ${failure.message}`);
    }
    this.#reading -= 1;
  }

  async #counts(wanted, limit) {
    if (!await until(() => this.#unread === wanted, limit)) error(`${this.#unread} unread instead of ${wanted}`);
  }
}

// Posts at a steady rate until `end`, then waits for the answers, at most `settle` ms.
async function notifies(inbox, { rate, apiKey, settle }, api, end) {
  const period = 1000 / rate;
  const url = `${api}/v1/users/${inbox.userId}/notifications`;
  let outstanding = 0;
  const post = async (key) => {
    outstanding += 1;
    const body = JSON.stringify({ title: `Number ${key}`, message: 'Hello from a load test', type: 'info', data: { key } });
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${apiKey}`, 'Idempotency-Key': `${inbox.userId}-${key}` };
    const begun = now();
    const answer = await http.asyncRequest('POST', url, body, { headers, responseType: 'text' });
    if (answer.status === 201) metrics.post_ms.add(now() - begun);
    else error(`POST notifications: ${answer.status} ${answer.error} ${answer.body}`);
    outstanding -= 1;
  };
  let key = 0;
  for (let next = now() + Math.random() * period; next < end; next += period) {
    await sleep(next - now());
    key += 1;
    inbox.sending(key);
    if (key % TWICE_EVERY === 0) post(key).then(() => post(key));
    else post(key);
  }
  if (!await until(() => outstanding === 0, settle)) error(`${outstanding} posts without an answer`);
}
