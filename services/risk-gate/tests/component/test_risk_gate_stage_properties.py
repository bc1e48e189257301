"""Whatever people ask and whatever the watch sees: no stage rises by itself, by two steps, or out of a stop by one."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from risk_gate_builders import BTC, NOW, a_command, a_reconciliation, a_signal, some_limits
from risk_gate_fakes import FakeWorld

from risk_gate.domain.facts import Outcomes, Unknown, VenueState
from risk_gate.domain.ladder import LadderRule, MarketView, View, rungs
from risk_gate.domain.losses import Marks
from risk_gate.domain.stages import stops_sends
from risk_gate.handlers import booking, commands, deciding
from risk_gate.handlers.watching import watch
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested
from sigmax.schemas.types import Stage

SCOPES = [("global", "global"), ("account", "paper"), ("venue", "paper"), ("instrument", BTC)]
SEEN: list[dict[str, Any]] = [
    {},
    {"outcomes": Outcomes(20, 15)},
    {"unknown": Unknown(account=2)},
    {"marks": Marks(day=Decimal(107_000))},
    {"limits": None},
]
EVENTS = st.one_of(
    st.tuples(st.just("halt"), st.sampled_from(SCOPES), st.just(None), st.booleans()),
    st.tuples(st.just("resume"), st.sampled_from(SCOPES), st.just(None), st.booleans()),
    st.tuples(st.just("set_stage"), st.sampled_from(SCOPES), st.sampled_from(list(Stage)), st.booleans()),
    st.tuples(st.just("watch"), st.just(None), st.sampled_from(range(len(SEEN))), st.none()),
    st.tuples(st.just("reconcile"), st.just(None), st.booleans(), st.none()),
    st.tuples(st.just("wait"), st.just(None), st.sampled_from([1, 119, 121]), st.none()),
)


async def happen(fake: FakeWorld, number: int, event: Any) -> None:
    kind, scope, value, by_two = event
    fake.clock.advance(0.5)
    now = fake.clock.now()
    if kind == "wait":
        fake.clock.advance(value)
    elif kind == "reconcile":
        await booking.on_reconciled(a_reconciliation(f"r {number}", passed=value, as_of=now), fake.world)
    elif kind == "watch":
        venue = VenueState("paper", True, None, Decimal(0), 0, now)
        fake.state.standing.watched = {"venue": venue} | SEEN[value]
        await watch(fake.world)
    else:
        second = {"approved_by": "grace", "approved_at": now} if by_two else {}
        values = {"stage": value} if value else {}
        command = a_command(kind, name=f"c {number}", at=now, scope=scope[0], subject=scope[1], values=values, **second)
        await commands.on_command(command, fake.world)


@settings(deadline=None, max_examples=60)
@given(events=st.lists(EVENTS, min_size=1, max_size=14))
async def test_no_stage_rises_by_itself_by_two_steps_or_out_of_a_stop_by_one_person(events: list[Any]) -> None:
    fake = FakeWorld()
    fake.state.limits["paper"] = some_limits(alerting_required=False)
    await deciding.on_signal(a_signal(), fake.world)
    working = len(fake.state.orders)
    for number, event in enumerate(events):
        before, told = fake.state.accounts["paper"], len(fake.published(StageChanged))
        canceled = len(fake.published(CancelRequested))
        await happen(fake, number, event)
        for change in fake.published(StageChanged)[told:]:
            rises = change.from_stage.severity - change.to_stage.severity
            assert rises <= 1
            if rises == 1:
                assert event[0] in {"resume", "set_stage"}
                assert before.reconciliation_passed
                assert before.reconciled_at is not None
                assert fake.clock.now() - before.reconciled_at <= timedelta(seconds=120)
                assert "grace" in change.changed_by or not stops_sends(change.from_stage)
            elif stops_sends(change.to_stage) and working:
                assert len(fake.published(CancelRequested)) > canceled
    versions = [(each.scope, each.scope_id, each.version) for each in fake.published(StageChanged)]
    assert len(set(versions)) == len(versions)
    for scope, current in fake.state.stages.items():
        changes = [each for each in fake.published(StageChanged) if (each.scope, each.scope_id) == scope]
        assert current.stage is (changes[-1].to_stage if changes else Stage.NORMAL)
        pairs = pairwise(changes)
        assert all(earlier.to_stage is later.from_stage for earlier, later in pairs)


@given(
    gaps_s=st.lists(st.decimals(0, 700, places=3), min_size=2, max_size=2),
    price_age_max_s=st.decimals("0.5", 600, places=1),
    failing_s=st.lists(st.integers(0, 1000), min_size=2, max_size=2),
)
def test_a_longer_fault_never_stands_on_a_lower_rung(
    gaps_s: list[Decimal], price_age_max_s: Decimal, failing_s: list[int]
) -> None:
    steps = []
    for gap_s, failed_s in zip(sorted(gaps_s), sorted(failing_s), strict=True):
        since = NOW - timedelta(seconds=failed_s)
        newest_at = NOW - timedelta(microseconds=int(gap_s * 1_000_000))
        market = MarketView(BTC, price_age_max_s, newest_at)
        view = View(
            NOW - timedelta(hours=1), {"paper": VenueState("paper", False, since, Decimal(0), 0, NOW)}, (market,)
        )
        steps.append({rung.fault: rung.step for rung in rungs(view, LadderRule(), NOW)})
    shorter, longer = steps
    assert all(longer.get(fault, 0) >= step for fault, step in shorter.items())
