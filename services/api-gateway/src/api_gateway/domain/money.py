"""What an account is worth, from cash, holdings, and the newest prices."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from sigmax.schemas.market import quote_of


@dataclass(frozen=True)
class Holding:
    """One position, as the books have it."""

    instrument_id: str
    quantity: Decimal
    average_price: Decimal


@dataclass(frozen=True)
class Worth:
    """An account's value in its own currency."""

    equity: Decimal | None
    """None while a holding has no price: a guess would look like a fact."""
    holdings_value: Decimal
    unrealized_pnl: Decimal
    unpriced: tuple[str, ...]


def unrealized_pnl(holding: Holding, last: Decimal | None) -> Decimal | None:
    """Give what closing at `last` would bring, fees left out, in the quote currency."""
    return None if last is None else (last - holding.average_price) * holding.quantity


def worth(currency: str, cash: Decimal, holdings: Iterable[Holding], last: Mapping[str, Decimal]) -> Worth:
    """Value one account. Holdings quoted in another currency count as without a price: nothing here converts."""
    value = pnl = Decimal(0)
    unpriced = []
    for holding in holdings:
        if holding.quantity == 0:
            continue
        price = last.get(holding.instrument_id)
        if price is None or quote_of(holding.instrument_id) != currency:
            unpriced.append(holding.instrument_id)
            continue
        value += holding.quantity * price
        pnl += (price - holding.average_price) * holding.quantity
    return Worth(None if unpriced else cash + value, value, pnl, tuple(unpriced))


def trailing_price(best_price: Decimal, trailing_pct: Decimal | None) -> Decimal | None:
    """Give where a trailing stop stands; None where there is none."""
    return None if trailing_pct is None else best_price * (1 - trailing_pct / 100)
