"""What this service measures."""

from prometheus_client import Counter, Gauge, Histogram

from order_worker.domain.budget import Kind
from order_worker.domain.sightings import Outcome
from sigmax.runtime.service_levels import Step, measured
from sigmax.schemas.types import Submission

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
budget_waits = Counter(
    "sigmax_venue_budget_waits_total", "Requests that had to wait for the venue's common budget", ["kind"]
)
too_many_requests = Counter(
    "sigmax_venue_too_many_requests_total", "Answers of the venue that say: too many requests", ["kind"]
)
on_spare_endpoint = Gauge("sigmax_venue_on_spare_endpoint", "1 while requests go to the venue's spare address")
fills = Counter("sigmax_fills_total", "Fills entered, by the source that brought them first", ["source"])
approval_to_accepted = measured(Step.ORDER)
tick_to_first_fill = measured(Step.CYCLE)

# What follows is read from the books every few seconds, by each replica alike: the highest is the truth, or was a
# moment ago.
orders_open = Gauge(
    "sigmax_orders_open", "Orders that are not done, by what is known of their submission", ["submission"]
)
orders_oldest_seconds = Gauge(
    "sigmax_orders_open_oldest_seconds", "Age of the oldest order that is not done, since its claim", ["submission"]
)
reconciled = Gauge("sigmax_reconciled", "1 when the last reconciliation passed")
reconciliation_age_seconds = Gauge(
    "sigmax_reconciliation_age_seconds", "Since the books were last held against the venue's, whatever came of it"
)
reconciliation_differences = Gauge(
    "sigmax_reconciliation_differences", "Differences beyond dust that the last reconciliation found"
)
account_blocked = Gauge("sigmax_account_blocked", "1 while nothing is sent until a person releases the account")
ledger_imbalances = Gauge("sigmax_ledger_imbalances", "Assets whose ledger entries do not sum to zero")

stream_connected = Gauge("sigmax_venue_stream_connected", "1 while this replica hears the venue's user stream")

OPEN = (Submission.READY, Submission.SENDING, Submission.UNKNOWN, Submission.ACKED)
for _kind in Kind:
    budget_waits.labels(_kind)
    too_many_requests.labels(_kind)
for _outcome in Outcome:
    submits.labels(_outcome)
for _submission in OPEN:
    orders_open.labels(_submission)
    orders_oldest_seconds.labels(_submission)
