// One client of each virtual user watches the others. Each of them connects (announced once), loses its connection for
// less than the grace (not announced), leaves (announced once, after the grace), and repeats that.

import { error, metrics } from '../metrics.js';
import { now, sleep, until } from '../scenario.js';

export async function presence(scenario, prepared, group) {
  const { settings } = scenario;
  const [watching, ...users] = scenario.users(prepared, group);
  const watcher = scenario.client(watching);
  const seen = new Map(users.map(({ id }) => [id, { online: [], offline: [] }]));
  for (const kind of ['online', 'offline']) {
    watcher.on(`user:${kind}`, ({ userId }) => seen.get(userId)?.[kind].push(now()));
  }
  await scenario.open([watcher]);
  const subscribed = await watcher.call('presence:subscribe', { userIds: [...seen.keys()] });
  if (subscribed.status !== 'ok') error(`presence:subscribe: ${JSON.stringify(subscribed)}`);

  const end = now() + settings.duration;
  const rounds = await Promise.all(users.map((user) => repeat(scenario, user, seen.get(user.id), end)));
  watcher.leave();
  return rounds.length > 0 && rounds.every((count) => count > 0);
}

// Returns how often the user connected and left.
async function repeat(scenario, user, seen, end) {
  const { grace, settle, stay } = scenario.settings;
  let rounds = 0;
  await sleep(Math.random() * stay);
  do {
    const client = scenario.client(user);
    const connecting = now();
    await scenario.open([client]);
    if (await announced(seen.online, rounds, settle)) metrics.online_ms.add(seen.online[rounds] - connecting);
    await sleep(stay / 2);
    client.drop();
    await until(() => client.state === 'connected', settle);
    await sleep(stay / 2);
    const left = now();
    client.leave();
    if (await announced(seen.offline, rounds, grace + settle)) metrics.offline_ms.add(seen.offline[rounds] - left - grace);
    rounds += 1;
  } while (now() < end);
  metrics.doubled.add(seen.online.length - rounds + seen.offline.length - rounds);
  return rounds;
}

// Waits for more than `before` announcements; counts a missed one after `limit` ms.
async function announced(times, before, limit) {
  const there = await until(() => times.length > before, limit);
  if (!there) metrics.missed.add(1);
  return there;
}
