"""The venue's own list of orders, every page of it: evidence of what is there, and, whole, of what is not."""

from datetime import datetime
from functools import partial
from typing import Any

from order_worker.adapters.asking import Asking
from order_worker.adapters.dialect import LISTED_TYPES, listed_of
from order_worker.domain.matching import Listed
from order_worker.domain.sightings import Capabilities
from order_worker.ports import VenueError

_PAGE = 1000
"""Asked for; a venue may give fewer, so a page says nothing about whether it is the last."""
_PAGES_MAX = 200
_WEIGHT = 20


class Listing:
    """Reads the list through one worker's way to the venue."""

    def __init__(self, asking: Asking, capabilities: Capabilities) -> None:
        self._asking = asking
        self._capabilities = capabilities
        self._has_failed = False

    async def read(self, exchange: Any, symbol: str, since: datetime) -> list[Listed]:
        """Give every order placed since a time. Raises `VenueError` for a list that proves nothing."""
        try:
            found = await self._pages(exchange, symbol, since)
        except VenueError:
            self._has_failed = True
            raise
        has_failed, self._has_failed = self._has_failed, False
        if has_failed and not found:
            raise VenueError("an empty list right after an error says nothing")
        return found

    async def _pages(self, exchange: Any, symbol: str, since: datetime) -> list[Listed]:
        """Ask for page after page, each once: a list with an error in it is no list. Pages go on from the newest id."""
        found: list[Listed] = []
        start_ms: int | None = int(since.timestamp() * 1000)
        params: dict[str, Any] = {}
        for _ in range(_PAGES_MAX):
            ask = partial(exchange.fetch_orders, symbol, start_ms, _PAGE, params)
            page = await self._asking.ask(ask, _WEIGHT, is_retried=False)
            if not page:
                return found
            # What we never send (a take-profit, for example) is none of ours, and left out.
            found += [listed_of(each, self._capabilities) for each in page if each.get("type") in LISTED_TYPES]
            start_ms, params = None, {"orderId": max(int(each["id"]) for each in page) + 1}
        raise VenueError(f"more than {_PAGES_MAX} pages of orders in {symbol} since {since}")
