"""What the venue counts."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("sigmax_paper_venue_requests_total", "Requests answered.", ["endpoint", "status"])
ORDER_SECONDS = Histogram(
    "sigmax_paper_venue_order_seconds",
    "From a placement's arrival to its answer.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
ENTRIES = Counter("sigmax_paper_venue_entries_total", "Stream entries applied.", ["outcome"])
