// What is counted and measured, and the limits it is judged by.

import { Counter, Rate, Trend } from 'k6/metrics';

export const metrics = {
  // Clients that got in at all, of those that should.
  connect_success: new Rate('connect_success'),
  // From the beginning of the successful attempt to the CONNECT packet's answer.
  connect_ms: new Trend('connect_ms', true),
  // From the end of a connection to the client being where it was.
  comeback_ms: new Trend('comeback_ms', true),
  // From an event to its acknowledgement.
  ack_ms: new Trend('ack_ms', true),
  // From the sending to each one that hears of it.
  delivery_ms: new Trend('delivery_ms', true),
  // From a user's opening of a connection to somebody's hearing of it; and from the end of the grace of one who left.
  online_ms: new Trend('online_ms', true),
  offline_ms: new Trend('offline_ms', true),
  // From a backend's request to its answer.
  post_ms: new Trend('post_ms', true),
  // Messages that a client got only by coming back.
  recovered: new Counter('recovered'),
  missed: new Counter('missed'),
  doubled: new Counter('doubled'),
  disordered: new Counter('disordered'),
  errors: new Counter('errors'),
  // Handshakes that came to nothing; the client tries again.
  refused: new Counter('refused'),
  // Connections that ended though nobody here wanted it.
  disconnects: new Counter('disconnects'),
  // Virtual users that came to the end of what they had to do.
  finished: new Counter('finished'),
};

// k6's thresholds. A time that was never measured would pass: `finished` fails then, because no virtual user finishes
// without having seen what it is there to see.
export function thresholds(settings, timed) {
  const never = ['missed', 'doubled', 'disordered'].map((name) => [name, ['count==0']]);
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

// Of each virtual user, so many errors and refusals are said in words.
const SAID = 3;
let said = 0;

function say(how, text) {
  said += 1;
  if (said <= SAID) how(text);
}

// Something went wrong that should not.
export function error(text) {
  metrics.errors.add(1);
  say(console.error, text);
}

// A handshake came to nothing. No threshold of its own: what follows from it has one.
export function refused(why) {
  metrics.refused.add(1);
  say(console.warn, `a handshake came to nothing: ${why}`);
}
