// Rooms: everybody sends, everybody has to get everything, once and in one order.
//
// Own settings: RATE messages a second of each client, of LENGTH characters.

import { room } from './lib/jobs/room.js';
import { Scenario } from './lib/scenario.js';

const scenario = new Scenario('chat', {
  defaults: { RATE: 1, LENGTH: 64 },
  short: { VUS: 2, CLIENTS: 3, DURATION: '2s', RATE: 5 },
  timed: ['connect_ms', 'ack_ms', 'delivery_ms'],
});

export const options = scenario.options;
export const setup = () => scenario.setup();
export const handleSummary = (data) => scenario.handleSummary(data);
export default (prepared) => scenario.run(room, prepared);
