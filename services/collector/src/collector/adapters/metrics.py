"""What the collector counts."""

from prometheus_client import Counter, Gauge, Histogram

from collector.domain.feed import GAP_REASONS, Reason

ticks_accepted = Counter("sigmax_collector_ticks_accepted_total", "Trades published as prices")
rejected = Counter("sigmax_collector_rejected_total", "Trades and bars that are no price", ["reason"])
gaps_marked = Counter("sigmax_collector_gaps_total", "Stretches of market time with trades missing", ["reason"])
bars_published = Counter("sigmax_collector_bars_published_total", "Closed bars published", ["timeframe_s"])
batch_ticks = Histogram(
    "sigmax_collector_publish_batch_ticks", "Ticks in one stream entry", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
publish_seconds = Histogram(
    "sigmax_collector_publish_seconds",
    "From the trade's arrival to its being on the stream",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5),
)
publish_failures = Counter("sigmax_collector_publish_failures_total", "Publishes that had to be repeated")
source_connected = Gauge("sigmax_collector_source_connected", "1 while the source tells, or could")
seconds_since_last_tick = Gauge("sigmax_collector_seconds_since_last_tick", "Age of the newest published tick")
rows_stored = Counter("sigmax_collector_rows_stored_total", "Rows written to Postgres", ["table"])
rows_waiting = Gauge("sigmax_collector_rows_waiting", "Ticks and bars published and not stored yet")
rows_dropped = Counter(
    "sigmax_collector_rows_dropped_total", "Ticks published and never stored: storage could not keep up"
)
store_seconds = Histogram(
    "sigmax_collector_store_seconds",
    "One storage transaction",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15),
)

for _reason in Reason:
    rejected.labels(_reason)
for _gap in GAP_REASONS:
    gaps_marked.labels(_gap)
