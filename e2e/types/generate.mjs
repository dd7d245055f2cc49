// Writes the TypeScript types in `deploy/types` from the documents in `docs`:
//
//   npm run --prefix e2e types

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { compile } from "json-schema-to-typescript";
import openapi, { astToString } from "openapi-typescript";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HEADER = (from) => `// Generated from docs/${from} by \`npm run --prefix e2e types\`: do not edit.\n\n`;

const read = async (name) => JSON.parse(await readFile(join(ROOT, "docs", name), "utf8"));

/** A schema as the generator wants it: its own references, no other name for anything. */
function adapted(value) {
  if (Array.isArray(value)) return value.map(adapted);
  if (value === null || typeof value !== "object") return value;
  const { $ref, "x-typescript": tsType, ...rest } = value;
  if ($ref) return { $ref: $ref.replace("/components/schemas/", "/definitions/") };
  const copy = Object.fromEntries(Object.entries(rest).map(([key, field]) => [key, adapted(field)]));
  if (tsType) return { description: rest.description, tsType };
  return copy;
}

/** Any JSON is `unknown`, not an object. */
function anything(properties) {
  for (const schema of Object.values(properties ?? {})) {
    if (Object.keys(schema).every((key) => key === "description")) schema.tsType = "unknown";
  }
}

function visit(value) {
  if (value === null || typeof value !== "object") return;
  if (!Array.isArray(value)) {
    anything(value.properties);
    if (value.items) anything({ items: value.items });
  }
  Object.values(value).forEach(visit);
}

/** The types of the arguments of a message. */
function argumentsOf(document, message) {
  const { items, minItems } = document.components.messages[message].payload;
  if (!items) return { types: ["...args: unknown[]"], rest: true };
  const names = ["data", "about"];
  const types = items.map(({ $ref }, index) => {
    return `${names[index]}${index < minItems ? "" : "?"}: ${$ref.split("/").at(-1)}`;
  });
  return { types, rest: false };
}

/** The interface of a channel's events, as `Socket` of socket.io-client wants it. */
function events(document, name, description, channel, direction) {
  const lines = [`/** ${description} */`, `export interface ${name} {`];
  for (const [key, { summary }] of Object.entries(document.operations)) {
    const [prefix, ...message] = key.split(".");
    if (prefix !== channel || message[0] !== direction) continue;
    const id = message.join(".");
    const event = JSON.stringify(document.components.messages[id].name);
    const { types, rest } = argumentsOf(document, id);
    lines.push(`  /** ${summary}. */`);
    if (direction === "server") {
      lines.push(`  ${event}: (${types.join(", ")}) => void;`);
      continue;
    }
    const answer = document.components.messages[id.replace("client", "ack")].payload.items?.[0].$ref.split("/").at(-1);
    if (rest) lines.push(`  ${event}: (...args: any[]) => void;`);
    else lines.push(`  ${event}: ${types[0].includes("?:") ? "Emit" : "EmitOne"}<${types[0].split(": ")[1]}, ${answer}>;`);
  }
  return [...lines, "}", ""].join("\n");
}

const SOCKETS = `
/** An event with one argument, with or without an acknowledgement. */
type EmitOne<D, A> = (...args: [data: D] | [data: D, ack: (answer: A | ErrorAck) => void]) => void;
/** An event whose argument may be omitted. */
type Emit<D, A> = (...args: [data?: D] | [data: D, ack: (answer: A | ErrorAck) => void] | [ack: (answer: A | ErrorAck) => void]) => void;
/** The arguments of an event without the acknowledgement. */
type Sent<F extends (...args: any[]) => void> = Parameters<F> extends infer P
  ? P extends [...infer D, (...args: any[]) => any] ? D : never : never;
/** The answer of an event. */
type Answer<F extends (...args: any[]) => void> = Parameters<F> extends infer P
  ? P extends [...any[], (answer: infer A) => any] ? A : never : never;
type Anything = (...args: any[]) => void;
interface Asks<Emit> {
  emitWithAck<E extends keyof Emit>(
    event: E,
    ...args: Emit[E] extends Anything ? Sent<Emit[E]> : never
  ): Promise<Emit[E] extends Anything ? Answer<Emit[E]> : never>;
}
interface AsksInTime<Emit> extends Asks<Emit> {
  emit<E extends keyof Emit>(
    event: E,
    ...args: Emit[E] extends Anything
      ? [...Sent<Emit[E]>, ack: (error: Error | null, answer: Answer<Emit[E]>) => void]
      : never
  ): unknown;
}

/**
 * A socket in \`/\` or \`/chat\`, with the types of \`emitWithAck\` and \`timeout\`, which
 * \`Socket<ServerToClientEvents, ClientToServerEvents>\` does not have. \`Listen\` and \`Own\` are events of the
 * application.
 */
export type JackfieldSocket<Listen = {}, Own = {}> = Asks<ClientToServerEvents & Own> & {
  timeout(ms: number): AsksInTime<ClientToServerEvents & Own>;
} & Socket<ServerToClientEvents & Listen, ClientToServerEvents & Own>;

/** A socket of a feed. */
export type JackfieldFeed = Asks<ClientToFeedEvents> & Socket<FeedToClientEvents, ClientToFeedEvents>;
`;

/** The generator says of each type that it is in the list of all types. */
const MENTIONS = /(?<=\n)(\/\*\*\n \* This interface was referenced by `Unused`.*\n \* via .*\n \*\/\n| \*\n \* This interface was referenced by `Unused`.*\n \* via .*\n)/g;

/** The types of all events, and of hooks. */
export async function eventTypes() {
  const document = await read("asyncapi.json");
  const definitions = adapted(document.components.schemas);
  visit(definitions);
  const options = {
    additionalProperties: false,
    bannerComment: "",
    ignoreMinAndMaxItems: true,
    unreachableDefinitions: true,
    style: { printWidth: 120 },
  };
  const types = await compile({ title: "Unused", definitions }, "Unused", options);
  return [
    HEADER("asyncapi.json"),
    'import type { Socket } from "socket.io-client";\n\n',
    types.replace(MENTIONS, "").replace(/export interface Unused \{[^}]*\}\n/, ""),
    "\n",
    events(document, "ServerToClientEvents", "Events that a client receives in `/`. In `/chat` there is neither presence nor roster.", "main", "server"),
    "\n",
    events(document, "ClientToServerEvents", "Events that a client sends in `/`. In `/chat` there is neither presence nor roster.", "main", "client"),
    "\n",
    events(document, "FeedToClientEvents", "Events that a reader of a feed receives", "feed", "server"),
    "\n",
    events(document, "ClientToFeedEvents", "Events that a reader of a feed sends", "feed", "client"),
    SOCKETS,
  ].join("");
}

/** The types of the HTTP interface for backends. */
export async function apiTypes() {
  return HEADER("openapi.json") + astToString(await openapi(await read("openapi.json")));
}

/** Every file, by its path. */
export const FILES = {
  "deploy/types/events.d.ts": eventTypes,
  "deploy/types/api.d.ts": apiTypes,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, make] of Object.entries(FILES)) await writeFile(join(ROOT, file), await make());
}
