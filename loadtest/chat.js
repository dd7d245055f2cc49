// Rooms: every member sends, and every member must receive every message once, in one order.
//
// Own settings: RATE, messages per second of each client; LENGTH, characters per message.

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
