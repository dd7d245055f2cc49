import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Ledger } from '../lib/ledger.js';
import { Member } from '../lib/member.js';

// A member whose client gives the test's answers, and records of all its calls and reports.
function enter(answers) {
  const listeners = {};
  const requests = [];
  const reported = [];
  const client = {
    state: 'connected',
    on: (name, listener) => { listeners[name] = listener; },
    call: async (event, payload) => {
      requests.push([event, payload]);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const ledger = new Ledger(1);
  const report = (...what) => reported.push(what);
  const member = new Member({ client, room: 'r', index: 0, ledger, now: () => 0, report });
  const receive = (name, ...args) => listeners[name](...args);
  const lose = () => { client.state = 'pausing'; receive(':disconnected'); };
  const back = () => { client.state = 'connected'; return member.join(); };
  return { client, member, ledger, requests, reported, receive, lose, back };
}

const JOINED = { status: 'ok', position: 'p' };
const message = (id, key) => ({ id, room: 'r', content: `${key} ...` });

test('joins without `since`, and rejoins with the last message', async () => {
  const { member, requests, receive, lose, back, reported } = enter([JOINED, { ...JOINED, recovered: true }, { ...JOINED, recovered: true }]);
  await member.join();
  lose();
  await back();
  receive('new-message', message('7', '0-0'));
  lose();
  await back();
  assert.deepEqual(requests.map(([, payload]) => payload.since), [undefined, 'p', '7']);
  assert.deepEqual(reported.filter(([what]) => what === 'error'), []);
});

test('rejoining without being recovered is an error', async () => {
  const { member, lose, back, reported } = enter([JOINED, { ...JOINED, recovered: false }]);
  await member.join();
  lose();
  await back();
  assert.deepEqual(reported.filter(([what]) => what === 'error'), [['error', 'rejoined, not recovered']]);
});

test('a message without an answer is resent with the same key, and has no time', async () => {
  const { member, lose, back, requests, reported, ledger } = enter([
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
  const keys = requests.filter(([event]) => event === 'send-message').map(([, { clientId }]) => clientId);
  assert.deepEqual(keys, ['0-0', '0-0']);
  assert.deepEqual(reported.at(-1), ['ack', undefined]);
  assert.equal(ledger.counts.stored, 1);
});

test('recovered and live messages are counted apart, and messages before the join are not', async () => {
  const { member, receive, ledger, reported } = enter([JOINED, { status: 'ok', messageId: '1' }, { status: 'ok', messageId: '2' }]);
  receive('recent-messages', [message('0', 'of-others')], { room: 'r' });
  await member.join();
  await member.send(10);
  await member.send(10);
  receive('recent-messages', [message('1', '0-0')], { room: 'r' });
  receive('new-message', message('2', '0-1'));
  assert.deepEqual(reported.map(([what]) => what), ['joined', 'ack', 'ack', 'recovered', 'delivery']);
  assert.equal(ledger.settled(), true);
  assert.equal(ledger.counts.unknown, 0);
});

test('a refusal and a missing answer are errors; a lost connection is not', async () => {
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
