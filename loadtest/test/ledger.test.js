import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Ledger } from '../lib/ledger.js';

function exchanged() {
  const ledger = new Ledger(2);
  ledger.sent('a', 0);
  assert.equal(ledger.settled(), false);
  assert.equal(ledger.delivered(0, 'a', '1', 5), true);
  ledger.stored('a', 7);
  assert.equal(ledger.settled(), false);
  assert.equal(ledger.delivered(1, 'a', '1', 9), true);
  return ledger;
}

test('complete deliveries are clean', () => {
  const ledger = exchanged();
  assert.equal(ledger.settled(), true);
  assert.equal(ledger.missed(), 0);
  assert.deepEqual(ledger.counts, { sent: 1, stored: 1, delivered: 2, doubled: 0, reordered: 0, unknown: 0 });
});

test('a resent message has no age', () => {
  const ledger = new Ledger(1);
  ledger.sent('a', 1);
  assert.equal(ledger.age('a', 8), 7);
  ledger.resent('a');
  assert.equal(ledger.age('a', 8), undefined);
  assert.equal(ledger.age('never', 8), undefined);
});

test('a missing delivery and a missing acknowledgement are detected', () => {
  const ledger = exchanged();
  ledger.sent('b', 10);
  ledger.stored('b', 11);
  ledger.delivered(0, 'b', '2', 12);
  ledger.sent('c', 13);
  ledger.delivered(0, 'c', '3', 14);
  ledger.delivered(1, 'c', '3', 14);
  assert.equal(ledger.missed(), 1);
  ledger.delivered(1, 'b', '2', 15);
  assert.equal(ledger.missed(), 0);
  assert.equal(ledger.settled(), false, 'c was never acknowledged');
});

test('a second delivery is detected, at once and after the first was forgotten', () => {
  const ledger = exchanged();
  assert.equal(ledger.delivered(0, 'a', '1', 10), false);
  assert.equal(ledger.counts.doubled, 1);
  ledger.sent('b', 100_000);
  ledger.stored('b', 100_000);
  for (const member of [0, 1]) ledger.delivered(member, 'b', '2', 100_000);
  ledger.delivered(0, 'a', '1', 100_001);
  assert.equal(ledger.counts.doubled, 2);
});

test('a wrong order and an unknown message are detected', () => {
  const ledger = exchanged();
  for (const key of ['b', 'c']) ledger.sent(key, 10);
  ledger.delivered(0, 'c', '3', 11);
  ledger.delivered(0, 'b', '2', 12);
  ledger.delivered(1, 'x', '4', 13);
  const { reordered, unknown, doubled } = ledger.counts;
  assert.deepEqual({ reordered, unknown, doubled }, { reordered: 1, unknown: 1, doubled: 0 });
});
