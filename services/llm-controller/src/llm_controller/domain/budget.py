"""What calls may cost: reserved at the worst before a call, settled at the real figure after it.

A budget that cannot be kept refuses the call. What a crash leaves reserved stays so until the day ends: too little is
spent rather than too much.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from llm_controller.domain.prompt import Prompt

_MILLION = Decimal(1_000_000)
_BYTES_PER_TOKEN = 2
"""Fewer than any tokenizer needs for the texts we send, so that the estimate is too high rather than too low."""
_OVERHEAD_TOKENS = 200


@dataclass(frozen=True)
class Prices:
    """What a model's tokens cost, in USD per million."""

    input_usd: Decimal
    output_usd: Decimal

    def cost(self, usage: "Usage") -> Decimal:
        """Give the price of some tokens, in USD."""
        return (usage.input_tokens * self.input_usd + usage.output_tokens * self.output_usd) / _MILLION


@dataclass(frozen=True)
class Usage:
    """Tokens read and written."""

    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """Give their sum."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Budget:
    """The most that one UTC day may take."""

    tokens_per_day: int
    cost_usd_per_day: Decimal
    output_tokens_max: int
    prices: Prices


@dataclass(frozen=True)
class Spent:
    """What a day has taken, reservations included."""

    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True)
class Reservation:
    """The most that one call can take, charged to one day."""

    day: date
    tokens: int
    cost_usd: Decimal


def reservation_for(prompt: Prompt, budget: Budget, day: date) -> Reservation:
    """Estimate a call at its worst: every byte counted dearly, and the whole answer used."""
    size = len(prompt.system.encode()) + len(prompt.user.encode())
    worst = Usage(size // _BYTES_PER_TOKEN + _OVERHEAD_TOKENS, budget.output_tokens_max)
    return Reservation(day, worst.tokens, budget.prices.cost(worst))


def refusal(spent: Spent, wanted: Reservation, budget: Budget) -> str | None:
    """Say why a call does not fit into what is left of the day; None when it does."""
    if spent.tokens + wanted.tokens > budget.tokens_per_day:
        return f"The day's {budget.tokens_per_day} model tokens are used up ({spent.tokens} so far)."
    if spent.cost_usd + wanted.cost_usd > budget.cost_usd_per_day:
        return f"The day's model budget of {budget.cost_usd_per_day} USD is used up ({spent.cost_usd:.4f} so far)."
    return None
