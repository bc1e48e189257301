"""Watches the wire: the last look at the clock before a submit is written, and proof of whether a byte left the host.

ccxt signs (which freezes the timestamp), then hands the request to aiohttp, which calls us once the connection stands
and before it writes. Raising there keeps the request from leaving, and ccxt stays as it is.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from sigmax.runtime.clock import ClockPort

_TOO_MANY = frozenset({418, 429})


class DeadlinePassedError(Exception):
    """The moment up to which the order might have been sent has gone by: no byte was written."""


class SecondRequestError(Exception):
    """Something below us was about to send the order again, after a redirect for example. It was kept from it."""


@dataclass
class Attempt:
    """One request on its way."""

    deadline: datetime | None = None
    """Of a submit, which leaves once and not after this; None for what may be asked again."""
    sent_at: datetime | None = None
    """When its first byte was about to leave."""
    retry_after_s: float | None = None
    """How long the venue wants to be left alone, where it answered "too many"."""


current_attempt: ContextVar[Attempt | None] = ContextVar("current_attempt", default=None)


def watched_session(clock: ClockPort, connections_max: int) -> aiohttp.ClientSession:
    """Make a session that looks at the clock before it writes a submit."""

    async def before_writing(_session: object, _context: object, _parameters: object) -> None:
        attempt = current_attempt.get()
        if attempt is None:
            return
        now = clock.now()
        if attempt.deadline is not None:
            if attempt.sent_at is not None:
                raise SecondRequestError
            if now > attempt.deadline:
                raise DeadlinePassedError(f"the send deadline {attempt.deadline:%H:%M:%S.%f} had passed")
        attempt.sent_at = now

    async def after_answer(_session: object, _context: object, told: aiohttp.TraceRequestEndParams) -> None:
        attempt = current_attempt.get()
        if attempt is not None and told.response.status in _TOO_MANY:
            attempt.retry_after_s = _seconds(told.response.headers.get("Retry-After"))

    traces = aiohttp.TraceConfig()
    traces.on_request_headers_sent.append(before_writing)
    traces.on_request_end.append(after_answer)
    connector = aiohttp.TCPConnector(limit=connections_max)
    return aiohttp.ClientSession(trace_configs=[traces], connector=connector)


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
