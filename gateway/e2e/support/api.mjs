// The HTTP API for backends, at a node's internal address.

/** Calls `/v1` at one node; `{status, body, headers}`. */
export class Api {
  constructor(cluster, node = 0, key = cluster.apiKey) {
    this.base = `${cluster.gateways[node].internal}/v1`;
    this.key = key;
  }

  get = (path) => this.call("GET", path);
  post = (path, body, headers) => this.call("POST", path, body, headers);
  delete = (path) => this.call("DELETE", path);

  async call(method, path, body, headers = {}) {
    const answer = await fetch(this.base + path, {
      method,
      headers: {
        ...(this.key && { authorization: `Bearer ${this.key}` }),
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
    const text = await answer.text();
    return { status: answer.status, body: text && JSON.parse(text), headers: answer.headers };
  }
}
