"""Rules for the objects that an overlay builds; `problems` lists the violations.

The schemas of Kubernetes define the fields and their types. The rules here check what no schema can: names that must
match each other, in the objects and in the rest of the repository. They do not check values that only a running cluster
can judge.
"""

import json
import re
from functools import cache

import kubernetes_validate
from balancing import balancing
from network import connections
from objects import DASHBOARDS, METRICS, PROGRAMS, PROMETHEUS_RULES, Workload, external_secrets, fits, seconds, settings

# The newest version that the pinned package knows.
KUBERNETES = kubernetes_validate.latest_version()
# Kinds of the Prometheus operator, which have no schema here.
WITHOUT_SCHEMA = {("monitoring.coreos.com/v1", kind) for kind in ("ServiceMonitor", "PrometheusRule")}
# Seconds that a program may take beyond its drain: for the events of the last clients (3), for releasing their sessions
# (4), for background work (10).
LAST_WORK = 17


def schema(overlay):
    for o in overlay.objects:
        if (o["apiVersion"], o["kind"]) not in WITHOUT_SCHEMA:
            yield from against_schema(json.dumps(o))


# Cached: the same objects are checked many times, and the package reads its schemas anew each time.
@cache
def against_schema(text):
    o = json.loads(text)
    try:
        kubernetes_validate.validate(o, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{o['kind']} {o['metadata']['name']}: {'.'.join(map(str, error.path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [f"Kubernetes {KUBERNETES} has no {error.kind} in {error.api_version}"]
    return []


def selectors(overlay):
    """Every selector of pods matches some, and that of a workload its own."""
    for workload in overlay.workloads:
        spec = workload.object["spec"]
        spread = [c["labelSelector"] for c in workload.pod.get("topologySpreadConstraints", [])]
        for selector in [spec["selector"], *spread]:
            if not fits(selector["matchLabels"], workload.labels):
                yield f"{workload.name}: selects {selector['matchLabels']}, which are not its pods' labels"
    for o in overlay.of("Service", "PodDisruptionBudget", "NetworkPolicy"):
        selector = o["spec"].get("podSelector" if o["kind"] == "NetworkPolicy" else "selector", {})
        selector = selector if o["kind"] == "Service" else selector.get("matchLabels")
        everything = o["kind"] == "NetworkPolicy" and not selector
        if not everything and not overlay.selected(selector or {}):
            yield f"{o['kind']} {o['metadata']['name']}: selects no pods"
    for monitor in overlay.of("ServiceMonitor"):
        name, services = monitor["metadata"]["name"], overlay.monitored(monitor)
        if len(services) != 1:
            yield f"ServiceMonitor {name}: selects {len(services)} Services; each pod must be scraped once"
        for endpoint in monitor["spec"]["endpoints"]:
            if any(endpoint["port"] not in [p["name"] for p in s["spec"]["ports"]] for s in services):
                yield f"ServiceMonitor {name}: its Service has no port `{endpoint['port']}`"


def ports(overlay):
    """Every referenced port is a port of a container, on which its program listens."""
    for service in overlay.of("Service"):
        for port in service["spec"]["ports"]:
            for workload in overlay.selected(service["spec"]["selector"]):
                if workload.port(port["targetPort"]) is None:
                    yield f"Service {service['metadata']['name']}: {workload.name} has no port {port['targetPort']}"
    for workload in overlay.workloads:
        for container in workload.containers:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if probe not in container:
                    yield f"{workload.name}: {container['name']} has no {probe}"
                    continue
                how = container[probe].get("httpGet") or container[probe].get("tcpSocket") or {}
                if "port" in how and workload.port(how["port"]) is None:
                    yield f"{workload.name}: {probe} uses port {how['port']}, which no container has"
            if program := PROGRAMS.get(container["name"]):
                listens = settings(program) | dict(overlay.environment(container))
                public = int(listens["PORT"])
                internal = int(listens["INTERNAL_PORT"]) or public + 10_000
                if (workload.port("http"), workload.port("internal")) != (public, internal):
                    yield f"{workload.name}: the program listens on {public} and {internal}"
    for policy in overlay.of("NetworkPolicy"):
        own = overlay.selected(policy["spec"]["podSelector"].get("matchLabels"))
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                if any(workload.port(port["port"]) is None for workload in own):
                    yield f"NetworkPolicy {policy['metadata']['name']}: its pods have no port {port['port']}"


def environment(overlay):
    """Every variable of our programs is one of their settings."""
    for workload in overlay.workloads:
        for container in workload.containers:
            if container["name"] not in PROGRAMS:
                continue
            known = settings(PROGRAMS[container["name"]])
            for variable, _ in overlay.environment(container):
                if variable not in known:
                    yield f"{workload.name}: {variable} is not a setting of {container['name']}"


def references(overlay):
    """Every referenced object exists, or is one of the Secrets that the documentation requires."""
    external = external_secrets()
    for workload in overlay.workloads:
        account = workload.pod.get("serviceAccountName", "default")
        if account != "default" and not overlay.named("ServiceAccount", account):
            yield f"{workload.name}: there is no ServiceAccount {account}"
        for container in workload.containers:
            for source in container.get("envFrom", []):
                if not overlay.named("ConfigMap", source["configMapRef"]["name"]):
                    yield f"{workload.name}: there is no ConfigMap {source['configMapRef']['name']}"
            for variable in container.get("env", []):
                if secret := variable.get("valueFrom", {}).get("secretKeyRef"):
                    held = overlay.named("Secret", secret["name"]) or {"data": {}}
                    # A Secret that an overlay creates has a hash after its name.
                    required = any(secret["name"].startswith(n) and secret["key"] == k for n, k in external)
                    may_be_absent = required and (overlay.name != "dev" or secret.get("optional"))
                    if secret["key"] not in held["data"] and not may_be_absent:
                        yield f"{workload.name}: there is no Secret {secret['name']} with {secret['key']}"
            volumes = {v["name"] for v in workload.pod.get("volumes", [])}
            volumes |= {c["metadata"]["name"] for c in workload.object["spec"].get("volumeClaimTemplates", [])}
            mounts = container.get("volumeMounts", [])
            for mount in mounts:
                if mount["name"] not in volumes:
                    yield f"{workload.name}: there is no volume {mount['name']}"
            for variable, value in overlay.environment(container):
                if variable.endswith("_FILE") and not any(value.startswith(f"{m['mountPath']}/") for m in mounts):
                    yield f"{workload.name}: {variable} is in no volume: {value}"
                # The files of each hook: `…;secretFile=PATH+PATH;…`.
                for paths in re.findall(r"secretFile=([^;,]+)", value) if variable == "HOOKS" else []:
                    for path in paths.split("+"):
                        if not any(path.startswith(f"{mount['mountPath']}/") for mount in mounts):
                            yield f"{workload.name}: {variable} names {path}, which is in no volume"
        for volume in workload.pod.get("volumes", []):
            if (secret := volume.get("secret")) and secret["secretName"] not in {name for name, _ in external}:
                yield f"{workload.name}: there is no Secret {secret['secretName']}"
        if workload.object["kind"] == "StatefulSet":
            service = overlay.named("Service", workload.object["spec"]["serviceName"])
            if not service or service["spec"].get("clusterIP") != "None":
                yield f"{workload.name}: there is no headless Service {workload.object['spec']['serviceName']}"
    certificates = [tls for ingress in overlay.of("Ingress") for tls in ingress["spec"].get("tls", [])]
    certified = {h for tls in certificates if (tls["secretName"], "tls.crt") in external for h in tls["hosts"]}
    for ingress in overlay.of("Ingress"):
        hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
        if not hosts <= certified:
            yield f"Ingress {ingress['metadata']['name']}: no certificate for {', '.join(hosts - certified)}"
    if overlay.name != "dev" and overlay.of("Secret"):
        yield f"{overlay.name} creates a Secret of its own"


def scaling(overlay):
    budgets = overlay.of("PodDisruptionBudget")
    for workload in overlay.workloads:
        guarded = [b for b in budgets if fits(b["spec"]["selector"]["matchLabels"], workload.labels)]
        if workload.object["kind"] == "Deployment" and len(guarded) != 1:
            yield f"{workload.name}: {len(guarded)} PodDisruptionBudgets"
    for scaler in overlay.of("HorizontalPodAutoscaler"):
        name, target = scaler["metadata"]["name"], scaler["spec"]["scaleTargetRef"]
        scaled = overlay.named(target["kind"], target["name"])
        if not scaled or scaled["apiVersion"] != target["apiVersion"]:
            yield f"HorizontalPodAutoscaler {name}: there is no {target['kind']} {target['name']}"
            continue
        if "replicas" in scaled["spec"]:
            yield f"{target['name']}: `replicas` would reset the number of the autoscaler at every apply"
        for metric in scaler["spec"]["metrics"]:
            if metric["type"] == "Pods" and metric["pods"]["metric"]["name"] not in METRICS:
                yield f"HorizontalPodAutoscaler {name}: the gateway has no metric {metric['pods']['metric']['name']}"
            if metric["type"] == "Pods" and overlay.name != "components":
                # Without it, an autoscaler scales up by the CPU and never down.
                yield f"HorizontalPodAutoscaler {name}: no component here serves {metric['pods']['metric']['name']}"
            if metric["type"] == "Resource":
                resource = metric["resource"]["name"]
                for container in Workload(scaled).containers:
                    if resource not in container["resources"]["requests"]:
                        yield f"{target['name']}: no request of {resource}, which the utilization refers to"


def shutdown(overlay):
    """The grace period is longer than the pause before SIGTERM, the drain and the last work together."""
    for workload in overlay.workloads:
        for container in workload.containers:
            if program := PROGRAMS.get(container["name"]):
                pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
                known = settings(program) | dict(overlay.environment(container))
                drain = sum(seconds(value) for name, value in known.items() if name.startswith("DRAIN_"))
                if workload.pod["terminationGracePeriodSeconds"] <= pause + drain + LAST_WORK:
                    yield f"{workload.name}: may take {pause + drain + LAST_WORK} s to exit; its grace period is too short"


def memory(overlay):
    """Our Redis refuses writes before it is killed, and leaves memory for rewriting its file."""
    for workload in overlay.workloads:
        for container in workload.containers:
            if container["image"].startswith("redis:"):
                args = dict(zip(container["args"], container["args"][1:]))
                bound, limit = args.get("--maxmemory", "0mb"), container["resources"]["limits"]["memory"]
                if not 0 < int(bound.removesuffix("mb")) <= int(limit.removesuffix("Mi")) * 3 / 4:
                    yield f"{workload.name}: --maxmemory {bound} for {limit}"
                if args.get("--maxmemory-policy") != "noeviction":
                    yield f"{workload.name}: evicts sessions and messages (maxmemory-policy)"


def internal_port(overlay):
    """The internal port is not on loopback, its default: probes and Prometheus could not reach it."""
    for workload in overlay.workloads:
        for container in workload.containers:
            environment = dict(overlay.environment(container))
            if container["name"] in PROGRAMS and environment.get("INTERNAL_HOST") != "0.0.0.0":
                yield f"{workload.name}: its internal port is unreachable (INTERNAL_HOST)"


def security(overlay):
    """Pods that the profile `restricted` takes, and a little more: no rights, nothing written, bounded memory."""
    for space in overlay.of("Namespace"):
        if space["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield "the namespace does not enforce restricted pods"
    for o in overlay.objects:
        if o["kind"] != "Namespace" and not overlay.named("Namespace", o["metadata"].get("namespace")):
            yield f"{o['kind']} {o['metadata']['name']}: in another namespace"
    if overlay.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"):
        yield "somebody is given rights"
    for workload in overlay.workloads:
        pod = workload.pod.get("securityContext", {})
        wanted = {
            "runs as root": pod.get("runAsNonRoot") is True and pod.get("runAsUser", 0) > 0,
            "no seccomp profile": pod.get("seccompProfile") == {"type": "RuntimeDefault"},
            "gets a token of the API": workload.pod.get("automountServiceAccountToken") is False,
            "takes variables from Services": workload.pod.get("enableServiceLinks") is False,
        }
        yield from (f"{workload.name}: {fault}" for fault, good in wanted.items() if not good)
        for container in workload.containers:
            context = container.get("securityContext", {})
            wanted = {
                "may gain privileges": context.get("allowPrivilegeEscalation") is False,
                "keeps capabilities": context.get("capabilities") == {"drop": ["ALL"]},
                "can write to its image": context.get("readOnlyRootFilesystem") is True,
                "no limit of memory": "memory" in container.get("resources", {}).get("limits", {}),
                "an image without a version": ":" in container["image"].rsplit("/", 1)[-1],
            }
            yield from (f"{workload.name}: {fault}" for fault, good in wanted.items() if not good)


def origins(overlay):
    """Browsers on the page of the Ingress host may connect."""
    hosts = {f"https://{rule['host']}" for ingress in overlay.of("Ingress") for rule in ingress["spec"]["rules"]}
    for workload in overlay.workloads:
        for container in workload.containers:
            if container["name"] in PROGRAMS and hosts:
                allowed = dict(overlay.environment(container)).get("CORS_ORIGINS", "").split(",")
                if not hosts <= set(allowed):
                    yield f"{workload.name}: CORS_ORIGINS does not have {', '.join(hosts)}"


def monitoring(overlay):
    """The rules of the operator are those of deploy/prometheus, its jobs have the names in these rules, and Grafana gets
    all dashboards."""
    if not overlay.of("ServiceMonitor"):
        return
    held = [o["spec"] for o in overlay.of("PrometheusRule")]
    if held != PROMETHEUS_RULES:
        yield "the PrometheusRules are not those of deploy/prometheus: k8s/make-rules > k8s/overlays/prod/rules.yaml"
    for monitor in overlay.of("ServiceMonitor"):
        for service in overlay.monitored(monitor):
            if not re.match("gateway|auth", job := service["metadata"]["name"]):
                yield f"ServiceMonitor {monitor['metadata']['name']}: no rule refers to the job {job}"
    shown = [o["data"] for o in overlay.of("ConfigMap") if "grafana_dashboard" in o["metadata"].get("labels", {})]
    if shown != [DASHBOARDS]:
        yield "the dashboards are not those of deploy/grafana/dashboards"


RULES = [schema, selectors, ports, environment, references, scaling, shutdown, connections, balancing, memory, internal_port, security, origins, monitoring]


def problems(overlay):
    return [problem for rule in RULES for problem in rule(overlay)]
