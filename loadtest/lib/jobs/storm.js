// All clients connect at the same moment, and in each later wave all lose their connections together.

import { error, metrics } from '../metrics.js';
import { now, sleep, until } from '../scenario.js';

export async function storm(scenario, prepared, group) {
  const { settings } = scenario;
  const clients = scenario.clients(prepared, group);
  const begun = now();
  let greeted = 0;
  for (const client of clients) {
    let away;
    client.on(':disconnected', () => { away = now(); });
    client.on(':connected', () => away !== undefined && metrics.reconnect_ms.add(now() - away));
    client.on('authenticated', () => { greeted += 1; });
  }
  await scenario.open(clients);
  for (let wave = 1; wave < settings.waves; wave += 1) {
    // All virtual users started together, so they also start each wave together.
    await sleep(begun + (settings.duration * wave) / settings.waves - now());
    for (const client of clients) client.drop();
    const back = await until(() => clients.every((client) => client.state === 'connected'), settings.settle);
    if (!back) error(`wave ${wave}: ${clients.filter((client) => client.state !== 'connected').length} did not reconnect`);
  }
  await sleep(begun + settings.duration - now());
  const wanted = clients.length * settings.waves;
  if (!await until(() => greeted >= wanted, settings.settle)) error(`${wanted - greeted} never received authenticated`);
  for (const client of clients) client.leave();
  return greeted > 0;
}
