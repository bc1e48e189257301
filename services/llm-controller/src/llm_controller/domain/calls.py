"""One call of a model, as it went: what the tape keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from llm_controller.domain.budget import Prices, Reservation, Usage


@dataclass(frozen=True)
class Call:
    """The outcome of asking a model once."""

    endpoint: str
    model: str
    parameters: Mapping[str, Any]
    reply: str | None
    """Raw, as the model gave it; None when none came."""
    error: str | None
    """Why there is no reply."""
    latency_ms: Decimal
    usage: Usage | None
    """None when nobody knows what the endpoint counted: then the whole reservation is charged."""


def charged(call: Call, reserved: Reservation, prices: Prices) -> Reservation:
    """Give what a call takes from its day's budget."""
    if call.usage is None:
        return reserved
    return Reservation(reserved.day, call.usage.tokens, prices.cost(call.usage))
