"""What Prometheus reads of the notifier."""

from prometheus_client import Counter, Histogram

ALERTS = Counter("sigmax_notifier_alerts_total", "Alerts by level and by what was made of them", ["level", "folding"])
DELIVERIES = Counter(
    "sigmax_notifier_deliveries_total", "Tries to deliver, by channel and outcome", ["channel", "outcome"]
)
DELIVERY_DELAY_S = Histogram(
    "sigmax_notifier_delivery_delay_seconds",
    "From an alert's entry to its delivery",
    ["level"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 60, 600),
)
