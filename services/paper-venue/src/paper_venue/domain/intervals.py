"""The lengths a kline may have."""

from dataclasses import dataclass

from paper_venue.domain import errors

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FIXED = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Interval:
    """A kline length. `seconds` is None for a month, which has no fixed one."""

    name: str
    seconds: int | None


INTERVALS = {
    **{name: Interval(name, int(name[:-1]) * _UNITS_S[name[-1]]) for name in _FIXED},
    "1w": Interval("1w", 7 * 86_400),
    "1M": Interval("1M", None),
}


def interval_of(name: str) -> Interval:
    """Give the interval of that name. Raises `DialectError` for any other."""
    try:
        return INTERVALS[name]
    except KeyError:
        raise errors.INVALID_INTERVAL.error() from None
