"""Where a stack's prices come from: a live exchange, one's own file, or a recording of real ticks from PyPI."""

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

_PROBE_TIMEOUT_S = 2.5
_LIVE = (
    ("binance", "https://api.binance.com/api/v3/time", ("BTC/USDT", "ETH/USDT"), "USDT"),
    ("kraken", "https://api.kraken.com/0/public/Time", ("BTC/USD", "ETH/USD"), "USD"),
)
"""Exchange (ccxt's name), a public address that answers quickly, what to watch, and its quote currency."""

_SAMPLE_PACKAGE = "mlfinpy==0.1.2"
_SAMPLE_SHA256 = "2e0237e0a5f693bb1c7e9758e52ec03033a4d24ecee1162899d8241d7340e3f2"
_SAMPLE_SPEED = 120.0

_BARS_PER_S = 6
"""Bars that strategies see in a second of a demo: enough to watch them trade."""
_FILE_LASTS_S = 90
"""A recording of one's own is played so fast that it lasts about so long, when no speed is asked for."""
_SPEED_MAX = 240.0
_SPEED_ASKED_MAX = 100_000
_NIGHT_MAX_S = 3600
"""On the wall: a weekend at 60x is longer than 40 minutes."""
_CAPITAL_USD = 500_000
_UNITS_PER_USD = {"KRW": "1400", "JPY": "150", "BTC": "0.00001", "ETH": "0.0003"}
"""Rough worth of a dollar, so that capital and limits fit what an instrument is quoted in."""
_ORDER_USD_MAX = 25_000
_POSITION_USD_MAX = 50_000
_TURNOVER_USD_MAX = {"minute": 250_000, "hour": 2_500_000, "day": 20_000_000}


class FeedError(RuntimeError):
    """There are no prices to trade on. The text says why and what to do."""


@dataclass(frozen=True)
class Feed:
    """Prices, and the settings that follow from them."""

    name: str
    """Names the data folder: each feed has books of its own, because currency and history differ."""
    title: str
    currency: str
    collector: Mapping[str, str]
    timeframe_s: int

    def settings_of(self, service: str) -> dict[str, str]:
        """Give what this feed means to a service, by name of its settings."""
        account = {"account_currency": self.currency}
        if service == "collector":
            return dict(self.collector)
        if service == "strategy-engine":
            return {"seed_timeframe_s": str(self.timeframe_s)}
        if service == "risk-gate":
            limits = {
                "order_notional_max": _in(self.currency, _ORDER_USD_MAX),
                "position_notional_max": _in(self.currency, _POSITION_USD_MAX),
            }
            return {**account, **self._gaps(), "start_limits": json.dumps({**limits, **self._pace()})}
        if service == "order-worker":
            return account
        if service == "paper-venue":
            return {"opening_balances": json.dumps({self.currency: _in(self.currency, _CAPITAL_USD)})}
        return {}

    def _gaps(self) -> dict[str, str]:
        """Say that the nights of a recording which runs faster than the clock are no outages: they last seconds.

        Elsewhere every gap counts, and that is said as well: an `.env` keeps what an earlier feed wrote there.
        """
        is_fast = float(self.collector.get("replay_speed", "1")) > 1
        return {"ladder_gap_floor_s": str(_NIGHT_MAX_S if is_fast else 0)}

    def _pace(self) -> dict[str, object]:
        """Give the limits that count by the clock on the wall, for a recording that runs faster than it.

        At 1x they are the gate's own, but for the turnover, which is counted in the currency and fits the capital here.
        """
        speed = max(1.0, float(self.collector.get("replay_speed", "1")))
        per_strategy, times = min(_BARS_PER_S, math.ceil(speed)), math.ceil(speed)
        paced: dict[str, object] = {
            "strategy_orders_per_s_max": per_strategy,
            "account_orders_per_s_max": 5 * per_strategy,
            "strategy_orders_per_run_max": 1000 * times,
            "strategy_orders_per_day_max": 200 * times,
            "account_orders_per_day_max": 500 * times,
            "duplicate_window_s": max(1, round(10 / speed)),
            "working_s_max": max(2, round(10 / speed)),
            "streak_window_s": max(1, round(3600 / speed)),
            "streak_lock_s": max(1, round(3600 / speed)),
        }
        for window, usd in _TURNOVER_USD_MAX.items():
            paced[f"turnover_per_{window}_max"] = _in(self.currency, usd * times)
        if speed > 1:
            # A minute on the wall is hours of the recording, and moves as far as those do.
            paced |= {"loss_minute_max_pct": "5", "loss_day_max_pct": "20", "drawdown_max_pct": "40"}
        return paced


def _in(currency: str, usd: int) -> str:
    amount = float(usd) * float(_UNITS_PER_USD.get(currency, "1"))
    return f"{amount:.8f}".rstrip("0").rstrip(".")


def choose_feed(data: Path | None, speed: float | None, source: str, cache: Path) -> Feed:
    """Give one's own file, else live prices where `source` (auto, live, sample) and the network allow, else the sample.

    Raises `FeedError`.
    """
    if speed is not None and not 0 < speed <= _SPEED_ASKED_MAX:
        raise FeedError(f"The speed is a factor above 0 and up to {_SPEED_ASKED_MAX:,}, not {speed:g}.")
    if data is not None:
        return file_feed(data, speed)
    live = live_feed() if source != "sample" else None
    if live is not None:
        return live
    if source == "live":
        raise FeedError("No exchange that is known here can be reached.")
    return sample_feed(cache, speed)


def timeframe_for(speed: float) -> int:
    """Give the seconds of a bar of which a demo sees a few per second."""
    return min(60, max(1, round(speed / _BARS_PER_S)))


def live_feed() -> Feed | None:
    """Give the first exchange that can be reached from here; None when none can."""
    with httpx2.Client(timeout=_PROBE_TIMEOUT_S) as client:
        for exchange, address, symbols, currency in _LIVE:
            try:
                client.get(address).raise_for_status()
            except httpx2.HTTPError:
                continue
            collector = {"source": "ccxt", "ccxt_exchange": exchange, "symbols": ",".join(symbols)}
            title = f"live trades of {' and '.join(symbols)} at {exchange}"
            return Feed(f"live-{exchange}", title, currency, collector, timeframe_s=1)
    return None


def file_feed(path: Path, speed: float | None = None) -> Feed:
    """Give a replay of one's own trades or bars.

    Raises `FeedError` with the collector's words, which name file, column, and row, when the file cannot be replayed.
    """
    found = _survey(path)
    quotes: list[str] = found["quotes"]
    if len(quotes) != 1:
        raise FeedError(f"{path}: the instruments are quoted in {', '.join(quotes)}; one account trades one currency.")
    span_s = (found["last_ts"] - found["first_ts"]) / 1e9
    chosen = speed or _default_speed(span_s, found["bar_seconds"])
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    title = f"{found['rows']:,} recorded {found['kind']} of {', '.join(found['instruments'])} at {chosen:g}x"
    return Feed(f"file-{digest}", title, quotes[0], _replay(path, chosen), timeframe_for(chosen))


def sample_feed(cache: Path, speed: float | None = None) -> Feed:
    """Give a replay of the 500,000 real E-mini S&P 500 ticks of the package mlfinpy, fetched once.

    Raises `FeedError` when they are not there and PyPI cannot be reached.
    """
    path = cache / "sample" / "es_ticks_20130901.csv"
    if not path.exists():
        _make_sample(path)
    chosen = speed or _SAMPLE_SPEED
    title = f"500,000 recorded trades of the E-mini S&P 500 (September 2013) at {chosen:g}x"
    return Feed("sample", title, "USD", _replay(path, chosen), timeframe_for(chosen))


def cache_folder() -> Path:
    """Give the one folder outside the clone that is written to."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "sigmax"


def _replay(path: Path, speed: float) -> dict[str, str]:
    return {
        "source": "replay",
        "replay_file": str(path.resolve()),
        "replay_speed": f"{speed:g}",
        "replay_loop": "true",
    }


def _default_speed(span_s: float, bar_seconds: int | None) -> float:
    if bar_seconds is not None:
        return float(min(_SPEED_MAX, max(1, bar_seconds * _BARS_PER_S)))
    return float(min(_SPEED_MAX, max(1.0, round(span_s / _FILE_LASTS_S, 1))))


def _survey(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_ask_collector("check", path))
    return found


def _make_sample(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wheel = _download_sample(path.parent)
    _ask_collector("sample", wheel, path)
    wheel.unlink()


def _ask_collector(module: str, *paths: Path) -> str:
    """Run a module of the collector, which alone knows recordings; give what it says. Raises `FeedError`."""
    command = [sys.executable, "-m", f"collector.{module}", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FeedError(done.stderr.strip() or f"python -m collector.{module} failed on {paths[0]}")
    return done.stdout


def _download_sample(folder: Path) -> Path:
    # The package is read, never installed: pip checks that it is the one we know.
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{_SAMPLE_PACKAGE} --hash=sha256:{_SAMPLE_SHA256}\n", encoding="ascii")
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--no-cache-dir"),
        *("--disable-pip-version-check", "--dest", str(folder), "-r", str(requirement)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    requirement.unlink()
    wheel = next(folder.glob("mlfinpy-*.whl"), None)
    if done.returncode != 0 or wheel is None:
        reason = (done.stderr.strip().splitlines() or ["pip gave no file"])[-1]
        raise FeedError(
            "No exchange can be reached from here, and the recorded sample could not be fetched from PyPI "
            f"({_SAMPLE_PACKAGE}): {reason}\nReplay a file of your own instead: make demo DATA=trades.parquet"
        )
    return wheel
