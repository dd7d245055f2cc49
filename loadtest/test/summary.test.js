import assert from 'node:assert/strict';
import { test } from 'node:test';

import { summarize, table } from '../lib/summary.js';

const trend = (values, thresholds) => ({ values, thresholds });

test('the table has the measurements and the failed thresholds', () => {
  const metrics = {
    connect_ms: trend({ count: 20, med: 2.25, 'p(95)': 12.6, 'p(99)': 14, max: 1500 }, { 'p(95)<10': { ok: false } }),
    ack_ms: trend({ count: 0, med: 0, 'p(95)': 0, 'p(99)': 0, max: 0 }, { 'p(95)<10': { ok: true } }),
    missed: trend({ count: 0 }, { 'count==0': { ok: true } }),
    errors: trend({ count: 1234 }, { 'count<=0': { ok: false } }),
  };
  const summary = summarize('chat', { vus: 2, clients: 10 }, { metrics, state: { testRunDurationMs: 30_400 } });
  assert.equal(summary.passed, false);
  assert.equal(table(summary), [
    'chat: FAILED (20 clients, 30 s)',
    '                     count    p50 ms    p95 ms    p99 ms    max ms',
    '  connect               20       2.3        13        14     1,500',
    '  missed 0, doubled 0, reordered 0, errors 1,234, disconnects 0, refused 0, recovered 0',
    '  threshold failed: connect_ms p(95)<10',
    '  threshold failed: errors count<=0',
    '',
  ].join('\n'));
});

test('a run without failed thresholds passed', () => {
  const metrics = { missed: trend({ count: 0 }, { 'count==0': { ok: true } }) };
  const summary = summarize('chat', { vus: 1, clients: 1 }, { metrics, state: { testRunDurationMs: 1000 } });
  assert.equal(summary.passed, true);
  assert.match(table(summary), /^chat: passed/);
});
