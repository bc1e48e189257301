"""What Prometheus reads of llm-controller."""

from prometheus_client import Counter, Histogram

DECISIONS = Counter("sigmax_llm_decisions_total", "Decisions by policy and verdict", ["policy", "verdict"])
CALLS = Counter("sigmax_llm_calls_total", "Calls of a model, by outcome", ["model", "outcome"])
CALL_S = Histogram(
    "sigmax_llm_call_seconds",
    "Time a model took to answer",
    ["model"],
    buckets=(0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 10),
)
TOKENS = Counter("sigmax_llm_tokens_total", "Tokens charged to the day's budget", ["model"])
COST_USD = Counter("sigmax_llm_cost_usd_total", "USD charged to the day's budget", ["model"])
REFUSED = Counter("sigmax_llm_budget_refusals_total", "Calls that did not fit into the day's budget")
