"""Two addresses of one venue behind unmodified ccxt: each request goes to the one that was chosen when it began."""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import ccxt
import structlog

from order_worker.adapters import metrics
from order_worker.domain.endpoints import Endpoint, Endpoints
from sigmax.runtime.clock import ClockPort

log = structlog.get_logger()

_used: ContextVar[Endpoint] = ContextVar("endpoint", default=Endpoint.MAIN)


def api_of(url: str) -> dict[str, Any]:
    """Give what takes the place of a venue's own hosts, as ccxt's Binance names them."""
    base = url.rstrip("/")
    sockets = base.replace("http", "ws", 1)
    return {
        "public": f"{base}/api/v3",
        "private": f"{base}/api/v3",
        "v1": f"{base}/api/v1",
        "sapi": f"{base}/sapi/v1",
        "ws": {"spot": f"{sockets}/stream/ws", "ws-api": {"spot": f"{sockets}/ws-api/v3"}},
    }


class _Addresses(dict[str, Any]):
    """ccxt's addresses, with those of the API as the running request chose them."""

    def __init__(self, urls: Mapping[str, Any], spare: Mapping[str, Any]) -> None:
        super().__init__(urls)
        self._spare = spare

    def __getitem__(self, name: str) -> Any:
        return self._spare if name == "api" and _used.get() is Endpoint.SPARE else super().__getitem__(name)


class Switch:
    """Says where the next request goes, and is told what it met there."""

    def __init__(self, clock: ClockPort, spare_url: str | None) -> None:
        self._clock = clock
        self._spare_url = spare_url
        self._state = Endpoints(has_spare=spare_url is not None)

    def join(self, exchange: Any) -> None:
        """Have an exchange object of ccxt send where each request chose."""
        if self._spare_url is not None:
            exchange.urls = _Addresses(exchange.urls, api_of(self._spare_url))

    def use(self, endpoint: Endpoint | None = None) -> Endpoint:
        """Choose for the request that begins now in this task, and give the choice."""
        chosen = endpoint or self._state.current
        _used.set(chosen)
        return chosen

    def failed(self, used: Endpoint) -> None:
        """Take note of a request that was not answered: the next one goes elsewhere."""
        self._move(self._state.failed(used, self._clock.now()))

    @property
    def is_home_due(self) -> bool:
        """Say whether the main address is to be asked if it answers again."""
        return self._state.is_home_due(self._clock.now())

    def asked_home(self, *, is_answered: bool) -> None:
        """Take note of what the main address said."""
        self._move(self._state.asked_home(self._clock.now(), is_answered=is_answered))

    def _move(self, state: Endpoints) -> None:
        if state.current is not self._state.current:
            log.warning("venue_endpoint_changed", endpoint=str(state.current))
            metrics.on_spare_endpoint.set(state.current is Endpoint.SPARE)
        self._state = state


def hosts_of(venue_class: str, settings: Mapping[str, Any], spare_url: str | None) -> tuple[str, ...]:
    """Name the hosts that requests go to: the one that orders go to, and the spare one."""
    exchange = getattr(ccxt, venue_class)(settings)
    api = exchange.urls["api"]
    found = api if isinstance(api, str) else api.get("private") or api.get("rest") or next(iter(api.values()))
    urls = (exchange.implode_hostname(str(found)), *([spare_url] if spare_url else []))
    return tuple(dict.fromkeys(urlsplit(url).hostname or url for url in urls))
