"""What the ladder sees of the markets: made from quotes, fills, and what is held."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from risk_gate.domain.controls.market import began_at, closed_because
from risk_gate.domain.ladder import LadderRule, MarketView
from risk_gate.domain.watchdogs import Watched
from sigmax.schemas.market import Instrument, Quote, moment, symbol_of

FILL_AGE_MAX = timedelta(seconds=5)
"""An older fill says nothing of the price now: markets move."""
_PRICES_KEPT = FILL_AGE_MAX + timedelta(seconds=3)


class RecentPrices:
    """The prices of the last seconds, as this replica saw them: a fill is held against those of its own time."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[datetime, Decimal]]] = {}

    def note(self, prices: Mapping[str, Decimal], now: datetime) -> None:
        """Remember what was just seen, and forget what is old."""
        for name, price in prices.items():
            self._seen.setdefault(name, deque()).append((now, price))
        for name in list(self._seen):
            seen = self._seen[name]
            while seen and now - seen[0][0] > _PRICES_KEPT:
                seen.popleft()
            if not seen:
                del self._seen[name]

    def nearest(self, name: str, price: Decimal) -> Decimal | None:
        """Give the price in the range of the last seconds that is nearest to a price; None where none was seen."""
        prices = [each for _, each in self._seen.get(name, ())]
        return min(max(price, min(prices)), max(prices)) if prices else None


def concerned(accounts: Iterable[Watched], instruments: Mapping[str, Instrument]) -> frozenset[str]:
    """Name what is held by a lot or more, or worked on. A remainder that cannot be sold is no reason to sell."""
    return frozenset(
        name
        for watched in accounts
        for name in watched.instruments
        if name in watched.working or _is_sellable(watched, name, instruments.get(name))
    )


def _is_sellable(watched: Watched, name: str, instrument: Instrument | None) -> bool:
    holding = watched.holdings[name]
    most = max(abs(holding.low), abs(holding.high))
    return instrument is None or most >= max(instrument.lot_size, instrument.quantity_min)


def twins(names: Iterable[str], instruments: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give for each instrument the same one at other markets."""
    by_symbol: dict[str, list[str]] = {}
    for name in instruments:
        by_symbol.setdefault(symbol_of(name), []).append(name)
    return {name: tuple(sorted(set(by_symbol.get(symbol_of(name), ())) - {name})) for name in names}


def fresh_prices(
    quotes: Mapping[str, Quote], instruments: Mapping[str, Instrument], now: datetime
) -> dict[str, Decimal]:
    """Give the prices that are as young as their instrument asks."""
    return {
        name: quote.last
        for name, quote in quotes.items()
        if name in instruments and now - moment(quote.received_ns) <= _price_age_max(instruments[name])
    }


def _price_age_max(instrument: Instrument) -> timedelta:
    return timedelta(seconds=instrument.price_age_max_s)


def market_views(
    names: Collection[str],
    instruments: Mapping[str, Instrument],
    quotes: Mapping[str, Quote],
    *,
    fills: Mapping[str, tuple[Decimal, datetime]],
    recent: RecentPrices,
    now: datetime,
    accounts: Sequence[Watched] = (),
) -> tuple[MarketView, ...]:
    """Give what the ladder sees of each instrument. One that the collector does not list any more has no price.

    When its market trades, the limits of the accounts say that are concerned by it.
    """
    prices = fresh_prices(quotes, instruments, now)
    recent.note({name: prices[name] for name in names if name in prices}, now)
    others = twins(names, instruments)
    found = []
    for name in names:
        instrument, quote = instruments.get(name), quotes.get(name)
        price, fill = prices.get(name), fills.get(name)
        other_price, other_name = _elsewhere(others[name], prices)
        if fill is not None and now - fill[1] <= FILL_AGE_MAX:
            price, other_price, other_name = recent.nearest(name, fill[0]), fill[0], "at our venue's last fill"
        found.append(
            MarketView(
                instrument_id=name,
                price_age_max_s=Decimal(str(instrument.price_age_max_s)) if instrument else Decimal(0),
                newest_at=moment(quote.received_ns) if quote else None,
                **_hours(name, instrument, accounts, now),
                price=price,
                other_price=other_price,
                other_name=other_name,
            )
        )
    return tuple(found)


def _hours(name: str, instrument: Instrument | None, accounts: Sequence[Watched], now: datetime) -> dict[str, Any]:
    if instrument is None:
        return {}
    told = [(each.account.venue, each.limits) for each in accounts if name in each.instruments and each.limits]
    is_open = instrument.is_tradable and all(closed_because(instrument, *of, now) is None for of in told)
    begins = [at for of in told if (at := began_at(instrument, *of, now)) is not None]
    return {"is_open": is_open, "began_at": max(begins, default=None)}


def _elsewhere(others: Iterable[str], prices: Mapping[str, Decimal]) -> tuple[Decimal | None, str]:
    """Give the price at another market, and which that is."""
    twin = next((name for name in others if name in prices), None)
    return (None, "") if twin is None else (prices[twin], f"at {twin}")


def is_any_quiet(markets: Iterable[MarketView], rule: LadderRule, now: datetime) -> bool:
    """Say whether a market has been silent for so long that the whole feed is to be looked at."""
    shortest = timedelta(seconds=float(rule.gap_cached_s))
    return any(market.newest_at is None or now - market.newest_at > shortest for market in markets)
