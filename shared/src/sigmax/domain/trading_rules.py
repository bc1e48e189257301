"""In which steps and sizes a venue lets an instrument trade."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Self

from sigmax.domain.fees import EXACT
from sigmax.schemas.market import Instrument

_ZERO = Decimal(0)


class Refusal(StrEnum):
    """Why a venue refuses an order. Members stand in order of precedence."""

    UNKNOWN_INSTRUMENT = "unknown_instrument"
    MARKET_CLOSED = "market_closed"
    PRICE_FILTER = "price_filter"
    PERCENT_PRICE_BY_SIDE = "percent_price_by_side"
    LOT_SIZE = "lot_size"
    MARKET_LOT_SIZE = "market_lot_size"
    NOTIONAL = "notional"
    MAX_NUM_ORDERS = "max_num_orders"
    MAX_NUM_ALGO_ORDERS = "max_num_algo_orders"
    DUPLICATE_CLIENT_ORDER_ID = "duplicate_client_order_id"
    WOULD_TRIGGER = "would_trigger"
    WOULD_TAKE = "would_take"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    UNKNOWN_ORDER = "unknown_order"


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round down to a whole number of steps."""
    return EXACT.multiply((value / step).to_integral_value(ROUND_FLOOR), step)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Round up to a whole number of steps."""
    return EXACT.multiply((value / step).to_integral_value(ROUND_CEILING), step)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Say whether `value` is a whole number of steps."""
    return not EXACT.remainder(value, step)


@dataclass(frozen=True, slots=True)
class TradingRules:
    """One instrument's filters. Prices are quote per base, quantities base units, notionals quote units."""

    instrument_id: str
    base: str
    quote: str
    tick_size: Decimal
    lot_size: Decimal
    quantity_min: Decimal
    notional_min: Decimal
    is_tradable: bool = True
    price_max: Decimal = Decimal(1_000_000_000)
    quantity_max: Decimal = Decimal(9_000_000_000)
    notional_max: Decimal = Decimal(100_000_000_000)
    price_factor_max: Decimal = Decimal(5)
    """A limit price may stand this many times above the last price, or that part of it below."""
    orders_open_max: int = 200
    stops_open_max: int = 5
    """Stops that wait, per account."""

    @property
    def symbol(self) -> str:
        """Give the venue's name of the instrument: `BTCUSDT`."""
        return self.base + self.quote

    @classmethod
    def of(cls, instrument: Instrument) -> Self:
        """Take the rules from what the collector says of an instrument."""
        return cls(
            instrument_id=instrument.instrument_id,
            base=instrument.base,
            quote=instrument.quote,
            tick_size=instrument.tick_size,
            lot_size=instrument.lot_size,
            quantity_min=max(instrument.quantity_min, instrument.lot_size),
            notional_min=instrument.notional_min,
            is_tradable=instrument.is_tradable,
        )

    def broken_by_stop_price(self, price: Decimal) -> Refusal | None:
        """Name the filter that a stop price breaks."""
        if not self.tick_size <= price <= self.price_max or not is_multiple(price, self.tick_size):
            return Refusal.PRICE_FILTER
        return None

    def broken_by_price(self, price: Decimal, last: Decimal) -> Refusal | None:
        """Name the filter that a limit price breaks, held against the last traded price."""
        if not self.tick_size <= price <= self.price_max or not is_multiple(price, self.tick_size):
            return Refusal.PRICE_FILTER
        if not last / self.price_factor_max <= price <= last * self.price_factor_max:
            return Refusal.PERCENT_PRICE_BY_SIDE
        return None

    def broken_by_quantity(self, quantity: Decimal) -> Refusal | None:
        """Name the filter that a quantity breaks."""
        if not self.quantity_min <= quantity <= self.quantity_max or not is_multiple(quantity, self.lot_size):
            return Refusal.LOT_SIZE
        return None

    def broken_by_notional(self, notional: Decimal) -> Refusal | None:
        """Name the filter that price times quantity breaks."""
        if notional < self.notional_min or notional > self.notional_max or notional <= _ZERO:
            return Refusal.NOTIONAL
        return None
