// Feeds as their readers see them.

import { connect } from "./clients.mjs";

export const PRODUCTS = "/ws/v1/productos";
export const GREETING = "Updates Notifications WS: Productos - Tienda API NestJS";

/** A reader of a feed that has been greeted. */
export async function reading(url, options = {}) {
  const reader = connect(url, { namespace: PRODUCTS, ...options });
  await reader.waitFor("connection");
  return reader;
}

/** All events that a reader received, its greeting too: names and first arguments, in order. */
export function receivedBy(reader) {
  return reader.events.map(({ name, args }) => [name, args[0]]);
}
