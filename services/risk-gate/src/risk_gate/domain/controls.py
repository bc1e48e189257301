"""The controls: each a row with the number it saw and the limit it held it against.

`conditions` are asked before anything is sized; `order_checks` of the sized order. Both need every number finite,
which `numbers_check` makes sure of first. Bounds are inclusive: exactly at a limit is within it.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.book import cash_needed
from risk_gate.domain.limits import RATE_WINDOW_S, RiskLimits
from risk_gate.domain.situation import ZERO, Grounds, Judgement, Situation
from risk_gate.domain.sizing import Order, percent_of, side_of
from risk_gate.domain.stages import global_stage, strictest
from sigmax.schemas.market import nanoseconds
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import Action, DenialCode, Side, Stage

NUMBER_MAX = Decimal("1e15")
"""No price, quantity, or sum of money that is real is larger."""
NUMBER_MIN = Decimal("1e-15")
"""Nor is one that must be above zero smaller."""
_STOP_PCT_MAX = Decimal("99.9")
"""A stop at nothing is no stop."""
CLOCK_SKEW_MAX = timedelta(seconds=1)
"""A price or signal from further in the future means that a clock is off."""
_HUNDRED = Decimal(100)


def numbers_check(signal: Signal, situation: Situation) -> Check:
    """Look for a number that is not one: not finite, of the wrong sign, or absurd. Run this before any comparison."""
    for name, value, at_least, at_most in _numbers(signal, situation):
        if value is None or (value.is_finite() and at_least <= value <= at_most):
            continue
        limit = f"finite, {at_least} to {at_most}"
        return _check(5, DenialCode.NUMBER_INVALID, False, f"{name} {value}", limit)
    return _check(5, DenialCode.NUMBER_INVALID, True, "all usable", f"finite, up to {NUMBER_MAX}")


def conditions(signal: Signal, situation: Situation, judgement: Judgement, now: datetime) -> list[Check]:
    """Ask what does not depend on the size: may this account trade this instrument on this signal now?"""
    checks = [
        *_stage_checks(signal, situation),
        _check(
            27,
            DenialCode.LIMIT_MISSING,
            situation.limits is not None,
            "none that can be read" if situation.limits is None else f"version {situation.limits.version}",
            "limits for the account",
        ),
        _check(32, DenialCode.JUDGEMENT_REFUSED, judgement.refused is None, judgement.refused or "passed", "no veto"),
        *_market_checks(signal, situation, now),
    ]
    if situation.limits is not None:
        checks += _age_checks(signal, situation, situation.limits, now)
    return checks


def order_checks(signal: Signal, order: Order, grounds: Grounds, now: datetime) -> list[Check]:
    """Hold a sized order against every limit."""
    return [
        *_size_checks(signal, order, grounds),
        _collar_check(signal, order, grounds),
        *_exposure_checks(signal, order, grounds),
        _cash_check(order, grounds),
        *_pace_checks(signal, order, grounds, now),
        _short_check(signal, order, grounds),
    ]


def _check(control: int, code: DenialCode, passed: bool, seen: object, limit: object) -> Check:
    return Check(control=control, code=code, passed=passed, seen=str(seen)[:200], limit=str(limit)[:200])


def _money(value: Decimal) -> str:
    return f"{value:.2f}"


def _numbers(signal: Signal, situation: Situation) -> Iterator[tuple[str, Decimal | None, Decimal, Decimal]]:
    """Give each number with its name, the least, and the most it may be."""
    yield "reference price", signal.reference_price, NUMBER_MIN, NUMBER_MAX
    yield "strength", signal.strength, ZERO, Decimal(1)
    yield "stop %", signal.stop_pct, ZERO, _STOP_PCT_MAX
    yield "target %", signal.target_pct, ZERO, NUMBER_MAX
    for name, quote in situation.quotes.items():
        yield f"price of {name}", quote.last, NUMBER_MIN, NUMBER_MAX
        yield f"bid of {name}", quote.bid, NUMBER_MIN, NUMBER_MAX
        yield f"ask of {name}", quote.ask, NUMBER_MIN, NUMBER_MAX
        yield f"volume of {name}", quote.minute_volume, ZERO, NUMBER_MAX
    instrument = situation.instrument
    if instrument is not None:
        own = situation.quotes.get(instrument.instrument_id)
        yield "tick size", instrument.tick_size, NUMBER_MIN, own.last if own else NUMBER_MAX
        yield "lot size", instrument.lot_size, NUMBER_MIN, NUMBER_MAX
        yield "smallest quantity", instrument.quantity_min, ZERO, NUMBER_MAX
        yield "smallest notional", instrument.notional_min, ZERO, NUMBER_MAX
    book = situation.book
    yield "cash", book.cash, -NUMBER_MAX, NUMBER_MAX
    for name, holding in book.holdings.items():
        yield f"holding of {name}", holding.filled, -NUMBER_MAX, NUMBER_MAX
        yield f"reported holding of {name}", holding.reported, -NUMBER_MAX, NUMBER_MAX
    for name, quantity in book.own.items():
        yield f"own holding of {name}", quantity, -NUMBER_MAX, NUMBER_MAX


def _stage_checks(signal: Signal, situation: Situation) -> list[Check]:
    platform = global_stage(situation.stages)
    stage, whose = strictest(situation.stages, situation.account, signal.strategy_id, signal.instrument_id)
    reduces = side_of(signal.action) is Side.SELL
    return [
        _check(25, DenialCode.TRADING_HALTED, platform.severity < Stage.HALTED.severity, platform, "not halted"),
        _check(1, DenialCode.TRADING_HALTED, stage.severity < Stage.HALTED.severity, whose, "not halted"),
        _check(
            1,
            DenialCode.TRADING_REDUCING,
            reduces or stage is not Stage.REDUCING,
            whose,
            "only what lowers exposure while reducing",
        ),
    ]


def _market_checks(signal: Signal, situation: Situation, now: datetime) -> list[Check]:
    instrument, account = situation.instrument, situation.account
    if instrument is None:
        seen, limit = "not among the instruments the collector lists", signal.instrument_id
        return [_check(2, DenialCode.INSTRUMENT_NOT_TRADABLE, False, seen, limit)]
    currency = account.currency if account else "none"
    quote = situation.quotes.get(signal.instrument_id)
    age_max_s = Decimal(str(instrument.price_age_max_s))
    checks = [
        _check(
            2,
            DenialCode.INSTRUMENT_NOT_TRADABLE,
            instrument.quote == currency,
            f"quoted in {instrument.quote}",
            f"the account's currency {currency}",
        ),
        _check(
            3, DenialCode.MARKET_CLOSED, instrument.is_tradable, "open" if instrument.is_tradable else "closed", "open"
        ),
    ]
    if situation.limits is not None:
        checks.append(_listed_check(signal.instrument_id, situation.limits))
    if quote is None:
        return [*checks, _check(4, DenialCode.PRICE_STALE, False, "no price", f"{age_max_s} s")]
    age_s = Decimal(nanoseconds(now) - quote.received_ns) / 1_000_000_000
    is_fresh = -Decimal(CLOCK_SKEW_MAX.total_seconds()) <= age_s <= age_max_s
    is_crossed = quote.bid is not None and quote.ask is not None and quote.bid > quote.ask
    checks += [
        _check(4, DenialCode.PRICE_STALE, is_fresh, f"{age_s:.3f} s old", f"{age_max_s} s"),
        _check(4, DenialCode.PRICE_ANOMALOUS, not is_crossed, f"bid {quote.bid}, ask {quote.ask}", "bid at most ask"),
    ]
    if side_of(signal.action) is Side.BUY:
        unpriced = sorted(situation.book.instruments - set(situation.quotes))
        seen = ", ".join(unpriced) or "none"
        checks.append(_check(4, DenialCode.PRICE_STALE, not unpriced, f"without a price: {seen}", "none"))
    return checks


def _listed_check(instrument_id: str, limits: RiskLimits) -> Check:
    is_restricted = instrument_id in limits.instruments_restricted
    is_allowed = limits.instruments_allowed is None or instrument_id in limits.instruments_allowed
    seen = "restricted" if is_restricted else "listed" if is_allowed else "not on the allow-list"
    return _check(2, DenialCode.INSTRUMENT_NOT_TRADABLE, is_allowed and not is_restricted, seen, "listed")


def _age_checks(signal: Signal, situation: Situation, limits: RiskLimits, now: datetime) -> list[Check]:
    age = now - signal.occurred_at
    account = situation.account
    reconciled_at = account.reconciled_at if account else None
    passed = account is not None and account.reconciliation_passed
    reconciliation_age = None if reconciled_at is None else now - reconciled_at
    seen = "never" if reconciliation_age is None else f"{reconciliation_age.total_seconds():.1f} s ago"
    return [
        _check(
            23,
            DenialCode.SIGNAL_EXPIRED,
            now <= signal.valid_until,
            f"decided at {now:%H:%M:%S.%f}",
            f"valid until {signal.valid_until:%H:%M:%S.%f}",
        ),
        _check(
            23,
            DenialCode.SIGNAL_EXPIRED,
            -CLOCK_SKEW_MAX <= age <= timedelta(seconds=limits.signal_age_max_s),
            f"{age.total_seconds():.3f} s old",
            f"{limits.signal_age_max_s} s",
        ),
        _check(
            21,
            DenialCode.RECONCILIATION_MISSING,
            passed
            and reconciliation_age is not None
            and reconciliation_age <= timedelta(seconds=limits.reconciliation_age_max_s),
            f"{'passed' if passed else 'not passed'}, {seen}",
            f"passed, {limits.reconciliation_age_max_s} s ago",
        ),
    ]


def _size_checks(signal: Signal, order: Order, grounds: Grounds) -> list[Check]:
    limits, instrument = grounds.limits, grounds.instrument
    quantity = order.quantity
    quantity_min = max(instrument.quantity_min, instrument.lot_size)
    seen = f"{quantity} ({order.note})" if order.note else str(quantity)
    lowest = quantity * min(order.limit_price, order.reference_price)
    checks = [
        _check(5, DenialCode.QUANTITY_BELOW_MIN, quantity >= quantity_min, seen, quantity_min),
        _check(
            5, DenialCode.NOTIONAL_BELOW_MIN, lowest >= instrument.notional_min, _money(lowest), instrument.notional_min
        ),
        _check(
            6,
            DenialCode.NOTIONAL_EXCEEDS_MAX,
            order.notional <= limits.order_notional_max,
            _money(order.notional),
            limits.order_notional_max,
        ),
    ]
    quantity_max = limits.order_quantity_max.get(signal.instrument_id)
    if quantity_max is not None:
        checks.append(_check(6, DenialCode.QUANTITY_EXCEEDS_MAX, quantity <= quantity_max, quantity, quantity_max))
    if signal.action is Action.CLOSE:
        checks.append(_check(22, DenialCode.NOTHING_TO_CLOSE, quantity > 0, seen, "a holding of one lot or more"))
    else:
        # Who wants out gets out, however thin the market: an exit is not held against the volume.
        volume = percent_of(grounds.quote.minute_volume, limits.volume_share_max_pct)
        limit = f"{volume} ({limits.volume_share_max_pct} % of the last minute)"
        checks.append(_check(6, DenialCode.QUANTITY_EXCEEDS_MAX, quantity <= volume, quantity, limit))
    return checks


def _collar_check(signal: Signal, order: Order, grounds: Grounds) -> Check:
    """Hold the limit against the market's last price and against the price the strategy saw: the further one counts."""
    references = (grounds.quote.last, signal.reference_price)
    furthest = max(abs(order.limit_price / reference - 1) for reference in references) * _HUNDRED
    return _check(
        7,
        DenialCode.PRICE_OUTSIDE_COLLAR,
        furthest <= grounds.limits.price_collar_pct,
        f"{furthest:.3f} % from the reference",
        f"{grounds.limits.price_collar_pct} %",
    )


def _exposure_checks(signal: Signal, order: Order, grounds: Grounds) -> list[Check]:
    """Value what would be held if every open order and this one filled. What reduces always passes."""
    limits, book, prices, equity = grounds.limits, grounds.book, grounds.prices, grounds.equity
    if order.reduce_only:
        return [
            _check(8, DenialCode.POSITION_EXCEEDS_MAX, True, "reduces", _money(limits.position_notional_max)),
            _check(9, DenialCode.EXPOSURE_EXCEEDS_MAX, True, "reduces", f"{limits.leverage_max} x equity"),
            _check(9, DenialCode.CONCENTRATION_EXCEEDS_MAX, True, "reduces", f"{limits.concentration_max_pct} %"),
        ]
    price = max(prices[signal.instrument_id], order.limit_price, order.reference_price)
    before = book.exposed_quantity(signal.instrument_id)
    position = (before + order.quantity) * price
    gross = book.gross_exposure(prices) + position - before * prices[signal.instrument_id]
    gross_max = equity * limits.leverage_max
    concentration_max = percent_of(equity, limits.concentration_max_pct)
    return [
        _check(
            8,
            DenialCode.POSITION_EXCEEDS_MAX,
            position <= limits.position_notional_max,
            _money(position),
            limits.position_notional_max,
        ),
        _check(
            9,
            DenialCode.EXPOSURE_EXCEEDS_MAX,
            gross <= gross_max,
            _money(gross),
            f"{_money(gross_max)} ({limits.leverage_max} x equity)",
        ),
        _check(
            9,
            DenialCode.CONCENTRATION_EXCEEDS_MAX,
            position <= concentration_max,
            _money(position),
            f"{_money(concentration_max)} ({limits.concentration_max_pct} % of equity)",
        ),
    ]


def _cash_check(order: Order, grounds: Grounds) -> Check:
    book, limits = grounds.book, grounds.limits
    needed = cash_needed(order.side, order.quantity, order.limit_price, limits.fee_bps)
    buffer = percent_of(max(grounds.equity, ZERO), limits.cash_buffer_pct)
    free = book.cash - book.reserved_cash() - buffer
    is_affordable = order.side is Side.SELL or needed <= free
    return _check(10, DenialCode.BUYING_POWER_EXCEEDED, is_affordable, _money(needed), _money(free))


def _pace_checks(signal: Signal, order: Order, grounds: Grounds, now: datetime) -> list[Check]:
    book, limits = grounds.book, grounds.limits
    since = now - timedelta(seconds=RATE_WINDOW_S)
    recent = [paced for paced in book.paced if paced.approved_at > since]
    of_strategy = sum(paced.strategy_id == signal.strategy_id for paced in recent) + 1
    window = timedelta(seconds=limits.duplicate_window_s)
    twins = [
        now - similar.approved_at
        for similar in book.similar
        if (similar.quantity, similar.limit_price) == (order.quantity, order.limit_price)
        and now - similar.approved_at < window
    ]
    seen = f"the same {min(twins).total_seconds():.3f} s ago" if twins else "none alike"
    rate = DenialCode.ORDER_RATE_EXCEEDED
    strategy_max, account_max = limits.strategy_orders_per_s_max, limits.account_orders_per_s_max
    return [
        _check(12, rate, of_strategy <= strategy_max, f"{of_strategy}/s", f"{strategy_max}/s per strategy"),
        _check(12, rate, len(recent) + 1 <= account_max, f"{len(recent) + 1}/s", f"{account_max}/s per account"),
        _check(15, DenialCode.ORDER_DUPLICATED, not twins, seen, f"none alike in {limits.duplicate_window_s} s"),
    ]


def _short_check(signal: Signal, order: Order, grounds: Grounds) -> Check:
    """See that a sale sells what is there: positions below zero are not opened, and a closing order may not flip."""
    if order.side is Side.BUY:
        return _check(22, DenialCode.SHORT_NOT_ALLOWED, True, "buys", "sells only what is held")
    sellable = grounds.book.sellable_quantity(signal.instrument_id, signal.strategy_id)
    return _check(22, DenialCode.SHORT_NOT_ALLOWED, order.quantity <= sellable, order.quantity, f"{sellable} held")
