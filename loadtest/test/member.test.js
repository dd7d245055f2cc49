import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Ledger } from '../lib/ledger.js';
import { Member } from '../lib/member.js';

// A member whose client gives the test's answers, and records of all its calls and reports.
function enter(answers) {
  const listeners = {};
  const asked = [];
  const reported = [];
  const client = {
    state: 'connected',
    on: (name, listener) => { listeners[name] = listener; },
    call: async (event, payload) => {
      asked.push([event, payload]);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const ledger = new Ledger(1);
  const report = (...what) => reported.push(what);
  const member = new Member({ client, room: 'r', index: 0, ledger, now: () => 0, report });
  const hear = (name, ...args) => listeners[name](...args);
  const lose = () => { client.state = 'pausing'; hear(':disconnected'); };
  const back = () => { client.state = 'connected'; return member.join(); };
  return { client, member, ledger, asked, reported, hear, lose, back };
}

const JOINED = { status: 'ok', position: 'p' };
const message = (id, key) => ({ id, room: 'r', content: `${key} ...` });

test('joins without a past, and again with what it saw last', async () => {
  const { member, asked, hear, lose, back, reported } = enter([JOINED, { ...JOINED, recovered: true }, { ...JOINED, recovered: true }]);
  await member.join();
  lose();
  await back();
  hear('new-message', message('7', '0-0'));
  lose();
  await back();
  assert.deepEqual(asked.map(([, payload]) => payload.since), [undefined, 'p', '7']);
  assert.deepEqual(reported.filter(([what]) => what === 'error'), []);
});

test('coming back without being recovered is an error', async () => {
  const { member, lose, back, reported } = enter([JOINED, { ...JOINED, recovered: false }]);
  await member.join();
  lose();
  await back();
  assert.deepEqual(reported.filter(([what]) => what === 'error'), [['error', 'came back, not recovered']]);
});

test('a message whose answer was lost is sent again with the same key, and has no time', async () => {
  const { member, lose, back, asked, reported, ledger } = enter([
    JOINED,
    new Error('gone'),
    { ...JOINED, recovered: true },
    { status: 'ok', messageId: '1' },
  ]);
  await member.join();
  const sending = member.send(20);
  lose();
  await back();
  await sending;
  const keys = asked.filter(([event]) => event === 'send-message').map(([, { clientId }]) => clientId);
  assert.deepEqual(keys, ['0-0', '0-0']);
  assert.deepEqual(reported.at(-1), ['ack', undefined]);
  assert.equal(ledger.counts.stored, 1);
});

test('what it missed is told from what it heard, and the past is nobody\'s', async () => {
  const { member, hear, ledger, reported } = enter([JOINED, { status: 'ok', messageId: '1' }, { status: 'ok', messageId: '2' }]);
  hear('recent-messages', [message('0', 'of-others')], { room: 'r' });
  await member.join();
  await member.send(10);
  await member.send(10);
  hear('recent-messages', [message('1', '0-0')], { room: 'r' });
  hear('new-message', message('2', '0-1'));
  assert.deepEqual(reported.map(([what]) => what), ['joined', 'ack', 'ack', 'recovered', 'delivery']);
  assert.equal(ledger.settled(), true);
  assert.equal(ledger.counts.unknown, 0);
});

test('a refusal and an answer that never comes are errors; a lost connection is none', async () => {
  const refused = enter([{ status: 'error', code: 'forbidden', message: 'no' }]);
  await refused.member.join();
  assert.equal(refused.member.joined, false);
  const silent = enter([new Error('no ack in time')]);
  await silent.member.join();
  const lost = enter([new Error('gone')]);
  await lost.member.join();
  const errors = [refused, silent, lost].map(({ reported }) => reported.map(([, text]) => text));
  assert.deepEqual(errors, [['join-room: forbidden no'], ['join-room: no ack'], []]);
});
