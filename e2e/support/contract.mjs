// Checks what stock clients send and receive against the AsyncAPI document. A difference fails the test that runs: either
// the document is wrong, or the gateway.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import Ajv from "ajv";

import { ROOT } from "./xtask.mjs";

export const DOCUMENT = JSON.parse(readFileSync(join(ROOT, "docs/asyncapi.json"), "utf8"));

/** The stock client's packet of a binary part, as its listeners get it, is an object to a schema. */
const OPTIONS = { strict: false, validateSchema: false };

/** A copy of the document whose objects have no other fields than those that are described. */
function closed(value) {
  if (Array.isArray(value)) return value.map(closed);
  if (value === null || typeof value !== "object") return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, field]) => [name, closed(field)]));
  return copy.type === "object" && copy.properties ? { additionalProperties: false, ...copy } : copy;
}

const open = new Ajv(OPTIONS).addSchema(DOCUMENT, "document");
const strict = new Ajv(OPTIONS).addSchema(closed(DOCUMENT), "document");
const compiled = new Map();

/** A function that checks the arguments of a message; `isOpen` allows fields that are not described. */
export function checker(message, isOpen = false) {
  const key = `${isOpen} ${message}`;
  if (!compiled.has(key)) {
    const $ref = `document#/components/messages/${message}/payload`;
    compiled.set(key, (isOpen ? open : strict).compile({ $ref }));
  }
  return compiled.get(key);
}

/** A function that checks one of the document's schemas. */
export function schema(name) {
  const key = `schema ${name}`;
  if (!compiled.has(key)) compiled.set(key, strict.compile({ $ref: `document#/components/schemas/${name}` }));
  return compiled.get(key);
}

const CHANNELS = { "/": "main", "/chat": "chat" };
/** Entries of a list that are checked: the roster of a thousand sockets reaches each of them, in one process. */
const CHECKED = 101;
const key = (name) => name.replaceAll(":", ".");

/** The operation of an event in a namespace; nothing if there is none. */
function operation(namespace, direction, name) {
  return DOCUMENT.operations[`${CHANNELS[namespace] ?? "feed"}.${direction}.${key(name)}`];
}

/** Events of the application in this process's tests. */
const own = new Set(["data:updated"]);

/** Names of events that a test sends or answers itself, so that they are not checked. */
export function ownEvents(...names) {
  for (const name of names) own.add(name);
}

/** Throws where the running test sees it, and not in the client. */
function fail(text) {
  setImmediate(() => {
    throw new Error(`not as in docs/asyncapi.json: ${text}`);
  });
}

const shown = (value) => JSON.stringify(value)?.slice(0, 300);

function check(what, validate, args) {
  if (!validate(args)) fail(`${what} ${shown(args)}: ${shown(validate.errors.slice(0, 3))}`);
}

/** Checks an event that a socket received. */
export function received(socket, name, args) {
  if (own.has(name)) return;
  if (!operation(socket.nsp, "server", name)) return fail(`there is no event ${name} in ${socket.nsp}`);
  const message = `server.${key(name)}`;
  const { items } = DOCUMENT.components.messages[message].payload;
  // A client that asked for recovery gets its offset after the arguments.
  const hasOffset = socket._pid !== undefined && args.length === items.length + 1 && typeof args.at(-1) === "string";
  const described = hasOffset ? args.slice(0, -1) : args;
  if (described.length !== items.length) fail(`${name} has ${described.length} arguments`);
  check(name, checker(message), described.map((one) => (Array.isArray(one) ? one.slice(0, CHECKED) : one)));
}

/** Checks the acknowledgement of an event, and, if it was successful, what was sent. */
function acknowledged(namespace, name, sent, answers) {
  if (own.has(name)) return;
  const of = operation(namespace, "client", name);
  const [answer] = answers;
  if (name !== "echo" && answer?.status === "error") {
    check(`error of ${name}`, checker("ack.error"), answers);
    const codes = of ? of["x-errors"] : ["unknown_event", "rate_limited", "payload_too_large", "validation_failed"];
    if (!codes.includes(answer.code)) fail(`${name} is answered with ${answer.code}`);
  } else if (!of) {
    fail(`${name} is acknowledged in ${namespace}`);
  } else {
    check(`acknowledgement of ${name}`, checker(`ack.${key(name)}`), answers);
    check(`${name} was accepted, but is not`, checker(`client.${key(name)}`, true), JSON.parse(JSON.stringify(sent)));
  }
}

/** Checks all that a socket receives from now on. */
export function watch(socket) {
  socket.onAny((name, ...args) => received(socket, name, args));
  const emit = socket.emit;
  socket.emit = function (name, ...args) {
    const answer = args.at(-1);
    // The socket's own events, such as `connect`, are emitted by the same function in old versions.
    if (typeof answer !== "function") return emit.call(this, name, ...args);
    const mayFail = this.flags?.timeout !== undefined || this._opts?.ackTimeout !== undefined;
    const sent = args.slice(0, -1);
    return emit.call(this, name, ...sent, (...answers) => {
      const [error] = mayFail ? answers : [null];
      if (!error) acknowledged(this.nsp, name, sent, mayFail ? answers.slice(1) : answers);
      answer(...answers);
    });
  };
}
