// Queries to the Prometheus of a cluster.

import { PATIENCE_MS } from "./until.mjs";

/** Queries the HTTP API; returns the data of the answer. */
async function ask(cluster, path) {
  const answer = await fetch(`${cluster.prometheus}/api/v1/${path}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const { status, data, error } = await answer.json();
  if (status !== "success") throw new Error(`Prometheus: ${error} (${decodeURIComponent(path)})`);
  return data;
}

/** The current answer to a query: its numbers, without infinities and "not a number". */
export async function numbers(cluster, query) {
  const { result } = await ask(cluster, `query?query=${encodeURIComponent(query)}`);
  return result.map(({ value }) => Number(value[1])).filter(Number.isFinite);
}

/** The alerts that fire or are about to: `{name, state, labels}`. */
export async function alerts(cluster) {
  const { alerts } = await ask(cluster, "alerts");
  return alerts.map(({ labels, state }) => ({ name: labels.alertname, state, labels }));
}
