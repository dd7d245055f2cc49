// A collector that accepts traces over OTLP (HTTP, protobuf) and keeps their spans.

import { createServer } from "node:http";
import protobuf from "protobufjs";

import { NotYet, until } from "./until.mjs";

/** The fields that we use, with their numbers in OpenTelemetry's protocol. */
const { root } = protobuf.Root.fromJSON({
  nested: {
    Value: message({
      stringValue: [1, "string"], boolValue: [2, "bool"], intValue: [3, "int64"], doubleValue: [4, "double"],
    }),
    KeyValue: message({ key: [1, "string"], value: [2, "Value"] }),
    Span: message({
      traceId: [1, "bytes"], spanId: [2, "bytes"], parentSpanId: [4, "bytes"], name: [5, "string"], kind: [6, "int32"],
      startTimeUnixNano: [7, "fixed64"], endTimeUnixNano: [8, "fixed64"], attributes: [9, "KeyValue", "repeated"],
    }),
    ScopeSpans: message({ spans: [2, "Span", "repeated"] }),
    Resource: message({ attributes: [1, "KeyValue", "repeated"] }),
    ResourceSpans: message({ resource: [1, "Resource"], scopeSpans: [2, "ScopeSpans", "repeated"] }),
    Request: message({ resourceSpans: [1, "ResourceSpans", "repeated"] }),
  },
});
const Request = root.lookupType("Request");

function message(fields) {
  const entries = Object.entries(fields).map(([name, [id, type, rule]]) => [name, { id, type, ...(rule && { rule }) }]);
  return { fields: Object.fromEntries(entries) };
}

/** Starts one; `url` is the value for `otel.exporterOtlpEndpoint`. */
export async function startCollector() {
  const collector = new Collector();
  await new Promise((resolve) => collector.server.listen(0, "127.0.0.1", resolve));
  collector.url = `http://127.0.0.1:${collector.server.address().port}`;
  return collector;
}

class Collector {
  /** Every span: `{trace, id, parent, name, kind, start, end, attributes, service, instance}`; times in nanoseconds. */
  spans = [];
  /** Requests that are not exports of traces. */
  strange = [];
  server = createServer((request, response) => this.#answer(request, response));

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }

  /** The spans of a trace, once one matches each of `wanted`, parts of spans. Nodes send at different times. */
  trace(id, wanted, ms) {
    return until(`the spans of trace ${id}`, () => {
      const spans = this.spans.filter((span) => span.trace === id);
      const missing = wanted.filter((part) => !spans.some((span) => matches(span, part)));
      if (missing.length > 0) throw new NotYet(`missing ${JSON.stringify(missing)}`);
      return spans;
    }, ms);
  }

  /** Waits for a span that satisfies `wanted`. */
  find(what, wanted) {
    return until(what, () => this.spans.find(wanted));
  }

  async #answer(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url !== "/v1/traces" || request.headers["content-type"] !== "application/x-protobuf") {
      this.strange.push([request.method, request.url, request.headers]);
    } else {
      this.#take(Request.decode(Buffer.concat(chunks)));
    }
    // An empty answer is an empty message: all spans were accepted.
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  }

  #take({ resourceSpans }) {
    for (const { resource, scopeSpans } of resourceSpans) {
      const of = attributes(resource.attributes);
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        this.spans.push({
          trace: hex(span.traceId),
          id: hex(span.spanId),
          parent: hex(span.parentSpanId),
          name: span.name,
          kind: span.kind,
          start: BigInt(span.startTimeUnixNano.toString()),
          end: BigInt(span.endTimeUnixNano.toString()),
          attributes: attributes(span.attributes),
          service: of["service.name"],
          instance: of["service.instance.id"],
        });
      }
    }
  }
}

/** Whether a span has all values of `part`. */
export const matches = (span, part) => Object.entries(part).every(([key, value]) => span[key] === value);

const hex = (bytes) => Buffer.from(bytes).toString("hex");

function attributes(pairs) {
  const plain = ({ value }) => value?.stringValue || value?.boolValue || Number(value?.intValue ?? 0) || value?.doubleValue;
  return Object.fromEntries(pairs.map((pair) => [pair.key, plain(pair)]));
}
