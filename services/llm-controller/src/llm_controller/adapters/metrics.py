"""What Prometheus reads of llm-controller."""

from prometheus_client import Counter, Gauge, Histogram

from llm_controller.domain.budget import Budget, Spent
from sigmax.runtime.service_levels import Step, measured

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
ANALYSIS_S = measured(Step.ANALYSIS)
BUDGET_USED = Gauge(
    "sigmax_llm_budget_used_ratio", "Part of the day's budget that is used up, reservations included", ["unit"]
)
OUTCOMES = ("used", "failed")


def show_budget(spent: Spent, budget: Budget | None) -> None:
    """Show how much of the day's budget is gone; without a model nothing is spent, and nothing can be."""
    tokens = _part(spent.tokens, budget.tokens_per_day) if budget else 0.0
    cost = _part(float(spent.cost_usd), float(budget.cost_usd_per_day)) if budget else 0.0
    BUDGET_USED.labels("tokens").set(tokens)
    BUDGET_USED.labels("usd").set(cost)


def show_model(model: str) -> None:
    """Have the counts of the configured model begin with 0."""
    for outcome in OUTCOMES:
        CALLS.labels(model, outcome)
    CALL_S.labels(model)
    TOKENS.labels(model)
    COST_USD.labels(model)


def _part(used: float, whole: float) -> float:
    return used / whole if whole else 0.0
