"""What Prometheus reads of the scheduler."""

from prometheus_client import Counter, Gauge, Histogram

# Prometheus calls the scrape itself `job`, and its target `service`: labels of ours have other names.
SLOTS_TAKEN = Counter("sigmax_scheduler_slots_taken_total", "Slots this replica took", ["scheduled_job"])
SLOT_DELAY_S = Histogram(
    "sigmax_scheduler_slot_delay_seconds",
    "From a slot's time to its being taken",
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 600),
)
RUNS_FINISHED = Counter(
    "sigmax_scheduler_runs_finished_total", "Runs whose end was recorded", ["scheduled_job", "succeeded"]
)
PROBLEMS_OPEN = Gauge("sigmax_scheduler_problems_open", "Problems the newest health check found", ["code"])
HEARTBEAT_AGE_S = Gauge(
    "sigmax_scheduler_heartbeat_age_seconds", "Since the newest heartbeat of an expected service", ["sender"]
)
REPLICAS = Gauge("sigmax_scheduler_replicas", "Replicas of a service that were heard lately", ["sender"])
POSTGRES_BYTES = Gauge("sigmax_postgres_size_bytes", "Size of the database on disk")
POSTGRES_CONNECTIONS = Gauge("sigmax_postgres_connections", "Connections to the server, of all databases and roles")
POSTGRES_CONNECTIONS_MAX = Gauge("sigmax_postgres_connections_max", "Connections that the server takes")
REDIS_BYTES = Gauge("sigmax_redis_memory_bytes", "Memory that Redis holds")
REDIS_BYTES_MAX = Gauge("sigmax_redis_memory_max_bytes", "Memory that Redis may hold; 0 is no limit")
