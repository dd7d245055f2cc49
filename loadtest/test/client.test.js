import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { Client } from '../lib/client.js';

// The server's side of each connection, with the frames that the client sent; and the client's own events.
let links;
let received;

function newClient(options = {}) {
  links = [];
  received = [];
  const transport = ({ frame, closed }) => {
    const link = { sent: [], open: true, frame, closed };
    links.push(link);
    return { send: (text) => link.sent.push(text), close: () => { link.open = false; } };
  };
  const client = new Client({ transport, token: 't', ...options });
  for (const name of [':connected', ':failed', ':disconnected', ':over', ':packet-error']) {
    client.on(name, (...args) => received.push([name, ...args]));
  }
  return client;
}

function connect(client) {
  if (client.state === 'idle') client.open();
  const link = links.at(-1);
  link.frame('0{"sid":"e","pingInterval":1000,"pingTimeout":500}');
  link.frame('40{"sid":"s"}');
  return link;
}

const names = () => received.map(([name]) => name);

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
});

test('sends its token, connects, answers pings', () => {
  const client = newClient();
  const link = connect(client);
  assert.equal(client.state, 'connected');
  assert.equal(client.id, 's');
  link.frame('2');
  assert.deepEqual(link.sent, ['40{"token":"t"}', '3']);
  assert.deepEqual(received, [[':connected', 0, 0]]);
});

test('an event reaches its listener with all arguments, and no other', () => {
  const client = newClient();
  const got = [];
  client.on('a', (...args) => got.push(args));
  const link = connect(client);
  link.frame('42["a",1,{"b":2}]');
  link.frame('42["other",3]');
  assert.deepEqual(got, [[1, { b: 2 }]]);
});

test('an acknowledgement finds its call', async () => {
  const client = newClient();
  const link = connect(client);
  const [first, second] = [client.call('a', 1), client.call('b', 2)];
  assert.deepEqual(link.sent.slice(1), ['420["a",1]', '421["b",2]']);
  link.frame('431["two"]');
  link.frame('430["one"]');
  assert.deepEqual(await Promise.all([first, second]), ['one', 'two']);
});

test('a call fails without a connection, at its loss, and after the time limit', async () => {
  const client = newClient({ ackLimit: 100 });
  await assert.rejects(client.call('a'), /not connected/);
  const link = connect(client);
  const late = client.call('a');
  mock.timers.tick(100);
  await assert.rejects(late, /no ack in time/);
  const lost = client.call('b');
  link.closed('gone');
  await assert.rejects(lost, /gone/);
});

test('a lost connection is reopened, and late packets of the old one are ignored', () => {
  const client = newClient();
  const old = connect(client);
  old.closed('gone');
  assert.equal(client.state, 'pausing');
  mock.timers.tick(1500);
  assert.equal(links.length, 2);
  old.frame('2');
  assert.deepEqual(old.sent, ['40{"token":"t"}']);
  connect(client);
  assert.deepEqual(names(), [':connected', ':disconnected', ':connected']);
});

test('pauses grow, up to a limit', () => {
  const client = newClient();
  client.open();
  for (let tries = 1; tries < 8; tries += 1) {
    const most = Math.min(1000 * 2 ** (tries - 1), 5000);
    links.at(-1).closed('refused');
    mock.timers.tick(most * 0.5 - 1);
    assert.equal(links.length, tries, 'not before half of the pause');
    mock.timers.tick(most + 1);
    assert.equal(links.length, tries + 1);
  }
  assert.deepEqual(new Set(names()), new Set([':failed']));
});

test('gives up on a handshake without an answer, and on a silent server', () => {
  const client = newClient({ connectLimit: 2000 });
  client.open();
  mock.timers.tick(2000);
  assert.deepEqual(received, [[':failed', 'timeout']]);
  assert.equal(links[0].open, false);
  mock.timers.tick(1500);
  connect(client);
  mock.timers.tick(1499);
  assert.equal(client.state, 'connected');
  mock.timers.tick(1);
  assert.deepEqual(received.at(-1), [':disconnected', 'ping timeout']);
});

test('CONNECT_ERROR and DISCONNECT are final', () => {
  for (const [frame, why] of [['44{"message":"invalid_token"}', 'invalid_token'], ['41', 'io server disconnect']]) {
    const client = newClient();
    connect(client).frame(frame);
    assert.equal(client.state, 'over');
    assert.equal(links[0].open, false);
    assert.deepEqual(received.at(-1), [':over', why]);
    mock.timers.tick(60_000);
    assert.equal(links.length, 1);
  }
});

test('leaving sends DISCONNECT and is final; dropping does neither', () => {
  const client = newClient();
  const first = connect(client);
  client.drop();
  assert.deepEqual(first.sent, ['40{"token":"t"}']);
  mock.timers.tick(1500);
  const second = connect(client);
  client.leave();
  assert.equal(second.sent.at(-1), '41');
  mock.timers.tick(60_000);
  assert.equal(links.length, 2);
});

test('packets start with the namespace, and a packet of another one is an error', () => {
  const client = newClient({ namespace: '/chat' });
  client.open();
  const [link] = links;
  link.frame('0{"sid":"e","pingInterval":1000,"pingTimeout":500}');
  link.frame('40/chat,{"sid":"s"}');
  client.emit('a', 1);
  assert.deepEqual(link.sent, ['40/chat,{"token":"t"}', '42/chat,["a",1]']);
  link.frame('42["a"]');
  assert.equal(received.at(-1)[0], ':packet-error');
});
