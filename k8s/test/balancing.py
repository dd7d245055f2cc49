"""How the Ingress controller balances requests: like `deploy/nginx`, as far as its annotations allow."""

import re

from objects import seconds

# Annotations that an Ingress for one path inherits from that for the host (`minionInheritanceList` of the controller).
INHERITED = {"max-fails", "proxy-connect-timeout", "client-max-body-size", "lb-method"}


def backends(ingress):
    paths = [path for rule in ingress["spec"]["rules"] for path in rule.get("http", {}).get("paths", [])]
    return [(path["path"], path["backend"]["service"]) for path in paths]


def annotations(overlay, ingress):
    """The annotations of F5's controller that apply to the paths of this Ingress."""
    own = {key.removeprefix("nginx.org/"): value for key, value in ingress["metadata"]["annotations"].items()}
    if own.get("mergeable-ingress-type") != "minion":
        return own
    hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
    for other in overlay.of("Ingress"):
        shared = {k.removeprefix("nginx.org/"): v for k, v in other["metadata"]["annotations"].items()}
        if shared.get("mergeable-ingress-type") == "master" and hosts <= {r["host"] for r in other["spec"]["rules"]}:
            return {key: value for key, value in shared.items() if key in INHERITED} | own
    return own


def balancing(overlay):
    for ingress in overlay.of("Ingress"):
        found = annotations(overlay, ingress)
        for path, service in backends(ingress):
            name = f"Ingress {ingress['metadata']['name']}: {path}"
            method = found.get("lb-method")
            retried = set(found.get("proxy-next-upstream", "").split())
            if found.get("max-fails") != "0":
                yield f"{name}: a node that fails once is avoided for a while (max-fails)"
            if seconds(found.get("proxy-connect-timeout", "60s")) > 1:
                yield f"{name}: requests wait too long for a dead node (proxy-connect-timeout)"
            if not {"error", "timeout", "http_503"} <= retried or "proxy-next-upstream-timeout" not in found:
                yield f"{name}: a refusal of a draining node is not retried (proxy-next-upstream)"
            if service["name"] == "gateway" and method != "round_robin":
                yield f"{name}: the gateways need no affinity (lb-method)"
            if service["name"] != "gateway" and method is not None:
                yield f"{name}: balancing is set without need (lb-method)"
            if service["name"] == "auth-service" and not re.match(r"\d+r/s$", found.get("limit-req-rate", "")):
                yield f"{name}: no limit for one address (limit-req-rate)"
