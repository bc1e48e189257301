"""Ticks, counted from the collectors' heartbeats."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from api_gateway.domain.health import newest_of
from sigmax.schemas.market import TICKS_ACCEPTED, Heartbeat, nanoseconds

_WINDOW_NS = 10_000_000_000
"""What the rate is taken over: some heartbeats."""


def ticks_of(beats: Iterable[Heartbeat]) -> dict[str, int]:
    """Give what each collector that was heard of has accepted since it started."""
    return {beat.replica: beat.counts[TICKS_ACCEPTED] for beat in newest_of(beats) if TICKS_ACCEPTED in beat.counts}


def ticks_per_s(beats: Iterable[Heartbeat], now: datetime) -> Decimal:
    """Give how fast ticks come in, over all collectors; `beats` are in the order they came."""
    since_ns = nanoseconds(now) - _WINDOW_NS
    looks: dict[str, list[tuple[int, int]]] = {}
    for beat in beats:
        if beat.at_ns >= since_ns and TICKS_ACCEPTED in beat.counts:
            looks.setdefault(beat.replica, []).append((beat.at_ns, beat.counts[TICKS_ACCEPTED]))
    return sum((_rate(one) for one in looks.values()), Decimal(0))


def _rate(looks: list[tuple[int, int]]) -> Decimal:
    elapsed_ns = looks[-1][0] - looks[0][0]
    if elapsed_ns <= 0:
        return Decimal(0)
    # A collector that was restarted counts from 0 again.
    grown = sum(after - before if after >= before else after for (_, before), (_, after) in pairwise(looks))
    return round(Decimal(grown) * 1_000_000_000 / elapsed_ns, 1)
