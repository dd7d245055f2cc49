import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as packet from '../lib/packet.js';

test('Engine.IO packets are distinguished by their digit', () => {
  assert.deepEqual(packet.decode('0{"sid":"x"}'), { type: 'open', text: '{"sid":"x"}' });
  assert.deepEqual(packet.decode('2'), { type: 'ping', text: '' });
  assert.deepEqual(packet.decode('42["a"]'), { type: 'message', text: '2["a"]' });
  for (const bad of ['', 'x', '7']) assert.throws(() => packet.decode(bad), /not an Engine.IO packet/);
});

test('socket packets with and without namespace, number and content', () => {
  const { decodeMessage } = packet;
  assert.deepEqual(decodeMessage('0{"sid":"x"}'), { type: 'connect', namespace: '/', json: '{"sid":"x"}' });
  assert.deepEqual(decodeMessage('1/chat,'), { type: 'disconnect', namespace: '/chat', json: '' });
  assert.deepEqual(decodeMessage('1/chat'), { type: 'disconnect', namespace: '/chat', json: '' });
  assert.deepEqual(decodeMessage('2/chat,12["a",1]'), { type: 'event', namespace: '/chat', json: '["a",1]', id: 12 });
  assert.deepEqual(decodeMessage('30[{"status":"ok"}]'), { type: 'ack', namespace: '/', json: '[{"status":"ok"}]', id: 0 });
  assert.equal(decodeMessage('4{"message":"invalid_token"}').type, 'connect_error');
});

test('binary packets are refused', () => {
  assert.throws(() => packet.decodeMessage('51-["a",{"_placeholder":true,"num":0}]'), /not a Socket.IO packet of text/);
});

test('the name of an event, without reading the rest', () => {
  assert.equal(packet.eventName('["new-message",{"content":"a\\"b"}]'), 'new-message');
  assert.equal(packet.eventName('["a\\"b",1]'), 'a"b');
  for (const bad of ['{}', '[1]', '["never ends']) assert.throws(() => packet.eventName(bad), /not an event/);
});

test('packets are written as by the stock client', () => {
  assert.equal(packet.encodeConnect('/', { token: 't' }), '40{"token":"t"}');
  assert.equal(packet.encodeConnect('/chat', { token: 't' }), '40/chat,{"token":"t"}');
  assert.equal(packet.encodeEvent('/', ['a', 1]), '42["a",1]');
  assert.equal(packet.encodeEvent('/chat', ['a', { b: 'c' }], 0), '42/chat,0["a",{"b":"c"}]');
  assert.equal(packet.encodeDisconnect('/chat'), '41/chat,');
});

test('a body of several packets is split as it was joined', () => {
  const frames = ['2', '42["a"]', '43/chat,7[]'];
  assert.deepEqual(packet.splitPayload(packet.joinPayload(frames)), frames);
});
