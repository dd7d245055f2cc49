// The summary that is printed at the end of a scenario: a short table, or one line of JSON.

const TIMES = [
  ['connect_ms', 'connect'],
  ['reconnect_ms', 'reconnect'],
  ['online_ms', 'online'],
  ['offline_ms', 'offline'],
  ['post_ms', 'posted'],
  ['ack_ms', 'acknowledged'],
  ['delivery_ms', 'delivered'],
];
const COUNTS = ['missed', 'doubled', 'reordered', 'errors', 'disconnects', 'refused', 'recovered'];

// Makes the summary of the run from the data that k6 passes to `handleSummary`.
export function summarize(scenario, settings, { metrics, state }) {
  const values = (name) => metrics[name]?.values;
  const times = TIMES.filter(([name]) => values(name)?.count > 0).map(([name, label]) => {
    const { count, med, max, 'p(95)': p95, 'p(99)': p99 } = values(name);
    return { name, label, count, p50: med, p95, p99, max };
  });
  const failed = Object.entries(metrics).flatMap(([name, { thresholds = {} }]) => (
    Object.entries(thresholds).filter(([, { ok }]) => !ok).map(([limit]) => `${name} ${limit}`)
  ));
  return {
    scenario,
    passed: failed.length === 0,
    failed,
    seconds: state.testRunDurationMs / 1000,
    clients: settings.vus * settings.clients,
    times,
    counts: Object.fromEntries(COUNTS.map((name) => [name, values(name)?.count ?? 0])),
  };
}

// The summary as a table.
export function table({ scenario, passed, failed, seconds, clients, times, counts }) {
  // k6 has no `toLocaleString`.
  const number = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
  const ms = (value) => (value < 10 ? value.toFixed(1) : number(value));
  const verdict = passed ? 'passed' : 'FAILED';
  const row = (label, ...cells) => `  ${label.padEnd(14)}${cells.map((cell) => cell.padStart(10)).join('')}`;
  const lines = [
    `${scenario}: ${verdict} (${number(clients)} clients, ${number(seconds)} s)`,
    row('', 'count', 'p50 ms', 'p95 ms', 'p99 ms', 'max ms'),
    ...times.map(({ label, count, p50, p95, p99, max }) => row(label, number(count), ...[p50, p95, p99, max].map(ms))),
    `  ${Object.entries(counts).map(([name, count]) => `${name} ${number(count)}`).join(', ')}`,
    ...failed.map((limit) => `  threshold failed: ${limit}`),
  ];
  return `${lines.join('\n')}\n`;
}
