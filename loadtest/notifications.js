// A backend notifies users over the gateways' HTTP API; each user marks every second notification as read.
//
// Own settings: API_URL, one or more base URLs of `/v1`, separated by commas; API_KEY; RATE, notifications per second
// of each client; the limit POST_P95.

import { notifications } from './lib/jobs/notifications.js';
import { Scenario } from './lib/scenario.js';

const scenario = new Scenario('notifications', {
  defaults: { NAMESPACE: '/', RATE: 1, API_KEY: '', API_URL: '', POST_P95: 250 },
  short: { VUS: 2, CLIENTS: 3, DURATION: '2s', RATE: 5, POST_P95: 5000 },
  timed: ['connect_ms', 'post_ms', 'ack_ms', 'delivery_ms'],
});

export const options = scenario.options;
export const setup = () => scenario.setup();
export const handleSummary = (data) => scenario.handleSummary(data);
export default (prepared) => scenario.run(notifications, prepared);
