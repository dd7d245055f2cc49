// The settings of a run, from k6's environment (`-e NAME=value`). Each scenario has its own defaults; `SHORT=1` takes
// those of its short form, which ends within seconds and tests that the scenario works, not its speed.

// Short runs have loose limits for times, because they run on machines that do other work.
const SHORT_LIMITS = { CONNECT_P95: 5000, ACK_P95: 5000, DELIVERY_P95: 5000, RECONNECT_P95: 10_000 };

const COMMON = {
  // The base URL of gateways and auth service.
  BASE_URL: 'http://localhost:3000',
  // Namespace of the clients.
  NAMESPACE: '/chat',
  // Virtual users of k6, and the number of clients that each of them has.
  VUS: 10,
  CLIENTS: 10,
  // How long the scenario runs once all clients are connected (`connect-storm`: from its start).
  DURATION: '30s',
  // Clients that connect per second; 0 for all at once.
  CONNECT_RATE: 200,
  // How long to wait for missing connections, answers and messages.
  SETTLE: '15s',
  // Limits: 95 % within this many ms; at most this many errors and unwanted disconnects.
  CONNECT_P95: 1000,
  ACK_P95: 250,
  DELIVERY_P95: 250,
  RECONNECT_P95: 3000,
  ERRORS: 0,
  DISCONNECTS: 0,
  // For tokens made here (HS256). Without a secret, the run registers users and signs them in through /api.
  JWT_SECRET: '',
  JWT_ISSUER: '',
  JWT_AUDIENCE: '',
  // The format of the summary at the end: `table` or `json`.
  SUMMARY: 'table',
};

// All settings of a scenario, in camelCase, durations in ms.
export function read(environment, defaults, short) {
  const known = environment.SHORT ? { ...COMMON, ...defaults, ...SHORT_LIMITS, ...short } : { ...COMMON, ...defaults };
  const names = Object.keys(known);
  return Object.fromEntries(names.map((name) => [camelCase(name), convert(name, environment[name] || known[name], known[name])]));
}

function convert(name, value, like) {
  if (typeof like === 'number') {
    const number = Number(value);
    if (!(number >= 0)) throw new Error(`${name} must be a number, not ${value}`);
    return number;
  }
  return /^\d+(ms|s|m|h)$/.test(like) ? milliseconds(name, value) : value;
}

function milliseconds(name, text) {
  const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const sizes = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (unit === undefined) throw new Error(`${name} must be a time like 500ms, 30s, 10m or 1h, not ${text}`);
  return Number(number) * sizes[unit];
}

function camelCase(name) {
  return name.toLowerCase().replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}
