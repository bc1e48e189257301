"""The decision: values in, a message out. The same in backtest, paper, and live."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from risk_gate.domain.controls import conditions, numbers_check, order_checks
from risk_gate.domain.exit_orders import asked_of_exits, collar_check, exit_order
from risk_gate.domain.limits import POSTURES
from risk_gate.domain.situation import Grounds, Judgement, Situation
from risk_gate.domain.sizing import Order, size
from risk_gate.domain.stages import strictest
from sigmax.domain.approval import client_order_id
from sigmax.schemas.orders import Check, OrderApproved, OrderDenied
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, OrderType, Side

UNJUDGED = Judgement()

_PRECEDENCE = {code: rank for rank, code in enumerate(DenialCode)}

_SENTENCES = {
    DenialCode.NUMBER_INVALID: "A number is not usable: {seen}, it must be {limit}.",
    DenialCode.KILL_SWITCH_ON: "The kill switch is on: {seen}.",
    DenialCode.TRADING_HALTED: "Trading is halted: {seen}.",
    DenialCode.TRADING_REDUCING: "Only orders that lower exposure pass: {seen}.",
    DenialCode.LIMIT_MISSING: "The limits of the account are missing: {seen}.",
    DenialCode.SIGNAL_EXPIRED: "The signal is too old: {seen}, allowed {limit}.",
    DenialCode.JUDGEMENT_REFUSED: "Judgement did not approve it: {seen}.",
    DenialCode.INSTRUMENT_NOT_TRADABLE: "The instrument may not be traded: {seen}, needed {limit}.",
    DenialCode.MARKET_CLOSED: "The market is {seen}.",
    DenialCode.PRICE_STALE: "No fresh price: {seen}, allowed {limit}.",
    DenialCode.PRICE_ANOMALOUS: "The price cannot be right: {seen}, needed {limit}.",
    DenialCode.NOTHING_TO_CLOSE: "There is nothing to close: {seen}.",
    DenialCode.QUANTITY_BELOW_MIN: "The quantity {seen} is below the smallest of {limit}.",
    DenialCode.QUANTITY_EXCEEDS_MAX: "The quantity {seen} is above the limit of {limit}.",
    DenialCode.NOTIONAL_BELOW_MIN: "The notional {seen} is below the smallest of {limit}.",
    DenialCode.NOTIONAL_EXCEEDS_MAX: "The notional {seen} is above the limit of {limit}.",
    DenialCode.PRICE_OUTSIDE_COLLAR: "The limit price is {seen}, allowed are {limit}.",
    DenialCode.POSITION_EXCEEDS_MAX: "The position would be worth {seen}, the limit is {limit}.",
    DenialCode.EXPOSURE_EXCEEDS_MAX: "The exposure would be {seen}, the limit is {limit}.",
    DenialCode.CONCENTRATION_EXCEEDS_MAX: "The instrument would be worth {seen}, the limit is {limit}.",
    DenialCode.BUYING_POWER_EXCEEDED: "The order needs {seen}, free cash is {limit}.",
    DenialCode.ORDER_RATE_EXCEEDED: "Orders come too fast: {seen}, the limit is {limit}.",
    DenialCode.ORDER_DUPLICATED: "An order like it was just approved: {seen}, allowed {limit}.",
    DenialCode.RECONCILIATION_MISSING: "The books are not reconciled: {seen}, needed {limit}.",
    DenialCode.SHORT_NOT_ALLOWED: "It would sell {seen} with {limit}.",
    DenialCode.MODE_MISMATCH: "The account does not trade there: {seen}, needed {limit}.",
    DenialCode.BUILD_MIXED: "The services are not of one build: {seen}, needed {limit}.",
    DenialCode.CLOCK_OFF: "The clocks differ by {seen}, allowed {limit}.",
    DenialCode.JUDGEMENT_INVALID: "The judgement is not one: {seen}, needed {limit}.",
    DenialCode.JUDGEMENT_UNCLEAN: "The judgement's text is not clean: {seen}, needed {limit}.",
    DenialCode.JUDGEMENT_UNRECORDED: "The judgement cannot be replayed: {seen}, needed {limit}.",
    DenialCode.JUDGEMENT_BUDGET_EXCEEDED: "Judged orders have used their budget: {seen}, the limit is {limit}.",
    DenialCode.NEWS_UNCONFIRMED: "The news stands alone: {seen}, needed {limit}.",
    DenialCode.INSTRUMENT_NEW_IN_CAUTION: "In CAUTION nothing new is begun: {seen}, needed {limit}.",
    DenialCode.VENUE_SILENT: "The venue has not been heard of: {seen}, allowed {limit}.",
    DenialCode.ALERTING_DOWN: "Nobody could be told: {seen}, needed {limit}.",
    DenialCode.FILL_UNEXPLAINED: "A fill went beyond its approval: {seen}, needed {limit}.",
    DenialCode.UNKNOWN_SUBMISSION: "What became of an order is not known: {seen}, allowed {limit}.",
    DenialCode.LOSS_EXCEEDED: "The loss is {seen}, the limit is {limit}.",
    DenialCode.LOSING_STREAK: "Stops came in a row: {seen}, the limit is {limit}.",
    DenialCode.CANCEL_RATIO_EXCEEDED: "Too many orders end canceled or rejected: {seen}, the limit is {limit}.",
    DenialCode.POSITIONS_EXCEED_MAX: "So many instruments would be held: {seen}, the limit is {limit}.",
    DenialCode.DCA_EXCEEDED: "The position was added to often enough: {seen}, the limit is {limit}.",
    DenialCode.OPEN_ORDERS_EXCEEDED: "Too many orders are open: {seen}, the limit is {limit}.",
    DenialCode.ORDER_COUNT_EXCEEDED: "Too many orders were entered: {seen}, the limit is {limit}.",
    DenialCode.TURNOVER_EXCEEDED: "Too much was entered: {seen}, the limit is {limit}.",
    DenialCode.SELF_TRADE: "It would trade with an own order: {seen}, needed {limit}.",
}


def assess(
    signal: Signal,
    situation: Situation,
    now: datetime,
    *,
    approval_lifetime: timedelta,
    judgement: Judgement = UNJUDGED,
) -> OrderApproved | OrderDenied:
    """Size the signal and approve it, unsigned, or deny it for the first broken rule in `DenialCode`'s order.

    Where a condition that has nothing to do with the size is broken, nothing is sized: the figures of an account that
    was never reconciled would be noise.
    """
    checks = _standing(signal, situation, judgement, now)
    stage, _ = strictest(situation.stages, situation.account, signal.strategy_id, signal.instrument_id)
    grounds = situation.grounds(stage) if all(check.passed for check in checks) else None
    if grounds is None:
        return _denied(signal, now, checks)
    if grounds.exit is None:
        order = size(signal, grounds, judgement)
        checks += order_checks(signal, order, grounds, now, judgement)
    else:
        order = exit_order(signal, grounds, grounds.exit)
        checks += asked_of_exits(order_checks(signal, order, grounds, now))
        checks.append(collar_check(order, grounds, grounds.exit))
    if not all(check.passed for check in checks):
        return _denied(signal, now, checks)
    return _approved(signal, order, grounds, checks, (now, now + approval_lifetime))


def may_pass(signal: Signal, situation: Situation, judgement: Judgement, now: datetime) -> bool:
    """Say whether nothing but its size could have a signal denied."""
    return all(check.passed for check in _standing(signal, situation, judgement, now))


def _standing(signal: Signal, situation: Situation, judgement: Judgement, now: datetime) -> list[Check]:
    """Ask what does not depend on the size; where a number is none, nothing else."""
    checks = [numbers_check(signal, situation, judgement)]
    if checks[0].passed:
        asked = conditions(signal, situation, judgement, now)
        checks += asked if situation.exit is None else asked_of_exits(asked)
    return checks


def refuse(signal: Signal, reason: str, now: datetime) -> OrderDenied:
    """Deny a signal that judgement did not let pass in time, with nothing else looked at."""
    check = Check(
        control=32, code=DenialCode.JUDGEMENT_REFUSED, passed=False, seen=reason[:200], limit="an approval in time"
    )
    return _denied(signal, now, [check])


def _denied(signal: Signal, now: datetime, checks: Sequence[Check]) -> OrderDenied:
    first = min((check for check in checks if not check.passed), key=lambda check: _PRECEDENCE[check.code])
    return OrderDenied(
        **OrderDenied.after(signal, now),
        signal_id=signal.message_id,
        account_id=signal.account_id,
        strategy_id=signal.strategy_id,
        instrument_id=signal.instrument_id,
        action=signal.action,
        code=first.code,
        text=_SENTENCES[first.code].format(seen=first.seen, limit=first.limit),
        checks=tuple(checks),
    )


def _approved(
    signal: Signal, order: Order, grounds: Grounds, checks: Sequence[Check], validity: tuple[datetime, datetime]
) -> OrderApproved:
    now, valid_until = validity
    account = grounds.account
    stop_price, target_price = _protection(signal, order, grounds)
    return OrderApproved(
        **OrderApproved.after(signal, now),
        client_order_id=client_order_id(signal.message_id),
        signal_id=signal.message_id,
        account_id=account.account_id,
        venue=account.venue,
        mode=account.mode,
        strategy_id=signal.strategy_id,
        strategy_version=signal.strategy_version,
        instrument_id=signal.instrument_id,
        action=signal.action,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        limit_price=None if order.order_type is OrderType.MARKET else order.limit_price,
        trigger_price=order.trigger_price,
        time_in_force=order.time_in_force,
        reduce_only=order.reduce_only,
        reference_price=order.reference_price,
        stop_price=stop_price,
        target_price=target_price,
        valid_until=valid_until,
        tick_received_at=signal.tick_received_at,
        market_time=signal.market_time,
        stage=grounds.stage,
        checks=tuple(checks),
    )


def _protection(signal: Signal, order: Order, grounds: Grounds) -> tuple[Decimal | None, Decimal | None]:
    """Give the stop and the target of an entry, each on the tick nearer to the entry: the earlier exit risks less."""
    if order.side is Side.SELL:
        return None, None
    rule = POSTURES[grounds.posture]
    tick_size = grounds.instrument.tick_size
    stop_pct = rule.stop_pct if signal.stop_pct is None else signal.stop_pct
    target_pct = rule.target_pct if signal.target_pct is None else signal.target_pct
    stop = order.reference_price * (1 - stop_pct / 100)
    target = order.reference_price * (1 + target_pct / 100)
    return _on_tick(stop, tick_size, ROUND_CEILING), _on_tick(target, tick_size, ROUND_FLOOR)


def _on_tick(price: Decimal, tick_size: Decimal, rounding: str) -> Decimal:
    """Round a price to the tick, and keep it above zero."""
    return max((price / tick_size).to_integral_value(rounding), Decimal(1)) * tick_size
