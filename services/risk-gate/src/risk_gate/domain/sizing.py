"""From a wish to an order: which side, how much, and at which price at worst."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from risk_gate.domain.limits import POSTURES, RiskLimits
from risk_gate.domain.situation import ZERO, Grounds, Judgement
from sigmax.domain.fees import EXACT
from sigmax.schemas.market import Instrument, Quote
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import Action, OrderType, Side, Stage, TimeInForce

_HUNDRED = Decimal(100)
_BPS = Decimal(10_000)
_HALF = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Order:
    """An order as sized, not yet checked. A quantity of 0 means that nothing tradable was left."""

    side: Side
    quantity: Decimal
    limit_price: Decimal
    reference_price: Decimal
    """The price at the market now: the ask to a buyer, the bid to a seller, else the last trade."""
    reduce_only: bool
    note: str = ""
    """What bounded the size, for the person who reads the verdict."""
    order_type: OrderType = OrderType.LIMIT
    """A market order has a limit price here too, for the checks: what it should fetch at worst."""
    time_in_force: TimeInForce = TimeInForce.IOC
    """An entry that is good until canceled waits at the touch for a while, and does not go through the market."""
    trigger_price: Decimal | None = None

    @property
    def notional(self) -> Decimal:
        """Give the most that the order is worth: at its limit or at the market, whichever is more."""
        return self.quantity * max(self.limit_price, self.reference_price)


def side_of(action: Action) -> Side:
    """Give the side of an action; short positions are not opened, so whatever sells also reduces."""
    return Side.BUY if action in {Action.BUY, Action.DCA} else Side.SELL


def percent_of(whole: Decimal, percent: Decimal) -> Decimal:
    """Give a percentage of something."""
    return whole * percent / _HUNDRED


def marketable_price(side: Side, reference: Decimal, offset_bps: Decimal, tick_size: Decimal) -> Decimal:
    """Bound a market order: a limit a little through the market, rounded to the tick that gives away less."""
    edge = EXACT.multiply(reference, (_BPS + side.sign * offset_bps) / _BPS)
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    return EXACT.multiply(EXACT.divide(edge, tick_size).to_integral_value(rounding), tick_size)


def touch_price(side: Side, quote: Quote, tick_size: Decimal) -> Decimal:
    """Give the price at which an order waits first in line: the bid of a buyer, rounded to the tick that pays less."""
    touch = (quote.bid if side is Side.BUY else quote.ask) or quote.last
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    ticks = EXACT.divide(touch, tick_size).to_integral_value(rounding)
    return EXACT.multiply(max(ticks, Decimal(1)), tick_size)


def floor_quantity(quantity: Decimal, lot_size: Decimal) -> Decimal:
    """Round a quantity down to whole lots, never up and never below 0."""
    return EXACT.multiply(EXACT.divide_int(max(quantity, ZERO), lot_size), lot_size)


def affordable_quantity(notional: Decimal, price: Decimal, lot_size: Decimal) -> Decimal:
    """Give the most whole lots that cost no more than `notional`, exactly: nothing is rounded on the way."""
    return EXACT.multiply(EXACT.divide_int(max(notional, ZERO), EXACT.multiply(price, lot_size)), lot_size)


def market_reference(side: Side, quote: Quote) -> Decimal:
    """Give the price at which the market would take the order now."""
    return (quote.ask if side is Side.BUY else quote.bid) or quote.last


def size(signal: Signal, grounds: Grounds, judgement: Judgement) -> Order:
    """Size one signal. Every number must be finite, and prices above zero."""
    limits, lot_size = grounds.limits, grounds.instrument.lot_size
    side = side_of(signal.action)
    reference = market_reference(side, grounds.quote)
    tick_size = grounds.instrument.tick_size
    rests = side is Side.BUY and rests_at_touch(signal, grounds)
    limit_price = (
        touch_price(side, grounds.quote, tick_size)
        if rests
        else marketable_price(side, reference, limits.limit_offset_bps, tick_size)
    )
    price = max(limit_price, reference)
    held = grounds.book.sellable_quantity(signal.instrument_id, signal.strategy_id)
    if signal.action is Action.CLOSE:
        quantity = floor_quantity(min(held, largest_order(limits, grounds.instrument, price)), lot_size)
        note = f"closes {quantity} of {held} held"
        return Order(side, quantity, limit_price, reference, reduce_only=True, note=note)

    notional, note = _entry_notional(signal, grounds, judgement)
    volume = percent_of(grounds.quote.minute_volume, limits.volume_share_max_pct)
    quantity = min(affordable_quantity(notional, price, lot_size), floor_quantity(volume, lot_size))
    if side is Side.SELL and held:
        # What is not held cannot be sold; with nothing held the full size stands, for the control to name.
        quantity = min(quantity, floor_quantity(held, lot_size))
    lives = TimeInForce.GTC if rests else TimeInForce.IOC
    return Order(side, quantity, limit_price, reference, reduce_only=side is Side.SELL, note=note, time_in_force=lives)


def rests_at_touch(signal: Signal, grounds: Grounds) -> bool:
    """Say whether an entry is among the posture's share of limit orders: the same for the same signal, always."""
    share_pct = grounds.limits.posture_limit_share_pct[grounds.posture]
    return signal.message_id.int % 100 < share_pct


def _entry_notional(signal: Signal, grounds: Grounds, judgement: Judgement) -> tuple[Decimal, str]:
    """Give what an entry may cost: the posture's part of equity, lowered by doubt, bounded by risk and budget."""
    book, prices, equity, limits = grounds.book, grounds.prices, grounds.equity, grounds.limits
    entry_pct = POSTURES[grounds.posture].entry_pct
    conviction = (_HALF + _HALF * signal.strength) * judgement.size_factor
    if grounds.stage is Stage.CAUTION:
        conviction *= _HALF
    wanted = percent_of(equity, entry_pct) * conviction
    held = sum((quantity * prices.get(name, ZERO) for name, quantity in book.own.items() if quantity > 0), ZERO)
    budget = percent_of(equity, limits.strategy_budget_pct) - held - book.reserved_cash(signal.strategy_id)
    bounds = [wanted, budget]
    note = f"{entry_pct} % of {equity:.2f} times {conviction:.3f}, budget left {max(budget, ZERO):.2f}"
    if grounds.volatility_pct > 0:
        risked = percent_of(equity, limits.trade_risk_max_pct) * _HUNDRED / grounds.volatility_pct
        bounds.append(risked)
        note += f", at most {risked:.2f} at {grounds.volatility_pct:.2f} % a day"
    return min(bounds), note


def largest_order(limits: RiskLimits, instrument: Instrument, price: Decimal) -> Decimal:
    """Give the most that one order may close: what is more is closed by the next."""
    by_notional = affordable_quantity(limits.order_notional_max, price, instrument.lot_size)
    by_quantity = limits.order_quantity_max.get(instrument.instrument_id)
    return by_notional if by_quantity is None else min(by_notional, by_quantity)
