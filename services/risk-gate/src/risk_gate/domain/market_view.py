"""What the ladder sees of the markets: made from quotes, fills, and what is held."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.ladder import LadderRule, MarketView
from risk_gate.domain.watchdogs import Watched
from sigmax.schemas.market import Instrument, Quote, moment, symbol_of

FILL_AGE_MAX = timedelta(seconds=5)
"""An older fill says nothing of the price now: markets move."""


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
    fills: Mapping[str, tuple[Decimal, datetime]],
    now: datetime,
) -> tuple[MarketView, ...]:
    """Give what the ladder sees of each instrument. One that the collector does not list any more has no price."""
    prices = fresh_prices(quotes, instruments, now)
    others = twins(names, instruments)
    found = []
    for name in names:
        instrument, quote = instruments.get(name), quotes.get(name)
        other_price, other_name = _elsewhere(fills.get(name), others[name], prices, now)
        found.append(
            MarketView(
                instrument_id=name,
                price_age_max_s=Decimal(str(instrument.price_age_max_s)) if instrument else Decimal(0),
                newest_at=moment(quote.received_ns) if quote else None,
                is_open=instrument.is_tradable if instrument else True,
                price=prices.get(name),
                other_price=other_price,
                other_name=other_name,
            )
        )
    return tuple(found)


def _elsewhere(
    fill: tuple[Decimal, datetime] | None, others: Iterable[str], prices: Mapping[str, Decimal], now: datetime
) -> tuple[Decimal | None, str]:
    """Give the price at which our venue just filled, or else the one at another market, and whose it is."""
    if fill is not None and now - fill[1] <= FILL_AGE_MAX:
        return fill[0], "at our venue's last fill"
    twin = next((name for name in others if name in prices), None)
    return (None, "") if twin is None else (prices[twin], f"at {twin}")


def is_any_quiet(markets: Iterable[MarketView], rule: LadderRule, now: datetime) -> bool:
    """Say whether a market has been silent for so long that the whole feed is to be looked at."""
    shortest = timedelta(seconds=float(rule.gap_cached_s))
    return any(market.newest_at is None or now - market.newest_at > shortest for market in markets)
