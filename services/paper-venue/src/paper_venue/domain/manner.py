"""In what this venue may be unlike Binance, so that clients can be tested against venues that keep less."""

from dataclasses import dataclass
from typing import Any

from paper_venue.domain import errors
from paper_venue.domain.params import Params

BRANCH = "00950"
"""What a cancel has to name beside the order, where the venue keeps no client ids."""
ROWS_MAX = 1000

_NAMES = ("clientOrderId", "origClientOrderId")


@dataclass(slots=True)
class Manner:
    """What the venue keeps and tells of orders; from the start on what Binance does."""

    client_ids: bool = True
    """Where not: names that the client gives are ignored, orders are named by the venue's id alone, every answer has a
    `branch` that a cancel repeats, and neither `timestamp` nor `recvWindow` keeps a late request out."""
    execution_ids: bool = True
    """Where not: what has filled in all is told, and no trade."""
    orders_page_max: int = ROWS_MAX
    """Rows of a page of `allOrders`, however many are asked for."""

    def order_told(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Give what is told of an order."""
        left_out = () if self.execution_ids else ("fills",)
        if self.client_ids:
            return {name: value for name, value in answer.items() if name not in left_out}
        return {name: value for name, value in answer.items() if name not in (*left_out, *_NAMES)} | {"branch": BRANCH}

    def event_told(self, event: dict[str, Any]) -> dict[str, Any]:
        """Give what is told of an order on the user stream."""
        if event.get("e") == "executionReport":
            if not self.client_ids:
                event = event | {"c": "", "C": "", "branch": BRANCH}
            if not self.execution_ids:
                event = event | {"t": -1}
        return event

    def heard(self, params: Params) -> Params:
        """Give the parameters that count. Raises `DialectError` for a branch that nobody asked for."""
        if self.client_ids and "branch" in params:
            raise errors.unknown_parameters(len(params.values) - 1, len(params.values))
        if self.client_ids:
            return params
        named = ("newClientOrderId", "origClientOrderId")
        return Params({name: value for name, value in params.values.items() if name not in named})

    def check_branch(self, params: Params) -> None:
        """Raise `DialectError` for a cancel that does not name the branch of its order."""
        if not self.client_ids and params.values.get("branch") != BRANCH:
            raise errors.UNKNOWN_ORDER.error()
