// Engine.IO 4 and Socket.IO 5 on the wire, as text. No binary: no scenario sends or receives any.
//
// Both protocols begin a packet with a digit. An Engine.IO packet of type `4` carries a Socket.IO packet.

const ENGINE = ['open', 'close', 'ping', 'pong', 'message', 'upgrade', 'noop'];
const SOCKET = ['connect', 'disconnect', 'event', 'ack', 'connect_error'];

// Separates the packets of one HTTP body.
const SEPARATOR = '\x1e';

export const PONG = '3';
export const CLOSE = '1';

// An Engine.IO packet: `{type, text}`.
export function decode(frame) {
  const type = ENGINE[Number(frame[0])];
  if (type === undefined) throw new Error(`not an Engine.IO packet: ${shorten(frame)}`);
  return { type, text: frame.slice(1) };
}

// The Socket.IO packet in a message: `{type, namespace, id?, json}`. The JSON stays text: a load test receives most
// events without reading them.
export function decodeMessage(text) {
  const type = SOCKET[Number(text[0])];
  if (type === undefined) throw new Error(`not a Socket.IO packet of text: ${shorten(text)}`);
  let at = 1;
  let namespace = '/';
  if (text[at] === '/') {
    const comma = text.indexOf(',', at);
    const end = comma === -1 ? text.length : comma;
    namespace = text.slice(at, end);
    at = comma === -1 ? end : end + 1;
  }
  const digits = at;
  while (text[at] >= '0' && text[at] <= '9') at += 1;
  const packet = { type, namespace, json: text.slice(at) };
  if (at > digits) packet.id = Number(text.slice(digits, at));
  return packet;
}

// The name of an event, from the text of its array. Parses the rest only if the name contains an escape.
export function eventName(json) {
  const end = json.indexOf('"', 2);
  if (!json.startsWith('["') || end === -1) throw new Error(`not an event: ${shorten(json)}`);
  const name = json.slice(2, end);
  return name.includes('\\') ? JSON.parse(json)[0] : name;
}

// The frame of an event; with an `id`, the server will acknowledge it.
export function encodeEvent(namespace, args, id) {
  return `42${prefix(namespace)}${id ?? ''}${JSON.stringify(args)}`;
}

// The frame that asks to connect to a namespace.
export function encodeConnect(namespace, auth) {
  return `40${prefix(namespace)}${JSON.stringify(auth)}`;
}

// The frame that leaves a namespace for good.
export function encodeDisconnect(namespace) {
  return `41${prefix(namespace)}`;
}

// The packets of one HTTP body.
export function splitPayload(body) {
  return body.split(SEPARATOR);
}

// One HTTP body of some packets.
export function joinPayload(frames) {
  return frames.join(SEPARATOR);
}

function prefix(namespace) {
  return namespace === '/' ? '' : `${namespace},`;
}

function shorten(text) {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
