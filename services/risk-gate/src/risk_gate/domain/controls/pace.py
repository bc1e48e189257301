"""Controls 11 to 16: how many orders, how fast, how much in all, and none of them twice or against another of ours."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from risk_gate.domain.controls.account import latched
from risk_gate.domain.controls.rows import is_exit, money, passing, row
from risk_gate.domain.facts import Counts, Latch
from risk_gate.domain.limits import RATE_WINDOW_CAUTION_S, RATE_WINDOW_S, RiskLimits
from risk_gate.domain.situation import Grounds
from risk_gate.domain.sizing import Order
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Scope, Side, Stage


def pace_checks(signal: Signal, order: Order, grounds: Grounds, now: datetime) -> list[Check]:
    """Hold an order against those before it. A close passes all but the last: two of ours must never meet."""
    checks = [
        _open_check(signal, grounds),
        *_rate_checks(signal, grounds, now),
        _count_check(signal, grounds),
        _turnover_check(order, grounds),
        _duplicate_check(order, grounds, now),
    ]
    if is_exit(signal):
        checks = [check if check.passed else passing(check, "closes") for check in checks]
    return [*checks, _self_trade_check(order, grounds)]


def _open_check(signal: Signal, grounds: Grounds) -> Check:
    limits = grounds.limits
    of_instrument, of_account = grounds.book.open_orders(signal.instrument_id) + 1, grounds.book.open_orders() + 1
    passed = of_instrument <= limits.instrument_open_orders_max and of_account <= limits.account_open_orders_max
    seen = f"{of_instrument} of the instrument, {of_account} of the account"
    limit = f"{limits.instrument_open_orders_max} and {limits.account_open_orders_max}"
    return row(11, DenialCode.OPEN_ORDERS_EXCEEDED, passed, seen, limit)


def _rate_checks(signal: Signal, grounds: Grounds, now: datetime) -> list[Check]:
    limits = grounds.limits
    window_s = RATE_WINDOW_CAUTION_S if grounds.stage is Stage.CAUTION else RATE_WINDOW_S
    recent = [paced for paced in grounds.book.paced if paced.approved_at > now - timedelta(seconds=window_s)]
    of_strategy = sum(paced.strategy_id == signal.strategy_id for paced in recent) + 1
    of_account = len(recent) + 1
    rate, each = DenialCode.ORDER_RATE_EXCEEDED, f"{window_s} s"
    strategy_max, account_max = limits.strategy_orders_per_s_max, limits.account_orders_per_s_max
    return [
        row(12, rate, of_strategy <= strategy_max, f"{of_strategy} in {each}", f"{strategy_max} per strategy"),
        row(12, rate, of_account <= account_max, f"{of_account} in {each}", f"{account_max} per account"),
    ]


def count_breaches(signal: Signal, counts: Counts, limits: RiskLimits) -> Iterator[tuple[Scope, str, str]]:
    """Give what has had its number of orders, with one more: the scope to latch, and why."""
    day, run, account = counts.strategy_day + 1, counts.strategy_run + 1, counts.account_day + 1
    if day > limits.strategy_orders_per_day_max:
        yield Scope.STRATEGY, signal.strategy_id, f"{day} orders in a day, allowed {limits.strategy_orders_per_day_max}"
    elif run > limits.strategy_orders_per_run_max:
        yield Scope.STRATEGY, signal.strategy_id, f"{run} orders in a run, allowed {limits.strategy_orders_per_run_max}"
    if account > limits.account_orders_per_day_max:
        yield (
            Scope.ACCOUNT,
            signal.account_id,
            f"{account} orders in a day, allowed {limits.account_orders_per_day_max}",
        )


def _count_check(signal: Signal, grounds: Grounds) -> Check:
    limits, counts = grounds.limits, grounds.facts.counts
    latch = _count_latch(signal, grounds)
    is_over = any(count_breaches(signal, counts, limits))
    seen = f"{counts.strategy_day + 1} today, {counts.strategy_run + 1} in its run, {counts.account_day + 1} of all"
    if latch is not None:
        seen = f"latched until a person releases it: {latch.reason}"
    limit = (
        f"{limits.strategy_orders_per_day_max} and {limits.strategy_orders_per_run_max},"
        f" {limits.account_orders_per_day_max}"
    )
    return row(13, DenialCode.ORDER_COUNT_EXCEEDED, latch is None and not is_over, seen, limit)


def _count_latch(signal: Signal, grounds: Grounds) -> Latch | None:
    code, latches = DenialCode.ORDER_COUNT_EXCEEDED, grounds.facts.latches
    return latched(latches, code, Scope.STRATEGY, signal.strategy_id) or latched(
        latches, code, Scope.ACCOUNT, signal.account_id
    )


def _turnover_check(order: Order, grounds: Grounds) -> Check:
    limits, turnover, notional = grounds.limits, grounds.facts.turnover, order.notional
    windows = (
        ("minute", turnover.minute + notional, limits.turnover_per_minute_max),
        ("hour", turnover.hour + notional, limits.turnover_per_hour_max),
        ("day", turnover.day + notional, limits.turnover_per_day_max),
    )
    return row(
        14,
        DenialCode.TURNOVER_EXCEEDED,
        all(entered <= maximum for _, entered, maximum in windows),
        ", ".join(f"{name} {money(entered)}" for name, entered, _ in windows),
        ", ".join(str(maximum) for _, _, maximum in windows),
    )


def _duplicate_check(order: Order, grounds: Grounds, now: datetime) -> Check:
    window = timedelta(seconds=grounds.limits.duplicate_window_s)
    twins = [
        now - similar.approved_at
        for similar in grounds.book.similar
        if (similar.quantity, similar.limit_price) == (order.quantity, order.limit_price)
        and now - similar.approved_at < window
    ]
    seen = f"the same {min(twins).total_seconds():.3f} s ago" if twins else "none alike"
    limit = f"none alike in {grounds.limits.duplicate_window_s} s"
    return row(15, DenialCode.ORDER_DUPLICATED, not twins, seen, limit)


def _self_trade_check(order: Order, grounds: Grounds) -> Check:
    """See that no own order rests where this one would trade: a buy below an own offer, a sale above an own bid.

    A stop trades only from its trigger on: what the market must fill before it gets there is not met.
    """
    sign, trigger = order.side.sign, order.trigger_price
    met = [
        each
        for each in grounds.facts.opposing
        if sign * (order.limit_price - each.limit_price) >= 0
        and (trigger is None or sign * (each.limit_price - trigger) >= 0)
    ]
    seen = f"own order {met[0].client_order_id} at {met[0].limit_price}" if met else "no own order on its way"
    limit = f"none {'up to' if order.side is Side.BUY else 'down to'} {order.limit_price}"
    return row(16, DenialCode.SELF_TRADE, not met, seen, limit)
