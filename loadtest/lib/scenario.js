// The part of a scenario that all have in common: options with thresholds, users before the run, the summary after it.

import exec from 'k6/execution';

import { Client } from './client.js';
import { error, metrics, refused, thresholds } from './metrics.js';
import { read } from './settings.js';
import { summarize, table } from './summary.js';
import { polling } from './transport/polling.js';
import { websocket } from './transport/websocket.js';
import { prepare, user } from './users.js';

// Ms since the start of the run, with fractions: one clock for all virtual users.
export const now = () => exec.instance.currentTestRunDuration;

export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, Math.max(0, ms)); });

// Waits until `condition()` is true; returns false if that takes longer than `limit` ms.
export async function until(condition, limit) {
  for (const end = now() + limit; !condition();) {
    if (now() > end) return false;
    await sleep(20);
  }
  return true;
}

// `timed`: the times that have a threshold. A job is a function of the scenario, the prepared users and the number of
// its virtual user; it is done when its promise resolves.
export class Scenario {
  constructor(name, { defaults = {}, short = {}, timed, transport = 'websocket' }) {
    this.name = name;
    this.settings = read(__ENV, defaults, short);
    const { settings } = this;
    this.transport = transport === 'polling' ? polling(settings.baseUrl) : websocket(settings.baseUrl);
    const everything = settings.duration + settings.settle * 2 + 120_000;
    const executor = { executor: 'per-vu-iterations', vus: settings.vus, iterations: 1, maxDuration: `${everything}ms`, gracefulStop: '0s' };
    this.options = {
      scenarios: { [name]: executor },
      thresholds: thresholds(settings, timed),
      summaryTrendStats: ['count', 'med', 'p(95)', 'p(99)', 'max'],
      setupTimeout: '10m',
      // k6 keeps this many idle connections to a server. Polling needs many, because a poll is a request that waits.
      batch: 2000,
      batchPerHost: 2000,
      systemTags: ['error_code'],
    };
  }

  // For k6's `setup`.
  setup() {
    return prepare(this.settings, this.settings.vus * this.settings.clients);
  }

  // For k6's `handleSummary`.
  handleSummary(data) {
    const summary = summarize(this.name, this.settings, data);
    return { stdout: this.settings.summary === 'json' ? `${JSON.stringify(summary)}\n` : table(summary) };
  }

  // Runs the job as one virtual user of k6.
  async run(job, prepared) {
    try {
      const done = await job(this, prepared, exec.vu.idInTest - 1);
      if (done) metrics.finished.add(1);
      else error('a virtual user measured nothing');
    } catch (failure) {
      error(`${failure.stack ?? failure}`);
    }
  }

  // The users of one k6 virtual user; each is one client.
  users(prepared, group) {
    const { clients } = this.settings;
    return Array.from({ length: clients }, (_, index) => user(this.settings, prepared, group * clients + index));
  }

  // The clients of these users, not connected yet.
  clients(prepared, group) {
    return this.users(prepared, group).map((one) => this.client(one));
  }

  // A client that counts its connects, failures and disconnects.
  client({ id, token }) {
    const { namespace, settle } = this.settings;
    const client = new Client({ transport: this.transport, namespace, token, now, ackLimit: settle });
    client.userId = id;
    client.on(':connected', (ms) => metrics.connect_ms.add(ms));
    client.on(':failed', refused);
    client.on(':packet-error', error);
    client.on(':disconnected', (why) => why !== 'dropped' && why !== 'left' && metrics.disconnects.add(1));
    client.on(':over', (why) => why !== 'left' && error(`disconnected for good: ${why}`));
    client.on('authenticated', ({ userId }) => userId !== id && error(`authenticated as ${userId}`));
    return client;
  }

  // Opens the clients one after the other, at this virtual user's share of `connectRate`, and waits until all are
  // `there`, at most `settle` ms.
  async open(clients, there = (client) => client.state === 'connected') {
    const { vus, connectRate, settle } = this.settings;
    for (const client of clients) {
      client.open();
      if (connectRate > 0) await sleep((1000 * vus) / connectRate);
    }
    await until(() => clients.every(there), settle);
    for (const client of clients) metrics.connect_success.add(there(client));
  }
}
