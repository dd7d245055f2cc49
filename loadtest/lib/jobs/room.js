// One room per virtual user: every member sends at a steady rate, and every message must reach every member.

import { Ledger } from '../ledger.js';
import { Member } from '../member.js';
import { error, metrics } from '../metrics.js';
import { now, sleep, until } from '../scenario.js';

const TIMED = { ack: metrics.ack_ms, delivery: metrics.delivery_ms };

export async function room(scenario, prepared, group) {
  const { settings } = scenario;
  const ledger = new Ledger(settings.clients);
  const clients = scenario.clients(prepared, group);
  const members = clients.map((client, index) => {
    const report = reporter(client);
    const member = new Member({ client, room: `load-${prepared.run}-${group}`, index, ledger, now, report });
    client.on(':connected', () => member.join());
    return member;
  });
  const joined = new Map(clients.map((client, index) => [client, members[index]]));
  await scenario.open(clients, (client) => joined.get(client).joined);

  const end = now() + settings.duration;
  const dropping = settings.dropEvery > 0 ? clients.map((client) => drops(client, settings.dropEvery, end)) : [];
  await Promise.all([...members.map((member) => sends(member, settings, end)), ...dropping]);
  await until(() => ledger.settled(), settings.settle);
  for (const client of clients) client.leave();
  for (const member of members) member.release();

  const { doubled, reordered, unknown, delivered } = ledger.counts;
  if (unknown > 0) error(`${unknown} unknown messages`);
  metrics.missed.add(ledger.missed());
  metrics.doubled.add(doubled);
  metrics.reordered.add(reordered);
  return delivered > 0;
}

function reporter(client) {
  let away;
  client.on(':disconnected', () => { away ??= now(); });
  return (kind, value) => {
    if (kind === 'recovered') metrics.recovered.add(1);
    else if (kind === 'error') error(value);
    else if (kind in TIMED && value !== undefined) TIMED[kind].add(value);
    else if (kind === 'joined' && away !== undefined) {
      metrics.reconnect_ms.add(now() - away);
      away = undefined;
    }
  };
}

// Sends at a steady rate, however long the answers take, then waits for the missing answers, at most `settle` ms.
async function sends(member, { rate, length, settle }, end) {
  const period = 1000 / rate;
  let outstanding = 0;
  const one = async () => {
    outstanding += 1;
    await member.send(length);
    outstanding -= 1;
  };
  for (let next = now() + Math.random() * period; next < end; next += period) {
    await sleep(next - now());
    one();
  }
  if (!await until(() => outstanding === 0, settle)) error(`${outstanding} messages never acknowledged`);
}

// Drops the connection at random, every `every` ms on average.
async function drops(client, every, end) {
  for (let next = now() + Math.random() * every; next < end; next += every * (0.5 + Math.random())) {
    await sleep(next - now());
    if (client.state === 'connected') client.drop();
  }
}
