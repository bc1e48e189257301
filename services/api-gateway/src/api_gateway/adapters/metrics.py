"""What operators count, with bounded labels: routes by their pattern, never by their path."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("sigmax_gateway_requests_total", "Requests answered", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "sigmax_gateway_request_seconds",
    "Time to answer a request",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
LOGINS = Counter("sigmax_gateway_logins_total", "Logins by outcome: ok, wrong, limited", ["outcome"])
WS_CLIENTS = Gauge("sigmax_gateway_ws_clients", "Open live connections")
WS_DROPPED = Counter(
    "sigmax_gateway_ws_dropped_total", "Live connections that the gateway ended, by reason", ["reason"]
)
WS_EVENTS = Counter("sigmax_gateway_ws_events_total", "Events given to live connections", ["topic"])
AUDIT_WHOLE = Gauge("sigmax_gateway_audit_whole", "1 while the audit chain holds, 0 once it is broken")
for _outcome in ("ok", "wrong", "limited"):
    LOGINS.labels(_outcome)


class PrometheusCounters:
    """Counts into the process's own registry."""

    def login(self, outcome: str) -> None:
        """Count a login: `ok`, `wrong`, or `limited`."""
        LOGINS.labels(outcome).inc()

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        REQUESTS.labels(route, method, str(status)).inc()
        REQUEST_SECONDS.labels(route).observe(seconds)

    def ws_dropped(self, why: str) -> None:
        """Count a live connection that the gateway ended."""
        WS_DROPPED.labels(why).inc()
