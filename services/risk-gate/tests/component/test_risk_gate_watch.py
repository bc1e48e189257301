"""The watch and the ladder over the world in memory: what they do, once, and never the other way."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import BTC, ETH, NOW, a_command, a_reconciliation, a_signal, an_instrument, some_limits
from risk_gate_fakes import FakeWorld

from risk_gate.domain.facts import Outcomes, Unknown, VenueState
from risk_gate.domain.ladder import LadderRule
from risk_gate.domain.losses import Marks
from risk_gate.domain.situation import Holding
from risk_gate.handlers import booking, commands, deciding
from risk_gate.handlers.watching import watch
from sigmax.schemas.control import Alert, StageChanged
from sigmax.schemas.orders import CancelRequested, Difference, OrderApproved, OrderDenied, VenueHealth
from sigmax.schemas.types import DenialCode, Scope, Stage

ACCOUNT, VENUE, GLOBAL = (Scope.ACCOUNT, "paper"), (Scope.VENUE, "paper"), (Scope.GLOBAL, "global")
INSTRUMENT = (Scope.INSTRUMENT, BTC)
HELD = {"holdings": {BTC: Holding(Decimal(10))}}


def stage_of(fake: FakeWorld, scope: tuple[Scope, str]) -> Stage:
    known = fake.state.stages.get(scope)
    return known.stage if known else Stage.NORMAL


def venue(fake: FakeWorld, failing_s: float | None = None) -> VenueState:
    """Give a venue of which was just told, that has failed for so long."""
    now = fake.clock.now()
    since = None if failing_s is None else now - timedelta(seconds=failing_s)
    return VenueState("paper", failing_s is None, since, Decimal(0), 0, now)


async def look(fake: FakeWorld, failing_s: float | None = None, **watched: Any) -> None:
    """Look once, a second later, at an account that differs in what is given."""
    fake.clock.advance(1)
    fake.state.standing.watched = {"venue": venue(fake, failing_s)} | watched
    await watch(fake.world)


async def settled(fake: FakeWorld) -> None:
    """Watch for long enough that the grace of the start is over."""
    for _ in range(4):
        fake.clock.advance(9)
        await look(fake)
    fake.state.published.clear()


async def approve(fake: FakeWorld) -> OrderApproved:
    await deciding.on_signal(a_signal(at=fake.clock.now()), fake.world)
    (approved,) = fake.published(OrderApproved)
    assert isinstance(approved, OrderApproved)
    return approved


async def test_a_quiet_watch_writes_nothing() -> None:
    fake = FakeWorld()
    for _ in range(3):
        await look(fake, **HELD)
    assert not fake.state.published
    assert not fake.state.standing.rungs


@pytest.mark.parametrize(
    ("watched", "stage"),
    [
        ({"marks": Marks(day=Decimal(104_000))}, Stage.REDUCING),
        ({"marks": Marks(day=Decimal(107_000))}, Stage.HALTED),
        ({"outcomes": Outcomes(20, 11)}, Stage.CAUTION),
        ({"unknown": Unknown(account=2)}, Stage.REDUCING),
        ({"limits": None}, Stage.HALTED),
    ],
)
async def test_an_account_falls_by_itself_once_and_says_why(watched: dict[str, Any], stage: Stage) -> None:
    fake = FakeWorld()
    for _ in range(3):
        await look(fake, **watched)
    (changed,) = fake.published(StageChanged)
    assert (changed.scope, changed.scope_id, changed.to_stage) == (*ACCOUNT, stage)
    assert changed.changed_by == "risk-gate"
    assert changed.reason


async def test_the_watch_never_raises() -> None:
    fake = FakeWorld()
    await look(fake, marks=Marks(day=Decimal(107_000)))
    await look(fake)
    await look(fake, outcomes=Outcomes(20, 11))
    assert stage_of(fake, ACCOUNT) is Stage.HALTED
    assert len(fake.published(StageChanged)) == 1


async def test_what_a_person_raised_falls_again_while_its_cause_stands() -> None:
    fake = FakeWorld()
    await look(fake, unknown=Unknown(account=2))
    await commands.on_command(a_command("resume", scope="account", subject="paper"), fake.world)
    assert stage_of(fake, ACCOUNT) is Stage.CAUTION
    await look(fake, unknown=Unknown(account=2))
    assert stage_of(fake, ACCOUNT) is Stage.REDUCING


async def test_a_fall_into_a_stop_takes_the_working_orders_off_the_venue() -> None:
    fake = FakeWorld()
    working = await approve(fake)
    await look(fake, marks=Marks(peak=Decimal(130_000)))
    (cancel,) = fake.published(CancelRequested)
    assert (cancel.client_order_id, cancel.requested_by) == (working.client_order_id, "risk-gate")


# A watch that cannot look ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [ValueError("no number"), ZeroDivisionError(), KeyError("x")])
async def test_a_watch_that_cannot_compute_halts(failure: Exception) -> None:
    fake = FakeWorld()
    working = await approve(fake)
    fake.feed.failure = failure
    for _ in range(2):
        with pytest.raises(type(failure)):
            await watch(fake.world)
    assert stage_of(fake, ACCOUNT) is Stage.HALTED
    (changed,) = fake.published(StageChanged)
    assert type(failure).__name__ in changed.reason
    (cancel,) = fake.published(CancelRequested)
    assert cancel.client_order_id == working.client_order_id


@pytest.mark.parametrize(("blind_s", "stage"), [(9, Stage.NORMAL), (10, Stage.CAUTION)])
async def test_a_fault_that_passes_halts_nobody_and_a_long_one_calls_for_caution(blind_s: int, stage: Stage) -> None:
    fake = FakeWorld()
    await look(fake)
    fake.feed.failure = TimeoutError()
    for _ in range(blind_s):
        with pytest.raises(TimeoutError):
            await look(fake)
    assert stage_of(fake, ACCOUNT) is Stage.NORMAL
    fake.feed.failure = None
    fake.clock.advance(0.001)
    await look(fake)
    assert stage_of(fake, ACCOUNT) is stage


# Books that disagree -----------------------------------------------------------------------------------------------------


def a_difference(kind: str) -> Difference:
    return Difference(kind=kind, subject="sx1", ours="absent", venue="accepted", is_dust=False)


@pytest.mark.parametrize(("kind", "stage"), [("cash", Stage.HALTED), ("order", Stage.HALTED), ("clock", Stage.NORMAL)])
async def test_a_reconciliation_that_failed_halts_and_waits_for_a_person(kind: str, stage: Stage) -> None:
    fake = FakeWorld()
    fake.clock.advance(1)
    failed = a_reconciliation("failed", passed=False, differences=(a_difference(kind),), as_of=fake.clock.now())
    await booking.on_reconciled(failed, fake.world)
    assert stage_of(fake, ACCOUNT) is stage
    fake.clock.advance(1)
    await booking.on_reconciled(a_reconciliation("passed", as_of=fake.clock.now()), fake.world)
    assert stage_of(fake, ACCOUNT) is stage


async def test_an_order_that_comes_to_light_late_halts_even_when_newer_books_are_known() -> None:
    fake = FakeWorld()
    late = a_reconciliation(
        "late", passed=False, differences=(a_difference("order"),), as_of=NOW - timedelta(seconds=5)
    )
    await booking.on_reconciled(late, fake.world)
    assert stage_of(fake, ACCOUNT) is Stage.HALTED


# The ladder --------------------------------------------------------------------------------------------------------------


async def test_a_failing_venue_climbs_its_ladder_in_time_and_each_rung_is_told_once() -> None:
    fake = FakeWorld()
    stages = {}
    for second in range(302):
        await look(fake, failing_s=second)
        stages[second] = stage_of(fake, VENUE)
    assert [stages[second] for second in (29, 30, 299, 300)] == [
        Stage.NORMAL,
        Stage.CAUTION,
        Stage.CAUTION,
        Stage.REDUCING,
    ]
    told = [alert for alert in fake.published(Alert) if alert.code == "venue_failing"]
    assert [alert.values["step"] for alert in told] == ["1", "2", "3"]
    assert [step.step for step, _ in fake.state.standing.rungs] == [1, 2, 3]
    assert [rung.is_grave for _, rung in fake.state.standing.rungs if rung] == [False, True, True]
    (flattening,) = fake.state.guarded.flattenings.values()
    assert (flattening.scope, flattening.scope_id, flattening.requested_by) == (*VENUE, "risk-gate")


async def test_when_the_fault_ends_nothing_goes_up_and_a_person_hears_that_it_may() -> None:
    fake = FakeWorld()
    await look(fake, failing_s=31)
    await look(fake)
    await look(fake)
    assert stage_of(fake, VENUE) is Stage.CAUTION
    (ended,) = [alert for alert in fake.published(Alert) if alert.code == "venue_failing_ended"]
    assert "a person may raise it" in ended.text
    assert fake.state.standing.steps["venue_failing", "venue", "paper"] == 0


async def test_a_fault_that_comes_back_is_told_again() -> None:
    fake = FakeWorld()
    for failing_s in (6, None, 7):
        await look(fake, failing_s=failing_s)
    assert [alert.code for alert in fake.published(Alert)] == ["venue_failing", "venue_failing_ended", "venue_failing"]


async def test_a_venue_nobody_tells_of_loses_its_working_orders_once() -> None:
    fake = FakeWorld()
    working = await approve(fake)
    silent = venue(fake)
    for _ in range(70):
        await look(fake, venue=silent)
    (cancel,) = fake.published(CancelRequested)
    assert cancel.client_order_id == working.client_order_id
    assert stage_of(fake, VENUE) is Stage.CAUTION


async def test_a_gap_in_the_feed_of_what_is_held_ends_in_a_halt() -> None:
    fake = FakeWorld()
    await settled(fake)
    fake.market.stops_at = fake.clock.now()
    stages = []
    for _ in range(32):
        await look(fake, **HELD)
        stages.append(stage_of(fake, INSTRUMENT))
    assert [stages[second - 1] for second in (3, 4, 10, 11, 30, 31)] == [
        Stage.NORMAL,
        Stage.NORMAL,
        Stage.NORMAL,
        Stage.REDUCING,
        Stage.REDUCING,
        Stage.HALTED,
    ]
    assert stage_of(fake, GLOBAL) is Stage.NORMAL


async def test_a_gap_harms_nobody_who_holds_nothing() -> None:
    fake = FakeWorld()
    await settled(fake)
    fake.market.stops_at = fake.clock.now()
    for _ in range(60):
        await look(fake)
    assert not fake.published(StageChanged)


async def test_a_silent_feed_is_the_platforms_when_every_instrument_is_silent() -> None:
    fake = FakeWorld()
    fake.feed.listed[ETH] = an_instrument(instrument_id=ETH, base="ETH")
    fake.market.prices[ETH] = "50"
    await settled(fake)
    fake.market.stops_at = fake.clock.now()
    for _ in range(12):
        await look(fake, **HELD)
    assert stage_of(fake, GLOBAL) is Stage.REDUCING
    assert stage_of(fake, INSTRUMENT) is Stage.NORMAL


async def test_a_gap_starts_a_flattening_only_where_the_setting_says_so() -> None:
    for liquidates in (True, False):
        fake = FakeWorld(ladder=LadderRule(liquidates=liquidates))
        await settled(fake)
        await approve(fake)
        fake.market.stops_at = fake.clock.now()
        for _ in range(12):
            await look(fake, **HELD)
        assert len(fake.published(CancelRequested)) == 1
        assert stage_of(fake, INSTRUMENT) is Stage.REDUCING
        assert bool(fake.state.guarded.flattenings) is liquidates


@pytest.mark.parametrize(
    ("fill", "stage", "is_told"),
    [
        ("100.4", Stage.NORMAL, False),
        ("100.5", Stage.NORMAL, True),
        ("102", Stage.NORMAL, True),
        ("102.1", Stage.HALTED, True),
    ],
)
async def test_a_fill_far_from_the_market_stops_its_instrument(fill: str, stage: Stage, is_told: bool) -> None:
    fake = FakeWorld()
    await settled(fake)
    await look(fake, **HELD, fills={BTC: (Decimal(fill), fake.clock.now())})
    assert stage_of(fake, INSTRUMENT) is stage
    alerts = fake.published(Alert)
    assert [alert.code for alert in alerts] == ["price_mismatch"] * is_told


async def test_two_replicas_climb_each_rung_once() -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits()
    fake.clock.advance(1)
    fake.state.standing.watched = {"venue": venue(fake, failing_s=31)}
    for _ in range(2):
        await watch(fake.world)
    assert len(fake.state.standing.rungs) == 1
    assert len(fake.published(StageChanged)) == 1


def a_health(fake: FakeWorld, name: str, *, is_circuit_open: bool) -> VenueHealth:
    """Give a word of one worker."""
    now = fake.clock.now()
    return VenueHealth(
        **VenueHealth.first(name, now),
        account_id="paper",
        venue="paper",
        is_answering=True,
        is_circuit_open=is_circuit_open,
        as_of=now,
    )


async def test_f22_a_worker_that_stops_sending_brings_its_venue_to_reducing_and_nothing_else() -> None:
    fake = FakeWorld()
    await booking.on_venue_health(a_health(fake, "closed", is_circuit_open=False), fake.world)
    assert stage_of(fake, VENUE) is Stage.NORMAL
    for name in ("open", "open", "still open"):
        await booking.on_venue_health(a_health(fake, name, is_circuit_open=True), fake.world)

    assert stage_of(fake, VENUE) is Stage.REDUCING
    assert (stage_of(fake, ACCOUNT), stage_of(fake, GLOBAL)) == (Stage.NORMAL, Stage.NORMAL)
    assert [each.to_stage for each in fake.published(StageChanged)] == [Stage.REDUCING]
    await deciding.on_signal(a_signal(at=fake.clock.now()), fake.world)
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.TRADING_REDUCING


async def test_f22_an_open_circuit_makes_no_stage_milder() -> None:
    fake = FakeWorld()
    await commands.on_command(a_command("halt", at=fake.clock.now(), scope="venue", subject="paper"), fake.world)
    await booking.on_venue_health(a_health(fake, "open", is_circuit_open=True), fake.world)

    assert stage_of(fake, VENUE) is Stage.HALTED
