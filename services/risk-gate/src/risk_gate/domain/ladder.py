"""The failure ladder: what a fault that lasts, or a gap that widens, does to trading, step by step.

Pure over what is seen and the time. A rung says where a fault stands now; the handler compares it with the rung that
is on record, and acts on what climbed. Nothing here ever allows more: when a fault ends, a person may.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from risk_gate.domain.facts import VenueState
from risk_gate.domain.stages import GLOBAL
from sigmax.schemas.types import AlertLevel, Scope, Stage

_HUNDRED = Decimal(100)


class Fault(StrEnum):
    """What may go wrong outside."""

    VENUE_FAILING = "venue_failing"
    """The venue does not answer."""
    VENUE_SILENT = "venue_silent"
    """order-worker says nothing of the venue: nobody knows what rests there."""
    FEED_GAP = "feed_gap"
    PRICE_MISMATCH = "price_mismatch"
    """Where we trade, the price is another than where we look."""


@dataclass(frozen=True, slots=True)
class LadderRule:
    """How long a fault may last, and how far prices may differ. Seconds and percent."""

    failing_failover_s: Decimal = Decimal(5)
    failing_caution_s: Decimal = Decimal(30)
    failing_reducing_s: Decimal = Decimal(300)
    silent_s: Decimal = Decimal(60)
    gap_cached_s: Decimal = Decimal(3)
    gap_cancel_s: Decimal = Decimal(10)
    gap_halt_s: Decimal = Decimal(30)
    gap_floor_s: Decimal = Decimal(0)
    """No shorter gap counts: in a recording that is played fast, a market's night is a gap of seconds."""
    cached_age_max_s: Decimal = Decimal(30)
    """How old data may be that anybody still looks at while the venue fails."""
    mismatch_ask_pct: Decimal = Decimal("0.5")
    mismatch_halt_pct: Decimal = Decimal(2)
    start_grace_s: Decimal = Decimal(30)
    """After a start, and after a time in which nothing could be watched, for the feed to come back."""
    liquidates: bool = True

    def gaps_s(self, price_age_max_s: Decimal) -> tuple[Decimal, Decimal, Decimal]:
        """Give the three gaps for a feed whose prices may stand so long; the steps between them stay.

        A recording of bars has a price every few minutes, and is not away in between.
        """
        cached = max(self.gap_cached_s, self.gap_floor_s, price_age_max_s)
        cancel = max(self.gap_cancel_s, cached)
        if cancel == cached:
            cancel += self.gap_cancel_s - self.gap_cached_s
        halt = max(self.gap_halt_s, cancel)
        if halt == cancel:
            halt += self.gap_halt_s - self.gap_cancel_s
        return cached, cancel, halt


@dataclass(frozen=True, slots=True)
class MarketView:
    """One instrument that is held, or in which an order works."""

    instrument_id: str
    price_age_max_s: Decimal
    newest_at: datetime | None
    """When its newest price came; None where none was ever seen."""
    is_open: bool = True
    began_at: datetime | None = None
    """Since when its market trades; None for ever. What was before is nobody's silence."""
    price: Decimal | None = None
    """At the market, where it is fresh."""
    other_price: Decimal | None = None
    """Of our venue's last fill just now, or else of another market just now."""
    other_name: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """All that the ladder looks at."""

    watching_since: datetime
    """What was before cannot be held against anybody: nothing could be watched."""
    venues: Mapping[str, VenueState | None]
    """What was last told of each venue we trade at; None where nothing ever was."""
    markets: tuple[MarketView, ...] = ()
    """Of what is held or worked on: the gaps of other instruments harm nobody."""
    feed_newest_at: datetime | None = None
    """When the newest price of any instrument came; None where none was ever seen."""
    feed_size: int = 0
    """How many instruments the feed has."""
    worked_on_until: Mapping[str, datetime] = field(default_factory=dict)
    """Until when each venue is, or last was, under announced maintenance: that it fails then is no fault."""

    def begins(self, markets: Iterable[MarketView]) -> datetime:
        """Give from when on the silence of markets counts: all of them trade, and somebody watches."""
        return max([self.watching_since, *(each.began_at for each in markets if each.began_at is not None)])

    def heard_from(self, venue: str, at: datetime) -> datetime:
        """Give from when on a venue's silence counts."""
        return max(at, self.worked_on_until.get(venue, at))


@dataclass(frozen=True, slots=True)
class Rung:
    """Where one fault stands, and what that asks for."""

    fault: Fault
    scope: Scope
    scope_id: str
    step: int
    """Rising with the fault; 0 is none."""
    text: str
    level: AlertLevel = AlertLevel.WARNING
    stage: Stage | None = None
    cancels: bool = False
    """Whether working orders are to be taken off the venue."""
    liquidates: bool = False
    """Whether what is held is to be sold."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Name the fault and whom it concerns."""
        return str(self.fault), str(self.scope), self.scope_id

    @property
    def is_grave(self) -> bool:
        """Say whether somebody will want to know how the books stood."""
        return self.level in {AlertLevel.DANGER, AlertLevel.CRITICAL}


def rungs(view: View, rule: LadderRule, now: datetime) -> tuple[Rung, ...]:
    """Give every fault that stands on a rung now."""
    venues = [_failing(venue, state, view, rule, now) for venue, state in view.venues.items() if state is not None]
    silent = [_silent(venue, state, view, rule, now) for venue, state in view.venues.items()]
    found = [*venues, *_everywhere(venues), *silent, *_gaps(view, rule, now)]
    found += [_mismatch(market, rule) for market in view.markets]
    return tuple(rung for rung in found if rung is not None)


def _failing(venue: str, state: VenueState, view: View, rule: LadderRule, now: datetime) -> Rung | None:
    if state.is_answering or state.failing_since is None:
        return None
    failing_s = _seconds((state.recovering_since or now) - view.heard_from(venue, state.failing_since))
    said = f"{venue} has not answered as it should for {failing_s:.0f} s"
    of = (Fault.VENUE_FAILING, Scope.VENUE, venue)
    if failing_s >= rule.failing_reducing_s:
        end = ", and what is held is to be sold" if rule.liquidates else ""
        text = f"{said}: only what lowers exposure passes{end}."
        return Rung(*of, 3, text, AlertLevel.CRITICAL, Stage.REDUCING, liquidates=rule.liquidates)
    if failing_s >= rule.failing_caution_s:
        return Rung(*of, 2, f"{said}: nothing new is begun there.", AlertLevel.DANGER, Stage.CAUTION)
    if failing_s >= rule.failing_failover_s:
        age = rule.cached_age_max_s
        return Rung(*of, 1, f"{said}: use the spare endpoint where there is one, and nothing older than {age} s.")
    return None


def _everywhere(venues: list[Rung | None]) -> list[Rung]:
    """Give the platform's own rung where every one of several venues fails: the mildest of theirs."""
    found = [rung for rung in venues if rung is not None]
    if len(found) < 2 or len(found) < len(venues):
        return []
    mildest = min(found, key=lambda rung: rung.step)
    return [
        Rung(
            fault=Fault.VENUE_FAILING,
            scope=Scope.GLOBAL,
            scope_id=GLOBAL,
            step=mildest.step,
            text=f"No venue answers. {mildest.text}",
            level=mildest.level,
            stage=mildest.stage,
        )
    ]


def _silent(venue: str, state: VenueState | None, view: View, rule: LadderRule, now: datetime) -> Rung | None:
    heard_at = view.watching_since if state is None else max(state.as_of, view.watching_since)
    silent_s = _seconds(now - view.heard_from(venue, heard_at))
    if silent_s < rule.silent_s:
        return None
    return Rung(
        fault=Fault.VENUE_SILENT,
        scope=Scope.VENUE,
        scope_id=venue,
        step=1,
        text=f"Nothing was heard of {venue} for {silent_s:.0f} s: its working orders are to be canceled.",
        level=AlertLevel.CRITICAL,
        stage=Stage.CAUTION,
        cancels=True,
    )


def _gaps(view: View, rule: LadderRule, now: datetime) -> list[Rung]:
    """Give the rung of each silent instrument, or the platform's own where the whole feed is silent.

    A closed market is silent by right. What is neither held nor worked on may be silent too: nothing is at risk there.
    Where the others of the feed go on, one silent instrument is most likely one that nobody trades just now: nothing
    of it is sold for that, and the stop of what is held must be able to act on its next price.
    """
    open_markets = [market for market in view.markets if market.is_open]
    found = [
        (market, step)
        for market in open_markets
        if (step := _gap_step(market.newest_at, market.price_age_max_s, view.begins([market]), rule, now))
    ]
    if found and view.feed_size > 1:
        slowest_s = max(market.price_age_max_s for market in open_markets)
        step = _gap_step(view.feed_newest_at, slowest_s, view.begins(open_markets), rule, now)
        if step:
            return [_gap((Scope.GLOBAL, GLOBAL), _gap_text("any instrument", view.feed_newest_at, now), step, rule)]
    rungs_of = _gap if view.feed_size <= 1 else _quiet
    return [
        rungs_of(
            (Scope.INSTRUMENT, market.instrument_id),
            _gap_text(market.instrument_id, market.newest_at, now),
            step,
            rule,
        )
        for market, step in found
    ]


def _gap_step(
    newest_at: datetime | None, price_age_max_s: Decimal, begins: datetime, rule: LadderRule, now: datetime
) -> int:
    """Count the gaps that are over; `begins` is from when on a price could have come."""
    grace = timedelta(seconds=float(rule.start_grace_s))
    since = begins + grace if newest_at is None or newest_at < begins else newest_at
    gap_s = _seconds(now - since)
    return sum(gap_s > limit_s for limit_s in rule.gaps_s(price_age_max_s))


def _gap_text(whose: str, newest_at: datetime | None, now: datetime) -> str:
    age = "ever" if newest_at is None else f"for {_seconds(now - newest_at):.1f} s"
    return f"No price of {whose} has come {age}"


def _gap(whose: tuple[Scope, str], said: str, step: int, rule: LadderRule) -> Rung:
    if step == 1:
        return _cached(whose, said)
    if step == 2:
        end = " and what is held is to be sold" if rule.liquidates else ""
        text = f"{said}: working orders are to be canceled{end}."
        stage = Stage.REDUCING
        return Rung(Fault.FEED_GAP, *whose, 2, text, AlertLevel.DANGER, stage, cancels=True, liquidates=rule.liquidates)
    text = f"{said}: nothing is sent."
    return Rung(Fault.FEED_GAP, *whose, 3, text, AlertLevel.CRITICAL, Stage.HALTED, cancels=True)


def _quiet(whose: tuple[Scope, str], said: str, step: int, _rule: LadderRule) -> Rung:
    if step == 1:
        return _cached(whose, said)
    stage = Stage.CAUTION if step == 2 else Stage.REDUCING
    text = f"{said}, while others of the feed have one: its working orders are to be canceled."
    return Rung(Fault.FEED_GAP, *whose, step, text, AlertLevel.DANGER, stage, cancels=True)


def _cached(whose: tuple[Scope, str], said: str) -> Rung:
    """Begin with no stage: that the price is too old denies what adds exposure, and passes with the next price."""
    return Rung(Fault.FEED_GAP, *whose, 1, f"{said}: analysis on what is known alone.", AlertLevel.INFO)


def _mismatch(market: MarketView, rule: LadderRule) -> Rung | None:
    if market.price is None or market.other_price is None:
        return None
    gap_pct = abs(market.other_price / market.price - 1) * _HUNDRED
    if gap_pct < rule.mismatch_ask_pct:
        return None
    said = (
        f"{market.instrument_id} is {market.price} at its market and {market.other_price}"
        f" {market.other_name}: {gap_pct:.2f} % apart"
    )
    of = (Fault.PRICE_MISMATCH, Scope.INSTRUMENT, market.instrument_id)
    if gap_pct <= rule.mismatch_halt_pct:
        return Rung(*of, 1, f"{said}. Ask the verifier again.")
    text = f"{said}. The instrument is halted; a person must look."
    return Rung(*of, 2, text, AlertLevel.CRITICAL, Stage.HALTED, cancels=True)


def _seconds(span: timedelta) -> Decimal:
    """Give a span in seconds, exactly."""
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """The rung on record of one fault."""

    fault: str
    scope: str
    scope_id: str
    step: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Name the fault and whom it concerns."""
        return self.fault, self.scope, self.scope_id


def climbed(found: Iterable[Rung], recorded: Iterable[Step]) -> tuple[Rung, ...]:
    """Give the rungs that are higher than what is on record: on these one acts."""
    known = {each.key: each.step for each in recorded}
    return tuple(rung for rung in found if rung.step > known.get(rung.key, 0))


def eased(found: Iterable[Rung], recorded: Iterable[Step]) -> tuple[tuple[Step, Rung | None], ...]:
    """Give what on record is higher than it is now, with the rung it is on now; None where the fault has ended."""
    now = {rung.key: rung for rung in found}
    pairs = ((each, now.get(each.key)) for each in recorded)
    return tuple((each, rung) for each, rung in pairs if each.step > (rung.step if rung else 0))
