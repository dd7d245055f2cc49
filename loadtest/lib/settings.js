// The settings of a run, from k6's environment (`-e NAME=value`). Each scenario has its own defaults; `SHORT=1` takes those
// of its short form, which is over in seconds and says whether it works, not how fast.

// Times of answers are not judged by short runs: they are made on machines that do other things.
const PATIENT = { CONNECT_P95: 5000, ACK_P95: 5000, DELIVERY_P95: 5000, COMEBACK_P95: 10_000 };

const COMMON = {
  // Where everything is.
  BASE_URL: 'http://localhost:3000',
  // Namespace of the clients.
  NAMESPACE: '/chat',
  // Virtual users of k6, each with a group of clients of its own, and clients of each.
  VUS: 10,
  CLIENTS: 10,
  // How long it goes on once everybody is there.
  DURATION: '30s',
  // Clients that connect in a second.
  CONNECT_RATE: 200,
  // Until when what is missing may still come.
  SETTLE: '15s',
  // Limits: 95 % within so many ms, and so many of what should not be at all.
  CONNECT_P95: 1000,
  ACK_P95: 250,
  DELIVERY_P95: 250,
  COMEBACK_P95: 3000,
  ERRORS: 0,
  DISCONNECTS: 0,
  // Of tokens made here (HS256); without a secret, users are registered and signed in through /api.
  JWT_SECRET: '',
  JWT_ISSUER: '',
  JWT_AUDIENCE: '',
  // `table` or `json`: what is printed at the end.
  SUMMARY: 'table',
};

// All settings of a scenario, in camelCase, durations in ms.
export function read(environment, defaults, short) {
  const known = environment.SHORT ? { ...COMMON, ...defaults, ...PATIENT, ...short } : { ...COMMON, ...defaults };
  const names = Object.keys(known);
  return Object.fromEntries(names.map((name) => [camelCase(name), convert(name, environment[name] || known[name], known[name])]));
}

function convert(name, value, like) {
  if (typeof like === 'number') {
    const number = Number(value);
    if (!(number >= 0)) throw new Error(`${name}: a number, not ${value}`);
    return number;
  }
  return /^\d+(ms|s|m|h)$/.test(like) ? milliseconds(name, value) : value;
}

function milliseconds(name, text) {
  const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const sizes = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (unit === undefined) throw new Error(`${name}: a time like 500ms, 30s, 10m or 1h, not ${text}`);
  return Number(number) * sizes[unit];
}

function camelCase(name) {
  return name.toLowerCase().replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}
