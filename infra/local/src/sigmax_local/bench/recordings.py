"""Recordings made for measuring: prices that swing, so that strategies trade as often as a measurement needs."""

from pathlib import Path

import numpy as np
import polars as pl

_START_NS = 1_767_225_600_000_000_000
"""2026-01-01 00:00 UTC."""


def swings(
    path: Path, *, instruments: int, ticks_per_s: int, seconds: int, period_s: float, swing: float = 0.01
) -> int:
    """Write trades of several instruments whose prices swing by a part once in `period_s`; give the number of ticks."""
    count = ticks_per_s * seconds
    index = np.arange(count)
    which = index % instruments
    ts = _START_NS + index * (1_000_000_000 // ticks_per_s)
    # Out of step with each other, or all would trade in the same instant.
    phase = (index / ticks_per_s / period_s + which / instruments) % 1.0
    height = np.abs(phase * 2 - 1) - 0.5
    price = np.round((100 + which) * (1 + swing * height), 2)
    frame = pl.DataFrame(
        {
            "ts": ts,
            "symbol": [f"B{number:03d}USDT" for number in which],
            "price": price,
            "qty": np.full(count, 1000.0),
            "side": ["buy" if number % 2 else "sell" for number in index],
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)
    return count
