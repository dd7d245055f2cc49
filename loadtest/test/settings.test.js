import assert from 'node:assert/strict';
import { test } from 'node:test';

import { read } from '../lib/settings.js';

test('the environment overrides the scenario, which overrides the common defaults', () => {
  const settings = read({ VUS: '3', DURATION: '2m' }, { CLIENTS: 7, DURATION: '5s' }, {});
  assert.deepEqual([settings.vus, settings.clients, settings.duration, settings.connectRate], [3, 7, 120_000, 200]);
});

test('the short form has its own defaults, and loose limits', () => {
  const settings = read({ SHORT: '1', ACK_P95: '9' }, { CLIENTS: 7 }, { CLIENTS: 2 });
  assert.deepEqual([settings.clients, settings.ackP95, settings.deliveryP95], [2, 9, 5000]);
});

test('an invalid value is named', () => {
  assert.throws(() => read({ VUS: 'many' }, {}, {}), /VUS must be a number/);
  assert.throws(() => read({ DURATION: '30' }, {}, {}), /DURATION must be a time/);
});
