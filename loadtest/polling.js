// As `chat`, over HTTP long-polling: each client has one GET open, and at most one POST.
//
// Own settings: RATE, messages per second of each client; LENGTH, characters per message.

import { room } from './lib/jobs/room.js';
import { Scenario } from './lib/scenario.js';

const scenario = new Scenario('polling', {
  defaults: { CLIENTS: 5, RATE: 0.5, LENGTH: 64, CONNECT_RATE: 50 },
  short: { VUS: 2, CLIENTS: 3, DURATION: '2s', RATE: 2 },
  timed: ['connect_ms', 'ack_ms', 'delivery_ms'],
  transport: 'polling',
});

export const options = scenario.options;
export const setup = () => scenario.setup();
export const handleSummary = (data) => scenario.handleSummary(data);
export default (prepared) => scenario.run(room, prepared);
