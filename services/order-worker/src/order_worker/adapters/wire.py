"""Watches the wire: the last look at the clock before a submit is written, and proof of whether a byte left the host.

ccxt signs (which freezes the timestamp), then hands the request to aiohttp, which calls us once the connection stands
and before it writes. Raising there keeps the request from leaving, and ccxt stays as it is.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from sigmax.runtime.clock import ClockPort


class DeadlinePassedError(Exception):
    """The moment up to which the order might have been sent has gone by: no byte was written."""


class SecondRequestError(Exception):
    """Something below us was about to send the order again, after a redirect for example. It was kept from it."""


@dataclass
class Attempt:
    """One submit on its way."""

    deadline: datetime
    sent_at: datetime | None = None
    """When its first byte was about to leave."""


current_attempt: ContextVar[Attempt | None] = ContextVar("current_attempt", default=None)


def watched_session(clock: ClockPort, connections_max: int) -> aiohttp.ClientSession:
    """Make a session that looks at the clock before it writes a submit."""

    async def before_writing(_session: object, _context: object, _parameters: object) -> None:
        attempt = current_attempt.get()
        if attempt is None:
            return
        if attempt.sent_at is not None:
            raise SecondRequestError
        now = clock.now()
        if now > attempt.deadline:
            raise DeadlinePassedError(f"the send deadline {attempt.deadline:%H:%M:%S.%f} had passed")
        attempt.sent_at = now

    traces = aiohttp.TraceConfig()
    traces.on_request_headers_sent.append(before_writing)
    connector = aiohttp.TCPConnector(limit=connections_max)
    return aiohttp.ClientSession(trace_configs=[traces], connector=connector)
