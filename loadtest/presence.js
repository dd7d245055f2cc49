// Presence: each time a user comes or goes must be announced once, and a lost connection not at all.
//
// Own settings: STAY, how long a user stays; GRACE, which must be the gateways' `presence.grace`, 2 s or more (the
// stock client starts to reconnect at most 1.5 s after it loses a connection); limits ONLINE_P95, from the opening of
// the connection, and OFFLINE_P95, from the end of the grace.

import { presence } from './lib/jobs/presence.js';
import { Scenario } from './lib/scenario.js';

const scenario = new Scenario('presence', {
  defaults: { NAMESPACE: '/', STAY: '4s', GRACE: '5s', ONLINE_P95: 1000, OFFLINE_P95: 1500 },
  short: { VUS: 2, CLIENTS: 3, DURATION: '1s', STAY: '600ms', GRACE: '2s', ONLINE_P95: 5000, OFFLINE_P95: 5000 },
  timed: ['connect_ms', 'online_ms', 'offline_ms'],
});

export const options = scenario.options;
export const setup = () => scenario.setup();
export const handleSummary = (data) => scenario.handleSummary(data);
export default (prepared) => scenario.run(presence, prepared);
