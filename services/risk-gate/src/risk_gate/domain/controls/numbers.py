"""Control 5, before everything else: no number is compared that is none."""

from collections.abc import Iterator
from decimal import Decimal

from risk_gate.domain.controls.rows import row
from risk_gate.domain.facts import Facts
from risk_gate.domain.situation import ZERO, Book, Judgement, Situation
from sigmax.schemas.market import Quote
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode

NUMBER_MAX = Decimal("1e15")
"""No price, quantity, or sum of money that is real is larger."""
NUMBER_MIN = Decimal("1e-15")
"""Nor is one that must be above zero smaller."""
_STOP_PCT_MAX = Decimal("99.9")
"""A stop at nothing is no stop."""

Named = tuple[str, Decimal | None, Decimal, Decimal]
"""A number with its name, the least, and the most it may be."""


def numbers_check(signal: Signal, situation: Situation, judgement: Judgement | None = None) -> Check:
    """Look for a number that is not one: not finite, of the wrong sign, or absurd. Run this before any comparison."""
    for name, value, at_least, at_most in _numbers(signal, situation, judgement or Judgement()):
        if value is None or (value.is_finite() and at_least <= value <= at_most):
            continue
        limit = f"finite, {at_least} to {at_most}"
        return row(5, DenialCode.NUMBER_INVALID, False, f"{name} {value}", limit)
    return row(5, DenialCode.NUMBER_INVALID, True, "all usable", f"finite, up to {NUMBER_MAX}")


def _numbers(signal: Signal, situation: Situation, judgement: Judgement) -> Iterator[Named]:
    yield "reference price", signal.reference_price, NUMBER_MIN, NUMBER_MAX
    yield "strength", signal.strength, ZERO, Decimal(1)
    yield "stop %", signal.stop_pct, ZERO, _STOP_PCT_MAX
    yield "trailing %", signal.trailing_pct, ZERO, _STOP_PCT_MAX
    yield "target %", signal.target_pct, ZERO, NUMBER_MAX
    yield "size factor", judgement.size_factor, ZERO, Decimal(1)
    yield "volatility", situation.volatility_pct, ZERO, NUMBER_MAX
    for name, quote in situation.quotes.items():
        yield from _of_quote(name, quote)
    if situation.rival is not None:
        yield from _of_quote(situation.rival.instrument_id, situation.rival)
    instrument = situation.instrument
    if instrument is not None:
        own = situation.quotes.get(instrument.instrument_id)
        yield "tick size", instrument.tick_size, NUMBER_MIN, own.last if own else NUMBER_MAX
        yield "lot size", instrument.lot_size, NUMBER_MIN, NUMBER_MAX
        yield "smallest quantity", instrument.quantity_min, ZERO, NUMBER_MAX
        yield "smallest notional", instrument.notional_min, ZERO, NUMBER_MAX
        yield "last close", situation.close_previous, NUMBER_MIN, NUMBER_MAX
        yield "age of a price", Decimal(str(instrument.price_age_max_s)), ZERO, NUMBER_MAX
    yield from _of_book(situation.book)
    yield from _of_facts(situation.facts)


def _of_quote(name: str, quote: Quote) -> Iterator[Named]:
    yield f"price of {name}", quote.last, NUMBER_MIN, NUMBER_MAX
    yield f"bid of {name}", quote.bid, NUMBER_MIN, NUMBER_MAX
    yield f"ask of {name}", quote.ask, NUMBER_MIN, NUMBER_MAX
    yield f"volume of {name}", quote.minute_volume, ZERO, NUMBER_MAX


def _of_book(book: Book) -> Iterator[Named]:
    yield "cash", book.cash, -NUMBER_MAX, NUMBER_MAX
    yield "counted cash", book.cash_counted, -NUMBER_MAX, NUMBER_MAX
    for name, holding in book.holdings.items():
        yield f"holding of {name}", holding.filled, -NUMBER_MAX, NUMBER_MAX
        yield f"reported holding of {name}", holding.reported, -NUMBER_MAX, NUMBER_MAX
    for name, quantity in book.own.items():
        yield f"own holding of {name}", quantity, -NUMBER_MAX, NUMBER_MAX
    for reserved in book.reserved:
        yield f"reserved of {reserved.instrument_id}", reserved.leaves_quantity, ZERO, NUMBER_MAX
        yield f"reserved cash for {reserved.instrument_id}", reserved.cost, ZERO, NUMBER_MAX
        yield f"open orders of {reserved.instrument_id}", Decimal(reserved.orders), ZERO, NUMBER_MAX


def _of_facts(facts: Facts) -> Iterator[Named]:
    counts, turnover, marks = facts.counts, facts.turnover, facts.marks
    for name, count in (
        ("orders of the day", counts.account_day),
        ("orders of the strategy's day", counts.strategy_day),
        ("orders of the strategy's run", counts.strategy_run),
        ("judged orders", counts.judged_day),
        ("ended orders", facts.outcomes.ended),
        ("unfilled orders", facts.outcomes.unfilled),
        ("unknown orders of the instrument", facts.unknown.instrument),
        ("unknown orders", facts.unknown.account),
        ("additions", facts.adds.count),
    ):
        yield name, Decimal(count), ZERO, NUMBER_MAX
    for name, sum_of_money in (
        ("turnover of the minute", turnover.minute),
        ("turnover of the hour", turnover.hour),
        ("turnover of the day", turnover.day),
        ("judged notional", counts.judged_notional),
    ):
        yield name, sum_of_money, ZERO, NUMBER_MAX
    for name, mark in (("minute", marks.minute), ("day", marks.day), ("peak", marks.peak)):
        yield f"equity mark of the {name}", mark, -NUMBER_MAX, NUMBER_MAX
    yield "last entry", facts.adds.last_price, NUMBER_MIN, NUMBER_MAX
    if facts.venue is not None:
        yield "clock gap", facts.venue.clock_gap_ms, -NUMBER_MAX, NUMBER_MAX
    for opposing in facts.opposing:
        yield "an own order's price", opposing.limit_price, NUMBER_MIN, NUMBER_MAX
