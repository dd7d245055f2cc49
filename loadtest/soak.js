// As `chat`, for long, with clients that lose their connections again and again and must recover what they missed.
//
// Own settings: RATE, messages per second of each client; LENGTH, characters per message; DROP_EVERY, the average time
// between two connection losses of a client.

import { room } from './lib/jobs/room.js';
import { Scenario } from './lib/scenario.js';

const scenario = new Scenario('soak', {
  defaults: { DURATION: '10m', RATE: 1, LENGTH: 64, DROP_EVERY: '30s' },
  short: { VUS: 2, CLIENTS: 3, DURATION: '3s', RATE: 5, DROP_EVERY: '2s' },
  timed: ['connect_ms', 'reconnect_ms', 'ack_ms', 'delivery_ms'],
});

export const options = scenario.options;
export const setup = () => scenario.setup();
export const handleSummary = (data) => scenario.handleSummary(data);
export default (prepared) => scenario.run(room, prepared);
