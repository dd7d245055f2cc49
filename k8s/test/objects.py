"""The objects that an overlay builds, and the names in the rest of the repository that they refer to."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
DEPLOYMENT = (ROOT / "docs/deployment/kubernetes.md").read_text()
METRICS = {
    name
    for path in ("gateway/src/metrics.rs", "gateway/cluster/src/metrics.rs")
    for name in re.findall(r'"(jackfield_\w+)"', (ROOT / path).read_text())
}

PROMETHEUS_RULES = [yaml.safe_load(p.read_text()) for p in sorted((ROOT / "deploy/prometheus/rules").glob("*.yml"))]
DASHBOARDS = {p.name: p.read_text() for p in (ROOT / "deploy/grafana/dashboards").glob("*.json")}

# Container → the documented settings table that its environment is checked against.
PROGRAMS = {"gateway": "gateway", "auth-service": "auth"}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def settings(program):
    """Environment variable -> default, of the documented table (which a test of the program compares with the code)."""
    table = CONFIGURATION.split(f"<!-- settings:{program} -->")[1].split("<!-- /settings")[0]
    rows = re.findall(r"^\| `[\w.]+` \| `(\w+)` \| (.*?) \|", table, re.M)
    return {name: default.strip("`") for name, default in rows}


def external_secrets():
    """(Secret, key) pairs that must be created by hand for `prod`, from the documentation."""
    table = DEPLOYMENT.split("<!-- secrets:prod -->")[1].split("<!-- /secrets")[0]
    return set(re.findall(r"^\| `([\w-]+)` \| `([\w.-]+)` \|", table, re.M))


def seconds(text):
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", text))


def fits(selector, labels):
    return bool(selector) and selector.items() <= (labels or {}).items()


@dataclass
class Workload:
    """A Deployment or StatefulSet."""

    object: dict

    @property
    def name(self):
        return self.object["metadata"]["name"]

    @property
    def template(self):
        return self.object["spec"]["template"]

    @property
    def labels(self):
        return self.template["metadata"]["labels"]

    @property
    def pod(self):
        return self.template["spec"]

    @property
    def containers(self):
        return self.pod.get("initContainers", []) + self.pod["containers"]

    def port(self, name_or_number):
        """The number of a container's port; None if there is no such port."""
        ports = [port for container in self.containers for port in container.get("ports", [])]
        return next((p["containerPort"] for p in ports if name_or_number in (p.get("name"), p["containerPort"])), None)


class Overlay:
    def __init__(self, name, objects):
        self.name, self.objects = name, objects

    def of(self, *kinds):
        return [o for o in self.objects if o["kind"] in kinds]

    def named(self, kind, name):
        return next((o for o in self.of(kind) if o["metadata"]["name"] == name), None)

    @property
    def workloads(self):
        return [Workload(o) for o in self.of("Deployment", "StatefulSet")]

    def selected(self, selector):
        return [w for w in self.workloads if fits(selector, w.labels)]

    def monitored(self, monitor):
        """The Services that a ServiceMonitor selects."""
        selector = monitor["spec"]["selector"]["matchLabels"]
        return [s for s in self.of("Service") if fits(selector, s["metadata"].get("labels"))]

    def environment(self, container):
        """(variable, value) pairs; the value is None if only the cluster knows it."""
        for source in container.get("envFrom", []):
            held = self.named("ConfigMap", source["configMapRef"]["name"]) or {}
            yield from held.get("data", {}).items()
        for variable in container.get("env", []):
            value, secret = variable.get("value"), variable.get("valueFrom", {}).get("secretKeyRef")
            if secret and (held := self.named("Secret", secret["name"])) and secret["key"] in held["data"]:
                value = base64.b64decode(held["data"][secret["key"]]).decode()
            yield variable["name"], value


