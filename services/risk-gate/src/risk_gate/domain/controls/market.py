"""Controls 2, 3, and 4: whether the instrument trades now, and whether its price can be believed."""

from datetime import datetime, timedelta
from decimal import Decimal

from risk_gate.domain.controls.rows import CLOCK_SKEW_MAX, HUNDRED, adds_exposure, guard, row
from risk_gate.domain.limits import MaintenanceWindow, MarketSession, RiskLimits
from risk_gate.domain.situation import Situation
from sigmax.schemas.market import Instrument, Quote, nanoseconds
from sigmax.schemas.orders import Check
from sigmax.schemas.signals import Signal
from sigmax.schemas.types import DenialCode

_NS_PER_S = 1_000_000_000


def market_checks(signal: Signal, situation: Situation, now: datetime) -> list[Check]:
    """Look at the instrument, its market's hours, and its prices."""
    instrument, account, limits = situation.instrument, situation.account, situation.limits
    if instrument is None:
        seen, limit = "not among the instruments the collector lists", signal.instrument_id
        return [row(2, DenialCode.INSTRUMENT_NOT_TRADABLE, False, seen, limit)]
    currency = account.currency if account else "none"
    checks = [
        row(
            2,
            DenialCode.INSTRUMENT_NOT_TRADABLE,
            instrument.quote == currency,
            f"quoted in {instrument.quote}",
            f"the account's currency {currency}",
        )
    ]
    if limits is not None:
        closed = closed_because(instrument, account.venue if account else "", limits, now)
        checks += [
            # What people take off the list may still be sold: it is held, and its stop must fire.
            guard(signal, _listed_check(signal.instrument_id, limits)),
            row(3, DenialCode.MARKET_CLOSED, closed is None, closed or "open", "open"),
        ]
    return [*checks, *_price_checks(signal, situation, instrument, now)]


def _listed_check(instrument_id: str, limits: RiskLimits) -> Check:
    is_restricted = instrument_id in limits.instruments_restricted
    is_allowed = limits.instruments_allowed is None or instrument_id in limits.instruments_allowed
    seen = "restricted" if is_restricted else "listed" if is_allowed else "not on the allow-list"
    return row(2, DenialCode.INSTRUMENT_NOT_TRADABLE, is_allowed and not is_restricted, seen, "listed")


def closed_because(instrument: Instrument, venue: str, limits: RiskLimits, now: datetime) -> str | None:
    """Say why an instrument does not trade at a time; None while it does."""
    if not instrument.is_tradable:
        return "closed"
    session = limits.market_sessions.get(instrument.market)
    if session is not None and not in_session(session, now):
        return f"closed: {instrument.market} trades from {session.opens:%H:%M} to {session.closes:%H:%M} its time"
    window = next((each for each in limits.maintenance_windows if _is_down(each, instrument, venue, now)), None)
    return None if window is None else f"down for maintenance until {window.ends_at:%Y-%m-%d %H:%M} UTC"


def began_at(instrument: Instrument, venue: str, limits: RiskLimits, now: datetime) -> datetime | None:
    """Say since when an open market trades: the session's begin, or the end of the last maintenance; None for ever."""
    session = limits.market_sessions.get(instrument.market)
    begins = [worked_on_until(each, limits, now) for each in (instrument.market, venue)]
    if session is not None:
        offset = timedelta(minutes=session.utc_offset_min)
        local = (now + offset).replace(
            hour=session.opens.hour, minute=session.opens.minute, second=session.opens.second, microsecond=0
        )
        begins.append(local - offset)
    return max((each for each in begins if each is not None), default=None)


def worked_on_until(market: str, limits: RiskLimits, now: datetime) -> datetime | None:
    """Say when the maintenance of a market or venue ends, or ended, that has begun; None where there was none."""
    windows = limits.maintenance_windows
    return max((each.ends_at for each in windows if each.market == market and each.starts_at <= now), default=None)


def in_session(session: MarketSession, now: datetime) -> bool:
    """Say whether a market trades continuously at a time."""
    local = now + timedelta(minutes=session.utc_offset_min)
    is_day = local.weekday() in session.weekdays and f"{local:%Y-%m-%d}" not in session.holidays
    return is_day and session.opens <= local.time() < session.closes


def _is_down(window: MaintenanceWindow, instrument: Instrument, venue: str, now: datetime) -> bool:
    return window.market in {instrument.market, venue} and window.starts_at <= now < window.ends_at


def _price_checks(signal: Signal, situation: Situation, instrument: Instrument, now: datetime) -> list[Check]:
    quote = situation.quotes.get(signal.instrument_id)
    age_max_s = Decimal(str(instrument.price_age_max_s))
    if quote is None:
        return [row(4, DenialCode.PRICE_STALE, False, "no price", f"{age_max_s} s")]
    age_s = _age_s(quote, now)
    is_crossed = quote.bid is not None and quote.ask is not None and quote.bid > quote.ask
    checks = [
        row(4, DenialCode.PRICE_STALE, _is_fresh(age_s, age_max_s), f"{age_s:.3f} s old", f"{age_max_s} s"),
        row(4, DenialCode.PRICE_ANOMALOUS, not is_crossed, f"bid {quote.bid}, ask {quote.ask}", "bid at most ask"),
    ]
    if adds_exposure(signal):
        unpriced = sorted(situation.book.instruments - set(situation.quotes))
        seen = ", ".join(unpriced) or "none"
        checks.append(row(4, DenialCode.PRICE_STALE, not unpriced, f"without a price: {seen}", "none"))
    rival = situation.rival
    if rival is not None and not _is_fresh(_age_s(rival, now), age_max_s):
        rival = None
    if situation.limits is not None:
        checks += _agreement_checks(signal, quote, rival, situation.limits)
    return checks


def _age_s(quote: Quote, now: datetime) -> Decimal:
    return Decimal(nanoseconds(now) - quote.received_ns) / _NS_PER_S


def _is_fresh(age_s: Decimal, age_max_s: Decimal) -> bool:
    return -Decimal(CLOCK_SKEW_MAX.total_seconds()) <= age_s <= age_max_s


def _agreement_checks(signal: Signal, quote: Quote, rival: Quote | None, limits: RiskLimits) -> list[Check]:
    """Hold the last price against its own book and against another market: the furthest counts.

    An exit is not held up by it: it is bounded by its collar, and waiting would not make the price better known.
    """
    others = []
    if quote.bid is not None and quote.ask is not None:
        others.append(("the book's middle", (quote.bid + quote.ask) / 2))
    if rival is not None:
        others.append((rival.instrument_id, rival.last))
    gaps = [(abs(quote.last / price - 1) * HUNDRED, name) for name, price in others]
    gap, name = max(gaps, default=(Decimal(0), "no second source"))
    gap_max_pct, sources, sources_min = limits.price_gap_max_pct, 1 + len(others), limits.price_sources_min
    found = (
        row(4, DenialCode.PRICE_ANOMALOUS, gap <= gap_max_pct, f"{gap:.3f} % from {name}", f"{gap_max_pct} %"),
        row(4, DenialCode.PRICE_ANOMALOUS, sources >= sources_min, f"{sources} sources", f"{sources_min} or more"),
    )
    return [guard(signal, check) for check in found]
