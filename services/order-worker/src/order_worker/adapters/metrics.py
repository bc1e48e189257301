"""What this service measures."""

from prometheus_client import Counter, Gauge, Histogram

tick_to_order = Histogram(
    "sigmax_tick_to_order_seconds",
    "From the tick at the feed to the order request at the venue",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10),
)
submits = Counter("sigmax_order_submits_total", "Submits, by what came of them", ["outcome"])
submit_seconds = Histogram(
    "sigmax_order_submit_seconds",
    "From the first byte of a submit to its answer",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5),
)
fills = Counter("sigmax_fills_total", "Fills entered, by the source that brought them first", ["source"])
reconciled = Gauge("sigmax_reconciled", "1 when the last reconciliation passed")
stream_connected = Gauge("sigmax_venue_stream_connected", "1 while this replica hears the venue's user stream")
