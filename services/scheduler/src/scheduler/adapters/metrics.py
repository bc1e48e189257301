"""What Prometheus reads of the scheduler."""

from prometheus_client import Counter, Gauge, Histogram

SLOTS_TAKEN = Counter("sigmax_scheduler_slots_taken_total", "Slots this replica took", ["job"])
SLOT_DELAY_S = Histogram(
    "sigmax_scheduler_slot_delay_seconds",
    "From a slot's time to its being taken",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 600),
)
RUNS_FINISHED = Counter("sigmax_scheduler_runs_finished_total", "Runs whose end was recorded", ["job", "succeeded"])
PROBLEMS_OPEN = Gauge("sigmax_scheduler_problems_open", "Problems the newest health check found", ["code"])
