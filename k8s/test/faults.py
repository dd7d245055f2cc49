"""Possible mistakes, each in one object of one overlay.

A fault is: overlay, object, a text in it (the first occurrence is replaced), its replacement, and a text that the
reported problem must contain.
"""

NAME = "app.kubernetes.io/name"
HASH = "nginx.org/lb-method: hash $remote_addr consistent"

SOCKETS = """\
  - type: Pods
    pods:
      metric:
        name: jackfield_sockets
      target:
        type: AverageValue
        averageValue: "10000"
"""

FAULTS = [
    # Fields, types and versions.
    ("dev", "Deployment gateway", "readinessProbe:", "readinesProbe:", "'readinesProbe' was unexpected"),
    ("dev", "Deployment gateway", "minReadySeconds: 10", 'minReadySeconds: "10"', "is not of type 'integer'"),
    ("dev", "Deployment gateway", "apps/v1", "apps/v1beta1", "has no Deployment in apps/v1beta1"),
    # Selectors.
    ("dev", "Deployment gateway", f"{NAME}: gateway\n  strat", f"{NAME}: gate\n  strat", "not its pods' labels"),
    ("dev", "Service gateway", f"selector:\n    {NAME}: g", f"selector:\n    {NAME}: h", "Service gateway: selects no pods"),
    ("dev", "PodDisruptionBudget gateway", f"{NAME}: gateway", f"{NAME}: gate", "gateway: 0 PodDisruptionBudgets"),
    ("prod", "ServiceMonitor gateway", f"{NAME}: gateway-nodes", f"{NAME}: nodes", "selects 0 Services"),
    # Ports.
    ("prod", "ServiceMonitor gateway", "port: internal", "port: metrics", "has no port `metrics`"),
    ("dev", "Service gateway", "targetPort: http", "targetPort: web", "gateway has no port web"),
    ("dev", "Deployment gateway", "port: internal", "port: health", "livenessProbe uses port health"),
    ("dev", "Deployment gateway", "readinessProbe:", "startupProbe:", "gateway has no readinessProbe"),
    ("dev", "Deployment gateway", "Port: 3000", "Port: 3001", "the program listens on 3000 and 13000"),
    ("dev", "NetworkPolicy gateway", "port: 3000", "port: 80", "its pods have no port 80"),
    # Settings.
    ("dev", "ConfigMap gateway-settings", "DRAIN_DELAY:", "DRAIN_PAUSE:", "DRAIN_PAUSE is not a setting of gateway"),
    ("dev", "Deployment auth-service", "DATABASE_URL", "POSTGRES_URL", "POSTGRES_URL is not a setting of auth-service"),
    # Names of other objects.
    ("dev", "Deployment gateway", "key: redis-url", "key: redis_url", "there is no Secret jackfield-gateway"),
    ("prod", "Deployment gateway", "name: jackfield-gateway", "name: secrets", "no Secret secrets with redis-url"),
    ("dev", "Deployment gateway", "name: gateway-settings", "name: settings", "there is no ConfigMap settings"),
    ("dev", "ServiceAccount gateway", "name: gateway", "name: gate", "there is no ServiceAccount gateway"),
    ("dev", "StatefulSet postgres", "name: tmp", "name: temp", "there is no volume temp"),
    ("dev", "StatefulSet redis", "serviceName: redis", "serviceName: gateway", "there is no headless Service gateway"),
    ("prod", "Ingress jackfield", "secretName: jackfield-tls", "secretName: tls", "no certificate for jackfield.example"),
    ("prod", "Ingress jackfield-sockets", "name: gateway\n            port", "name: gate\n            port", "no Service gate"),
    ("components", "Deployment gateway", "secretName: jackfield-redis-tls", "secretName: redis", "no Secret redis"),
    ("components", "ConfigMap gateway-settings", "/etc/redis-tls/ca", "/etc/redis/ca", "REDIS_CA_FILE is in no volume"),
    ("components", "Deployment gateway", "mountPath: /etc/hooks", "mountPath: /etc/hook", "HOOKS names /etc/hooks/secret"),
    ("prod", "ConfigMap gateway-settings", "kind: ConfigMap", "kind: Secret", "prod creates a Secret of its own"),
    ("dev", "Deployment gateway", "key: api-keys", "key: keys", " with keys"),
    # Scaling.
    ("components", "HorizontalPodAutoscaler gateway", "jackfield_sockets", "jackfield_socks", "no metric jackfield_socks"),
    ("dev", "HorizontalPodAutoscaler gateway", "  metrics:\n", f"  metrics:\n{SOCKETS}", "no component here serves jackfield_sockets"),
    ("prod", "HorizontalPodAutoscaler gateway", "  metrics:\n", f"  metrics:\n{SOCKETS}", "no component here serves jackfield_sockets"),
    ("dev", "HorizontalPodAutoscaler gateway", "Deployment", "StatefulSet", "there is no StatefulSet gateway"),
    ("dev", "Deployment gateway", "spec:\n", "spec:\n  replicas: 3\n", "`replicas` would reset"),
    ("dev", "Deployment gateway", "cpu: 500m", "ephemeral-storage: 1Gi", "no request of cpu"),
    # Monitoring.
    ("prod", "PrometheusRule jackfield-alerts", "== 0", "== 1", "the PrometheusRules are not those of"),
    ("prod", "Service auth-service", "  name: auth-service", "  name: sign-in", "no rule refers to the job sign-in"),
    ("prod", "ConfigMap jackfield-grafana", "nodes.json", "node.json", "the dashboards are not those of"),
    # Shutdown.
    ("dev", "Deployment gateway", "PeriodSeconds: 45", "PeriodSeconds: 32", "its grace period is too short"),
    ("dev", "ConfigMap gateway-settings", "data:\n", "data:\n  DRAIN_WINDOW: 40s\n", "its grace period is too short"),
    ("dev", "Deployment auth-service", "seconds: 5\n", "seconds: 25\n", "its grace period is too short"),
    # Network policies and the Ingress.
    ("dev", "ConfigMap gateway-settings", "auth-service:3001", "auth-service:80", "no Service auth-service with port 80"),
    ("dev", "NetworkPolicy auth-service", f"{NAME}: gateway", f"{NAME}: redis", "auth-service may not accept it on 3001"),
    ("dev", "NetworkPolicy gateway-to-redis", "port: 6379", "port: 6380", "may not connect to redis on 6379"),
    ("prod", "NetworkPolicy gateway-to-redis", f"{NAME}: gateway", f"{NAME}: auth-service", "REDIS_URL is outside"),
    ("prod", "NetworkPolicy gateway", "name: nginx-ingress", "name: nginx", "the Ingress may not reach port 3000"),
    ("prod", "NetworkPolicy gateway", "port: 3000", "port: 13000", "can be reached from outside"),
    ("components", "NetworkPolicy gateway-to-backends", "backend: \"true\"", "backend: \"yes\"", "lets it call its hooks"),
    ("dev", "NetworkPolicy gateway", "port: 13000", "port: 13001", "nodes may not pass polls on"),
    ("prod", "NetworkPolicy auth-service", "port: 13001", "port: 13002", "Prometheus may not reach"),
    ("dev", "NetworkPolicy deny-all", "  - Egress", "", "connections without a policy are not denied"),
    ("prod", "Ingress jackfield", "ClassName: nginx", "ClassName: traefik", "traefik passes WebSockets"),
    ("prod", "Ingress jackfield-sockets", "websocket-services: gateway", "websocket-services: g", "passes WebSockets to g"),
    ("prod", "Ingress jackfield", "host: jackfield.example.com", "host: example.com", "CORS_ORIGINS does not have"),
    # Behaviour of the Ingress controller.
    ("prod", "Ingress jackfield", 'max-fails: "0"', 'max-fails: "1"', "avoided for a while"),
    ("prod", "Ingress jackfield", "connect-timeout: 500ms", "connect-timeout: 2s", "wait too long for a dead node"),
    ("prod", "Ingress jackfield-sockets", "error timeout http_503", "error timeout", "is not retried"),
    ("prod", "Ingress jackfield-sockets", "lb-method: round_robin", "lb-method: hash $remote_addr consistent", "need no affinity"),
    ("prod", "Ingress jackfield-accounts", "annotations:\n", f"annotations:\n    {HASH}\n", "without need"),
    ("prod", "Ingress jackfield-sign-ins", "limit-req-rate", "limit-req-burst", "no limit for one address"),
    # Memory, and the internal port.
    ("dev", "StatefulSet redis", "384mb", "512mb", "--maxmemory 512mb for 512Mi"),
    ("dev", "StatefulSet redis", "noeviction", "allkeys-lru", "evicts sessions"),
    ("dev", "ConfigMap gateway-settings", "INTERNAL_HOST: 0.0.0.0", "INTERNAL_HOST: 127.0.0.1", "is unreachable"),
    ("prod", "ConfigMap auth-service-settings", "INTERNAL_HOST: 0.0.0.0", 'INTERNAL_HOST: ""', "is unreachable"),
    # Security.
    ("dev", "Namespace jackfield", "enforce: restricted", "enforce: baseline", "does not enforce restricted pods"),
    ("dev", "Service redis", "namespace: jackfield", "namespace: default", "in another namespace"),
    ("dev", "Deployment gateway", "- ALL", "- NET_RAW", "keeps capabilities"),
    ("dev", "Deployment gateway", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can write"),
    ("dev", "Deployment gateway", "runAsNonRoot: true", "runAsNonRoot: false", "runs as root"),
    ("dev", "Deployment gateway", "ServiceAccountToken: false", "ServiceAccountToken: true", "a token of the API"),
    ("dev", "StatefulSet redis", "image: redis:7-bookworm", "image: redis", "an image without a version"),
]
