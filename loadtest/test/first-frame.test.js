import assert from 'node:assert/strict';
import { test } from 'node:test';

import { seeingTheFirstFrame } from '../lib/transport/first-frame.js';

// WebSockets that do nothing by themselves, and everything that a client receives from them.
function begin(patience) {
  const sockets = [];
  const received = [];
  const transports = seeingTheFirstFrame((handlers) => {
    const socket = { ...handlers, sent: [], isClosed: false };
    sockets.push(socket);
    return { send: (text) => socket.sent.push(text), close: () => { socket.isClosed = true; } };
  }, patience);
  const transport = transports({ frame: (text) => received.push(text), closed: (why) => received.push(`closed: ${why}`) });
  return { sockets, received, transport };
}

const passed = (condition) => new Promise((resolve) => {
  const look = () => (condition() ? resolve() : setTimeout(look, 1));
  look();
});

test('a connection that begins with the open packet is kept', async () => {
  const { sockets, received, transport } = begin(1);
  sockets[0].opened();
  sockets[0].frame('0{}');
  sockets[0].frame('2');
  transport.send('3');
  let later = false;
  setTimeout(() => { later = true; }, 20);
  await passed(() => later);
  sockets[0].closed('over');
  assert.equal(sockets.length, 1);
  assert.deepEqual(received, ['0{}', '2', 'closed: over']);
  assert.deepEqual(sockets[0].sent, ['3']);
});

test('a lost open packet opens another WebSocket, once', () => {
  const { sockets, received, transport } = begin(1000);
  sockets[0].opened();
  sockets[0].frame('2');
  assert.equal(sockets.length, 2);
  assert.equal(sockets[0].isClosed, true);
  sockets[0].frame('0{}');
  sockets[0].closed('late');
  sockets[1].opened();
  sockets[1].frame('2');
  transport.send('3');
  assert.equal(sockets.length, 2);
  assert.deepEqual(received, ['2']);
  assert.deepEqual([sockets[0].sent, sockets[1].sent], [[], ['3']]);
});

test('silence after the opening does, too', async () => {
  const { sockets, received } = begin(1);
  sockets[0].opened();
  await passed(() => sockets.length === 2);
  assert.equal(sockets[0].isClosed, true);
  sockets[1].frame('0{}');
  assert.deepEqual(received, ['0{}']);
});

test('a closed client opens nothing and receives nothing', async () => {
  const { sockets, received, transport } = begin(1);
  sockets[0].opened();
  transport.close();
  let later = false;
  setTimeout(() => { later = true; }, 20);
  await passed(() => later);
  sockets[0].closed('1000');
  assert.equal(sockets.length, 1);
  assert.equal(sockets[0].isClosed, true);
  assert.deepEqual(received, []);
});
