// A thundering herd: all clients connect at once, then all lose the connection at once and reconnect with the stock
// client's delays.
//
// Own settings: WAVES, the number of waves in DURATION (the first wave is the first connect).

import { storm } from './lib/jobs/storm.js';
import { Scenario } from './lib/scenario.js';

const scenario = new Scenario('connect-storm', {
  defaults: { CLIENTS: 100, DURATION: '20s', WAVES: 3, CONNECT_RATE: 0, CONNECT_P95: 5000, RECONNECT_P95: 6000 },
  short: { VUS: 2, CLIENTS: 20, DURATION: '3s', WAVES: 2 },
  timed: ['connect_ms', 'reconnect_ms'],
});

export const options = scenario.options;
export const setup = () => scenario.setup();
export const handleSummary = (data) => scenario.handleSummary(data);
export default (prepared) => scenario.run(storm, prepared);
