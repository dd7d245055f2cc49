// The dashboards. `node deploy/grafana/dashboards.mjs` writes dashboards/*.json, which Grafana reads; edit here, not there.
//
// A panel has a title, a unit, and queries by their legends.

import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const WIDTH = 24;
const HEIGHT = 7;
const RATE = "[$__rate_interval]";
const WHERE = 'instance=~"$instance"';

const rate = (metric, by, where = WHERE) => `sum${by ? ` by (${by})` : ""} (rate(${metric}{${where}}${RATE}))`;
const sum = (metric, by) => `sum${by ? ` by (${by})` : ""} (${metric}{${WHERE}})`;
const quantile = (q, metric, by) =>
  `histogram_quantile(${q}, sum by (${by ? `${by}, ` : ""}le) (rate(${metric}_bucket{${WHERE}}${RATE})))`;
/** Median and p99. */
const latency = (metric, by) => {
  const legend = by ? ` {{${by}}}` : "";
  return { [`p50${legend}`]: quantile(0.5, metric, by), [`p99${legend}`]: quantile(0.99, metric, by) };
};

/** Queries by their legends. */
const panel = (title, unit, queries, more = {}) => ({ title, unit, queries, ...more });
const row = (title, ...panels) => ({ title, panels });

const system = row("Process",
  panel("CPU", "percentunit", { "{{instance}}": `rate(process_cpu_seconds_total{${WHERE}}${RATE})` },
    { about: "1 is one core." }),
  panel("Memory", "bytes", { "{{instance}}": `process_resident_memory_bytes{${WHERE}}` }),
  panel("Open file descriptors", "percentunit", { "{{instance}}": `process_open_fds{${WHERE}} / process_max_fds{${WHERE}}` }));

const runtime = row("Runtime",
  panel("Worker utilization", "percentunit",
    { "{{instance}}": `rate(jackfield_runtime_busy_seconds_total{${WHERE}}${RATE}) / jackfield_runtime_workers{${WHERE}}` },
    { about: "At 100 % no worker is ever idle: the node is saturated." }),
  panel("Scheduling delay", "s", latency("jackfield_runtime_delay_seconds", "instance"),
    { about: "How much later than requested a timer fires. Work that blocks a worker shows here." }),
  panel("Tasks", "short", {
    "{{instance}}": `jackfield_runtime_tasks{${WHERE}}`,
    "{{instance}} queued": `jackfield_runtime_queued_tasks{${WHERE}}`,
  }));

export const DASHBOARDS = {
  overview: {
    title: "Jackfield: overview",
    instances: "jackfield_build_info",
    rows: [
      row("Now",
        panel("Nodes", "short", { nodes: `max(jackfield_nodes{${WHERE}})` }, { stat: true }),
        panel("Ready", "short",
          { ready: `count(min by (instance) (jackfield_ready{${WHERE}}) == 1) or vector(0)` }, { stat: true }),
        panel("Draining", "short", { draining: `count(jackfield_ready{${WHERE},part="staying"} == 0) or vector(0)` }, { stat: true }),
        panel("Sockets", "short", { sockets: sum("jackfield_sockets") }, { stat: true }),
        panel("Deliveries", "ops", { deliveries: rate("jackfield_deliveries_total") }, { stat: true }),
        panel("Delivery p99", "s", { p99: quantile(0.99, "jackfield_delivery_seconds") }, { stat: true })),
      row("Nodes",
        panel("Nodes", "short", { "seen by {{instance}}": `jackfield_nodes{${WHERE}}` }),
        panel("Unready nodes by reason", "short", { "{{part}}": `sum by (part) (1 - jackfield_ready{${WHERE}})` },
          { about: "Nodes that accept no clients, by the part that is not ready; staying: the node drains." }),
        panel("Dead nodes and lost leases", "short", {
          died: `sum(increase(jackfield_nodes_reaped_total{${WHERE}}${RATE}))`,
          "lease lost": `sum(increase(jackfield_leases_lost_total{${WHERE}}${RATE}))`,
        }),
        panel("Waiting for their turn", "short", { "{{turnstile}} on {{instance}}": `jackfield_turnstile_waiting{${WHERE}}` },
          { about: "Clients of a crowd that connect or join rooms; above 2,048, a node admits no handshakes." })),
      row("Clients",
        panel("Sockets", "short", { "{{namespace}}": sum("jackfield_sockets", "namespace") }),
        panel("Connections", "short", {
          "{{instance}}": `jackfield_connections{${WHERE}}`,
          "limit of {{instance}}": `jackfield_connections_limit{${WHERE}}`,
        }),
        panel("Handshakes", "ops", {
          "{{transport}}": rate("jackfield_handshakes_total", "transport"),
          "upgraded": rate("jackfield_upgrades_total"),
          "refused: {{code}}": rate("jackfield_handshakes_refused_total", "code"),
        }),
        panel("Joining a namespace", "ops", {
          joined: rate("jackfield_connects_total"),
          "refused: {{code}}": rate("jackfield_connects_refused_total", "code"),
        })),
      row("Sessions",
        panel("Sessions", "short", { "{{instance}}": `jackfield_sessions{${WHERE}}` }),
        panel("Claims", "ops", { "{{outcome}}": rate("jackfield_session_claims_total", "outcome") }),
        panel("Evictions", "ops", { evicted: rate("jackfield_sessions_evicted_total") }),
        panel("Disconnected by the server", "ops", {
          "{{reason}}": rate("jackfield_sent_away_total", "reason"),
          "queue full": rate("jackfield_slow_clients_closed_total"),
          drained: rate("jackfield_drained_connections_total"),
        })),
      row("Events and messages",
        panel("Events", "ops", {
          "{{outcome}}": rate("jackfield_events_total", "outcome"),
          "rate limited": rate("jackfield_rate_limited_total"),
        }),
        panel("Deliveries", "ops", { "{{instance}}": rate("jackfield_deliveries_total", "instance") }),
        panel("Stored messages", "ops", {
          stored: rate("jackfield_messages_stored_total"),
          "delivered to rooms": rate("jackfield_messages_delivered_total"),
        }),
        panel("From append to the queues of the members", "s", {
          ...latency("jackfield_delivery_seconds"),
          "p99 of 5 minutes": "jackfield:delivery_seconds:p99_5m",
        }, { about: "On the node of the sender, by its clock; sampled." })),
      row("Backend API",
        panel("By endpoint", "ops", { "{{endpoint}}": rate("jackfield_api_requests_total", "endpoint") }),
        panel("By status", "ops", { "{{status}}": rate("jackfield_api_requests_total", "status") }),
        panel("Time", "s", { "p99 {{endpoint}}": quantile(0.99, "jackfield_api_request_seconds", "endpoint") })),
      row("Hooks",
        panel("Calls by outcome", "ops", { "{{hook}} {{outcome}}": rate("jackfield_hook_calls_total", "hook, outcome") }),
        panel("Time", "s", { "p99 {{hook}}": quantile(0.99, "jackfield_hook_call_seconds", "hook") },
          { about: "Of calls that were sent, until the end of the answer." }),
        panel("Open calls", "short", {
          "{{hook}} on {{instance}}": `jackfield_hook_calls_open{${WHERE}}`,
          "breaker of {{hook}} on {{instance}}": `jackfield_hook_breaker_open{${WHERE}}`,
        }, { about: "A breaker is 1 while its backend does not answer." })),
      row("Facts",
        panel("Recorded and delivered", "ops", {
          recorded: rate("jackfield_facts_recorded_total"),
          "{{hook}} {{outcome}}": rate("jackfield_facts_total", "hook, outcome"),
        }),
        panel("Oldest fact that waits", "s", { "{{hook}}": `max by (hook) (jackfield_facts_lag_seconds{${WHERE}})` },
          { about: "Parked facts apart: `GET /v1/hooks` counts them." })),
      row("Failures",
        panel("Gaps repaired", "ops", { "{{instance}}": rate("jackfield_messages_repaired_total", "instance") },
          { about: "Stored messages that a node read from the log because the bus did not deliver them." }),
        panel("Possible bus gaps", "short",
          { "{{instance}}": `increase(jackfield_bus_missed_total{${WHERE}}${RATE})` }),
        panel("Rooms and feeds reset", "short",
          { "{{log}} on {{instance}}": `increase(jackfield_room_resets_total{${WHERE}}${RATE})` },
          { about: "Redis lost stored messages." }),
        panel("Releases waiting", "short", { "{{instance}}": `jackfield_departures_waiting{${WHERE}}` },
          { about: "Ended sessions and memberships that are not released yet; grows while Redis is unavailable." })),
    ],
  },
  nodes: {
    title: "Jackfield: nodes and Redis",
    instances: "jackfield_build_info",
    rows: [
      row("Redis",
        panel("Calls", "ops", { "{{connection}}": rate("jackfield_redis_calls_total", "connection") }),
        panel("Round trip", "s", latency("jackfield_redis_seconds", "connection")),
        panel("Errors", "ops", {
          "{{connection}}: {{kind}}": rate("jackfield_redis_errors_total", "connection, kind"),
        })),
      row("Bus",
        panel("Lag", "s", latency("jackfield_bus_lag_seconds", "instance"),
          { about: "The round trip of a message that a node sends to itself through Redis, twice a second." }),
        panel("Backlog", "short", { "{{instance}}": `jackfield_bus_backlog{${WHERE}}` }),
        panel("Rooms", "short", { "{{instance}}": `jackfield_rooms{${WHERE}}` })),
      runtime,
      system,
      row("Sizing",
        panel("Memory per connection", "bytes",
          { "{{instance}}": `process_resident_memory_bytes{${WHERE}} / (jackfield_connections{${WHERE}} > 0)` },
          { about: "Resident memory of the process per connection; meaningful with thousands of connections." }),
        panel("Deliveries per core", "ops", {
          deliveries: `${rate("jackfield_deliveries_total")} / sum(rate(process_cpu_seconds_total{${WHERE},job=~"gateway.*"}${RATE}))`,
        }),
        panel("Versions", "short", { "{{version}}": `count by (version) (jackfield_build_info{${WHERE}})` })),
    ],
  },
  auth: {
    title: "Jackfield: auth service",
    instances: "jackfield_auth_database_connections_limit",
    rows: [
      row("Requests",
        panel("By endpoint", "ops", { "{{endpoint}}": rate("jackfield_auth_requests_total", "endpoint") }),
        panel("By status", "ops", { "{{status}}": rate("jackfield_auth_requests_total", "status") }),
        panel("Error ratio", "percentunit", { "5xx of 5 minutes": "jackfield:auth_errors:ratio5m" }),
        panel("Time", "s", { "p99 {{endpoint}}": quantile(0.99, "jackfield_auth_request_seconds", "endpoint") })),
      row("Sign-ins",
        panel("Refused", "ops", {
          "wrong password": rate("jackfield_auth_logins_failed_total"),
          "too many: {{what}}": rate("jackfield_auth_rate_limited_total", "what"),
          "queue timeout": rate("jackfield_auth_password_busy_total"),
        }),
        panel("Password hashing", "s", latency("jackfield_auth_password_seconds", "what")),
        panel("Password queue", "s", latency("jackfield_auth_password_wait_seconds")),
        panel("Database connections", "short", {
          "{{state}}": sum("jackfield_auth_database_connections", "state"),
          limit: sum("jackfield_auth_database_connections_limit"),
        })),
      system,
    ],
  },
};

const datasource = { type: "prometheus", uid: "${datasource}" };

const variable = (name, type, more) => ({ name, type, label: name, ...more });

function variables(instances) {
  const query = `label_values(${instances}, instance)`;
  return [
    variable("datasource", "datasource", { query: "prometheus", current: { text: "Prometheus", value: "prometheus" } }),
    variable("instance", "query", {
      datasource, definition: query, query: { query, refId: "instance" }, refresh: 2, sort: 1,
      multi: true, includeAll: true, current: { text: "All", value: "$__all" },
    }),
  ];
}

function drawn({ title, unit, queries, about, stat }, id, gridPos) {
  const targets = Object.entries(queries).map(([legendFormat, expr], index) => ({
    refId: String.fromCharCode("A".charCodeAt(0) + index), datasource, expr, legendFormat, editorMode: "code",
  }));
  const custom = { fillOpacity: 10, showPoints: "never", spanNulls: false };
  const options = stat
    ? { reduceOptions: { calcs: ["lastNotNull"] }, graphMode: "area", colorMode: "value" }
    : { legend: { displayMode: "list", placement: "bottom" }, tooltip: { mode: "multi", sort: "desc" } };
  return {
    id, title, description: about, type: stat ? "stat" : "timeseries", datasource, gridPos, targets, options,
    fieldConfig: { defaults: stat ? { unit } : { unit, min: 0, custom }, overrides: [] },
  };
}

function laidOut(rows) {
  const panels = [];
  let y = 0;
  for (const { title, panels: inside } of rows) {
    panels.push({ id: panels.length + 1, type: "row", title, collapsed: false, gridPos: { x: 0, y, w: WIDTH, h: 1 }, panels: [] });
    const h = inside.every(({ stat }) => stat) ? HEIGHT - 3 : HEIGHT;
    const w = WIDTH / inside.length;
    inside.forEach((each, index) => panels.push(drawn(each, panels.length + 1, { x: index * w, y: y + 1, w, h })));
    y += h + 1;
  }
  return panels;
}

/** The content of dashboards/<name>.json. */
export function json(name) {
  const { title, instances, rows } = DASHBOARDS[name];
  const dashboard = {
    uid: `jackfield-${name}`, title, tags: ["jackfield"], schemaVersion: 39, editable: false, graphTooltip: 1,
    refresh: "10s", time: { from: "now-30m", to: "now" }, templating: { list: variables(instances) },
    links: [{ type: "dashboards", tags: ["jackfield"], title: "Jackfield", asDropdown: false, keepTime: true }],
    panels: laidOut(rows),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

export const fileOf = (name) => fileURLToPath(new URL(`dashboards/${name}.json`, import.meta.url));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of Object.keys(DASHBOARDS)) writeFileSync(fileOf(name), json(name));
}
