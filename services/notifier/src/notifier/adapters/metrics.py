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


def show_channel(channel: str) -> None:
    """Have the counts of a channel begin with 0: a first failure is then a rise and not a beginning."""
    for outcome in ("sent", "retried", "failed"):
        DELIVERIES.labels(channel, outcome)
