// The HTTP API for backends, at a node's internal address.

import { ownEvents } from "./contract.mjs";
import { PATIENCE_MS } from "./until.mjs";

/** Calls `/v1` at one node; `{status, body, headers}`. */
export class Api {
  constructor(cluster, node = 0, key = cluster.apiKey) {
    this.base = `${cluster.gateways[node].internal}/v1`;
    this.key = key;
  }

  get = (path, headers) => this.call("GET", path, undefined, headers);
  post = (path, body, headers) => this.call("POST", path, body, headers);
  delete = (path) => this.call("DELETE", path);

  /** The body of an answer that must be 200. */
  async read(path) {
    const { status, body } = await this.get(path);
    // No assertion: `until` would retry it, but another status must fail at once.
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  async call(method, path, body, headers = {}) {
    // The test's own event, whatever its name.
    if (path === "/emit" && body?.event) ownEvents(body.event);
    const answer = await fetch(this.base + path, {
      method,
      headers: {
        ...(this.key && { authorization: `Bearer ${this.key}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const text = await answer.text();
    return { status: answer.status, body: text && JSON.parse(text), headers: answer.headers };
  }
}
