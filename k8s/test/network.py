"""Checks that the network policies allow the required connections."""

from urllib.parse import urlsplit

from balancing import backends
from objects import fits


def allows(overlay, direction, workload, peer, port):
    """Whether a policy allows `workload` to connect to (egress) or to accept (ingress) that peer. `peer` judges one entry
    of a rule."""
    for policy in overlay.of("NetworkPolicy"):
        spec = policy["spec"]
        if not fits(spec["podSelector"].get("matchLabels", {}), workload.labels):
            continue
        for rule in spec.get(direction, []):
            on = port is None or any(allowed["port"] == port for allowed in rule["ports"])
            if on and any(peer(entry) for entry in rule["to" if direction == "egress" else "from"]):
                return True
    return False


def pods(workload):
    return lambda entry: "namespaceSelector" not in entry and fits(
        entry.get("podSelector", {}).get("matchLabels", {}), workload.labels
    )


def namespace(name):
    return lambda entry: fits(
        entry.get("namespaceSelector", {}).get("matchLabels", {}), {"kubernetes.io/metadata.name": name}
    )


def is_backend(entry):
    return fits(entry.get("namespaceSelector", {}).get("matchLabels", {}), {"jackfield/backend": "true"})


def connections(overlay):
    """Every address in the environment is that of a Service, and the policies allow the connections at both ends."""
    for workload in overlay.workloads:
        for container in workload.containers:
            for variable, value in overlay.environment(container):
                if variable.endswith("_URL"):
                    yield from connection(overlay, workload, variable, value)
    for ingress in overlay.of("Ingress"):
        for _, backend in backends(ingress):
            service = overlay.named("Service", backend["name"]) or {"spec": {"ports": []}}
            found = [p for p in service["spec"]["ports"] if p["name"] == backend["port"]["name"]]
            if not found:
                yield f"Ingress {ingress['metadata']['name']}: no Service {backend['name']} with {backend['port']}"
            for port in found:
                for workload in overlay.selected(service["spec"]["selector"]):
                    target = workload.port(port["targetPort"])
                    if not allows(overlay, "ingress", workload, namespace("nginx-ingress"), target):
                        yield f"{workload.name}: the Ingress may not reach port {target}"
        upgraded = ingress["metadata"]["annotations"].get("nginx.org/websocket-services")
        wanted = "gateway" if any(backend["name"] == "gateway" for _, backend in backends(ingress)) else None
        if (controller := ingress["spec"].get("ingressClassName")) != "nginx" or upgraded != wanted:
            yield f"Ingress {ingress['metadata']['name']}: {controller} passes WebSockets to {upgraded}"
    for monitor in overlay.of("ServiceMonitor"):
        for service in overlay.monitored(monitor):
            for workload in overlay.selected(service["spec"]["selector"]):
                if not allows(overlay, "ingress", workload, namespace("monitoring"), workload.port("internal")):
                    yield f"{workload.name}: Prometheus may not reach its internal port"
    for gateway in (workload for workload in overlay.workloads if workload.name == "gateway"):
        both = [allows(overlay, way, gateway, pods(gateway), gateway.port("internal")) for way in ("egress", "ingress")]
        if not all(both):
            yield f"{gateway.name}: nodes may not pass polls on to each other"
    for workload in overlay.workloads:
        hooks = any(variable == "HOOKS" for c in workload.containers for variable, _ in overlay.environment(c))
        if hooks and not allows(overlay, "egress", workload, is_backend, None):
            yield f"{workload.name}: no policy lets it call its hooks in namespaces of backends"
    for workload in overlay.workloads:
        internal = workload.port("internal")
        if internal and allows(overlay, "ingress", workload, namespace("nginx-ingress"), internal):
            yield f"{workload.name}: its internal port can be reached from outside"
    closed = [p["spec"] for p in overlay.of("NetworkPolicy") if not p["spec"]["podSelector"]]
    if not any(set(s["policyTypes"]) == {"Ingress", "Egress"} and not s.keys() & {"ingress", "egress"} for s in closed):
        yield "connections without a policy are not denied"


def connection(overlay, workload, variable, value):
    if value is None:
        if not allows(overlay, "egress", workload, lambda entry: "ipBlock" in entry, None):
            yield f"{workload.name}: {variable} is outside, and no policy allows egress"
        return
    url = urlsplit(value)
    service = overlay.named("Service", url.hostname) or {"spec": {"ports": [], "selector": {}}}
    targets = [port["targetPort"] for port in service["spec"]["ports"] if port["port"] == url.port]
    if not targets:
        yield f"{workload.name}: {variable}: there is no Service {url.hostname} with port {url.port}"
    for target in targets:
        for other in overlay.selected(service["spec"]["selector"]):
            number = other.port(target)
            if not allows(overlay, "egress", workload, pods(other), number):
                yield f"{workload.name}: {variable}: may not connect to {other.name} on {number}"
            if not allows(overlay, "ingress", other, pods(workload), number):
                yield f"{workload.name}: {variable}: {other.name} may not accept it on {number}"
