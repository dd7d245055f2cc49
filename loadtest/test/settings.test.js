import assert from 'node:assert/strict';
import { test } from 'node:test';

import { read } from '../lib/settings.js';

test('the environment stands over the scenario, and that over what all have', () => {
  const settings = read({ VUS: '3', DURATION: '2m' }, { CLIENTS: 7, DURATION: '5s' }, {});
  assert.deepEqual([settings.vus, settings.clients, settings.duration, settings.connectRate], [3, 7, 120_000, 200]);
});

test('the short form has its own defaults, and patience', () => {
  const settings = read({ SHORT: '1', ACK_P95: '9' }, { CLIENTS: 7 }, { CLIENTS: 2 });
  assert.deepEqual([settings.clients, settings.ackP95, settings.deliveryP95], [2, 9, 5000]);
});

test('what cannot be read is named', () => {
  assert.throws(() => read({ VUS: 'many' }, {}, {}), /VUS: a number/);
  assert.throws(() => read({ DURATION: '30' }, {}, {}), /DURATION: a time/);
});
