"""Controls 31 to 36: what a model may do with a signal, and what news may."""

from datetime import datetime

from risk_gate.domain.controls.rows import guard, money, row
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import Grounds, Judgement
from risk_gate.domain.sizing import Order
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode, Trigger


def judgement_checks(judgement: Judgement) -> list[Check]:
    """Look at the judgement itself; a strategy that asks for none has none to look at."""
    veto = row(32, DenialCode.JUDGEMENT_REFUSED, judgement.refused is None, judgement.refused or "passed", "no veto")
    if not (judgement.is_asked or judgement.is_models):
        return [veto]
    unrecorded = judgement.is_models and not judgement.is_recorded
    source = "a model's call" if judgement.is_models else "the local policy"
    about, clean = "this signal, by an enum's word", "no markup, no invisible characters"
    return [
        row(
            31, DenialCode.JUDGEMENT_INVALID, judgement.invalid is None, judgement.invalid or "about this signal", about
        ),
        veto,
        row(34, DenialCode.JUDGEMENT_UNCLEAN, judgement.unclean is None, judgement.unclean or "clean", clean),
        row(
            36,
            DenialCode.JUDGEMENT_UNRECORDED,
            not unrecorded,
            f"{source}{', not on the tape' if unrecorded else ''}",
            "a model's call on the tape",
        ),
    ]


def news_checks(signal: Signal, limits: RiskLimits) -> list[Check]:
    """Control 35: one article opens no position."""
    if signal.trigger is not Trigger.NEWS:
        return []
    sources = len({name.strip().casefold() for name in signal.news_sources} - {""})
    passed = signal.is_market_confirmed or sources >= limits.news_sources_min
    seen = f"{sources} sources, the market {'confirms' if signal.is_market_confirmed else 'does not confirm'}"
    limit = f"{limits.news_sources_min} sources or the market's word"
    return [guard(signal, row(35, DenialCode.NEWS_UNCONFIRMED, passed, seen, limit))]


def judged_order_check(order: Order, grounds: Grounds, judgement: Judgement, now: datetime) -> list[Check]:
    """Control 33: what models let pass has a budget of its own; when it is used up, strategies without one go on."""
    if not judgement.is_models or order.reduce_only:
        return []
    limits, counts = grounds.limits, grounds.facts.counts
    orders, notional = counts.judged_day + 1, counts.judged_notional + order.notional
    since_s = None if counts.judged_last_at is None else (now - counts.judged_last_at).total_seconds()
    passed = (
        not limits.judged_shadow
        and orders <= limits.judged_orders_per_day_max
        and notional <= limits.judged_notional_per_day_max
        and (since_s is None or since_s >= limits.judged_cooldown_s)
    )
    last = "the first" if since_s is None else f"{since_s:.1f} s after the last"
    seen = f"{orders} orders, {money(notional)}, {last}{', shadow mode is on' if limits.judged_shadow else ''}"
    limit = (
        f"{limits.judged_orders_per_day_max} orders, {limits.judged_notional_per_day_max} a day,"
        f" {limits.judged_cooldown_s} s apart"
    )
    return [row(33, DenialCode.JUDGEMENT_BUDGET_EXCEEDED, passed, seen, limit)]
