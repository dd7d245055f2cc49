// As `chat`, over HTTP long-polling: two requests stand open for each client.
//
// Own settings: RATE messages a second of each client, of LENGTH characters.

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
