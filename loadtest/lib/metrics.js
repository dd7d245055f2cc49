// The metrics of a run, and the thresholds that judge it.

import { Counter, Rate, Trend } from 'k6/metrics';

export const metrics = {
  // The share of clients that connected, and joined if the scenario has rooms.
  connect_success: new Rate('connect_success'),
  // From the start of the successful attempt to the answer to its CONNECT packet.
  connect_ms: new Trend('connect_ms', true),
  // From the loss of a connection until the client is back: connected, or in its room again.
  reconnect_ms: new Trend('reconnect_ms', true),
  // From an event to its acknowledgement.
  ack_ms: new Trend('ack_ms', true),
  // From the sending of a message to each delivery.
  delivery_ms: new Trend('delivery_ms', true),
  // From a user's opening of a connection, or from the end of the grace after a user left, to the announcement.
  online_ms: new Trend('online_ms', true),
  offline_ms: new Trend('offline_ms', true),
  // From a backend's request to its answer.
  post_ms: new Trend('post_ms', true),
  // Messages that a client received only by rejoining.
  recovered: new Counter('recovered'),
  missed: new Counter('missed'),
  doubled: new Counter('doubled'),
  reordered: new Counter('reordered'),
  errors: new Counter('errors'),
  // Failed handshakes; the client retries.
  refused: new Counter('refused'),
  // Connections that ended, but not because of the load test.
  disconnects: new Counter('disconnects'),
  // Virtual users that completed their job.
  finished: new Counter('finished'),
};

// k6's thresholds. A time that was never measured passes. `finished` is there to fail then: it counts a virtual user
// only if its job returned true.
export function thresholds(settings, timed) {
  const never = ['missed', 'doubled', 'reordered'].map((name) => [name, ['count==0']]);
  const times = timed.map((name) => [name, [`p(95)<${settings[name.replace('_ms', 'P95')]}`]]);
  return {
    connect_success: ['rate==1'],
    ...Object.fromEntries(times),
    ...Object.fromEntries(never),
    errors: [`count<=${settings.errors}`],
    disconnects: [`count<=${settings.disconnects}`],
    finished: [`count==${settings.vus}`],
  };
}

// How many errors and refusals each virtual user logs; all of them are counted.
const LOGGED = 3;
let logged = 0;

function log(write, text) {
  logged += 1;
  if (logged <= LOGGED) write(text);
}

// Counts an error, and logs the first few (`LOGGED`).
export function error(text) {
  metrics.errors.add(1);
  log(console.error, text);
}

// Counts a failed handshake, and logs it. It has no threshold: its consequences have.
export function refused(why) {
  metrics.refused.add(1);
  log(console.warn, `handshake failed: ${why}`);
}
