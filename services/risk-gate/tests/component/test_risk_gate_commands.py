"""What people ask for, over the world in memory."""

from datetime import timedelta
from typing import Any

import pytest
from risk_gate_builders import BTC, NOW, a_command, a_reconciliation, a_signal, an_event_of
from risk_gate_fakes import FakeWorld

from risk_gate.domain.facts import Latch
from risk_gate.handlers import booking, commands, deciding
from sigmax.schemas.control import Alert, Command, StageChanged
from sigmax.schemas.orders import CancelRequested, Difference, OrderApproved, OrderDenied
from sigmax.schemas.types import DenialCode, Scope, Stage

GLOBAL = (Scope.GLOBAL, "global")


async def approve(fake: FakeWorld, name: str = "signal", **changes: Any) -> OrderApproved:
    await deciding.on_signal(a_signal(name, at=fake.clock.now(), **changes), fake.world)
    verdict = fake.published(OrderApproved)[-1]
    assert isinstance(verdict, OrderApproved)
    return verdict


def by_two(command: str, **changes: Any) -> Command:
    return a_command(command, **({"approved_by": "grace", "approved_at": NOW} | changes))


async def bring_to(fake: FakeWorld, stage: Stage, **changes: Any) -> None:
    """Have a stage set; set it down, whatever it was."""
    command = a_command("set_stage", name=f"down to {stage}", values={"stage": stage}, **changes)
    await commands.on_command(command, fake.world)


async def test_a_halt_cancels_what_is_open_and_denies_what_comes() -> None:
    fake = FakeWorld()
    working = await approve(fake)
    await commands.on_command(a_command("halt"), fake.world)
    await commands.on_command(a_command("halt"), fake.world)
    fake.clock.advance(11)
    await deciding.on_signal(a_signal("after", at=fake.clock.now()), fake.world)

    (changed,) = fake.published(StageChanged)
    assert (changed.from_stage, changed.to_stage, changed.version) == (Stage.NORMAL, Stage.HALTED, 2)
    (cancel,) = fake.published(CancelRequested)
    assert cancel.client_order_id == working.client_order_id
    (denied,) = fake.published(OrderDenied)
    assert denied.code is DenialCode.KILL_SWITCH_ON


async def test_a_second_halt_changes_nothing_and_asks_again_for_the_orders_to_go() -> None:
    fake = FakeWorld()
    await approve(fake)
    await commands.on_command(a_command("halt"), fake.world)
    await commands.on_command(a_command("halt", name="again"), fake.world)
    assert len(fake.published(StageChanged)) == 1
    assert len(fake.published(CancelRequested)) == 2


async def test_a_halt_does_not_open_what_is_locked() -> None:
    fake = FakeWorld()
    await bring_to(fake, Stage.LOCKED)
    await commands.on_command(a_command("halt"), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.LOCKED


@pytest.mark.parametrize(
    ("scope", "subject", "cancels"),
    [
        ("strategy", "ema", 1),
        ("strategy", "rsi", 0),
        ("instrument", BTC, 1),
        ("venue", "paper", 1),
        ("account", "x", 0),
    ],
)
async def test_a_halt_of_one_scope_cancels_the_orders_of_that_scope(scope: str, subject: str, cancels: int) -> None:
    fake = FakeWorld()
    await approve(fake)
    await commands.on_command(a_command("halt", scope=scope, subject=subject), fake.world)
    assert len(fake.published(CancelRequested)) == cancels
    assert fake.state.stages[Scope(scope), subject].stage is Stage.HALTED


@pytest.mark.parametrize(
    ("stage", "cancels"),
    [(Stage.NORMAL, 0), (Stage.CAUTION, 0), (Stage.REDUCING, 0), (Stage.HALTED, 1), (Stage.LOCKED, 1)],
)
async def test_a_stage_goes_down_at_once_and_a_stop_cancels_what_is_open(stage: Stage, cancels: int) -> None:
    fake = FakeWorld()
    await approve(fake)
    await bring_to(fake, stage)
    assert fake.state.stages[GLOBAL].stage is stage
    assert len(fake.published(CancelRequested)) == cancels
    assert len(fake.published(StageChanged)) == (stage is not Stage.NORMAL)


async def test_what_has_ended_is_not_cancelled_by_a_halt() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    await booking.on_order_event(an_event_of(approved, 2, "canceled"), fake.world)
    await commands.on_command(a_command("halt"), fake.world)
    assert not fake.published(CancelRequested)


async def test_trading_comes_back_in_one_step_per_command_and_out_of_a_halt_with_two_people() -> None:
    fake = FakeWorld()
    await bring_to(fake, Stage.LOCKED)
    steps = [by_two("resume", name="1"), by_two("resume", name="2"), a_command("resume", name="3")]
    for command in [*steps, a_command("resume", name="4")]:
        await commands.on_command(command, fake.world)
    told = [(each.from_stage, each.to_stage) for each in fake.published(StageChanged)]
    assert told[1:] == [
        (Stage.LOCKED, Stage.HALTED),
        (Stage.HALTED, Stage.REDUCING),
        (Stage.REDUCING, Stage.CAUTION),
        (Stage.CAUTION, Stage.NORMAL),
    ]
    assert [each.changed_by for each in fake.published(StageChanged)] == ["ada", *["ada, grace"] * 2, *["ada"] * 2]
    assert not fake.published(Alert)
    assert await approve(fake)


@pytest.mark.parametrize("stage", [Stage.HALTED, Stage.LOCKED])
@pytest.mark.parametrize(
    "second",
    [
        {},
        {"approved_by": "ada", "approved_at": NOW},
        {"approved_by": "grace", "approved_at": NOW - timedelta(minutes=10, microseconds=1)},
        {"approved_by": "grace", "approved_at": NOW + timedelta(minutes=1)},
    ],
)
@pytest.mark.parametrize("command", ["resume", "set_stage"])
async def test_one_person_alone_does_not_lead_out_of_a_stop(stage: Stage, second: Any, command: str) -> None:
    fake = FakeWorld()
    await bring_to(fake, stage)
    wanted = {Stage.HALTED: "reducing", Stage.LOCKED: "halted"}[stage]
    await commands.on_command(a_command(command, values={"stage": wanted}, **second), fake.world)
    assert fake.state.stages[GLOBAL].stage is stage
    (alert,) = fake.published(Alert)
    assert alert.code == "second_person_missing"


async def test_an_approval_of_just_ten_minutes_counts() -> None:
    fake = FakeWorld()
    await commands.on_command(a_command("halt"), fake.world)
    await commands.on_command(by_two("resume", approved_at=NOW - timedelta(minutes=10)), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.REDUCING


async def test_a_stage_is_set_up_by_one_step_and_no_more() -> None:
    fake = FakeWorld()
    await bring_to(fake, Stage.REDUCING)
    await commands.on_command(a_command("set_stage", name="two", values={"stage": "normal"}), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.REDUCING
    (alert,) = fake.published(Alert)
    assert alert.code == "stage_refused"
    assert "one step at a time" in alert.text
    await commands.on_command(a_command("set_stage", name="one", values={"stage": "caution"}), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.CAUTION


@pytest.mark.parametrize("values", [{}, {"stage": "fine"}, {"stage": "NORMAL"}])
async def test_a_stage_that_is_none_is_refused(values: dict[str, str]) -> None:
    fake = FakeWorld()
    await commands.on_command(a_command("set_stage", values=values), fake.world)
    (alert,) = fake.published(Alert)
    assert alert.code == "stage_refused"
    assert not fake.published(StageChanged)


@pytest.mark.parametrize(("command", "code"), [("resume", "resume_refused"), ("set_stage", "stage_refused")])
async def test_nothing_goes_up_on_old_books_and_people_hear_why(command: str, code: str) -> None:
    fake = FakeWorld()
    await commands.on_command(a_command("halt"), fake.world)
    fake.clock.advance(121)
    raised = by_two(command, values={"stage": "reducing"}, approved_at=fake.clock.now())
    await commands.on_command(raised, fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.HALTED
    (alert,) = fake.published(Alert)
    assert alert.code == code
    assert "more than 120 s ago" in alert.text


async def test_nothing_goes_up_after_a_reconciliation_that_failed() -> None:
    fake = FakeWorld()
    await bring_to(fake, Stage.CAUTION)
    fake.clock.advance(1)
    clock = Difference(kind="clock", subject="venue", ours="1", venue="2", is_dust=False)
    failed = a_reconciliation("failed", passed=False, as_of=fake.clock.now(), differences=(clock,))
    await booking.on_reconciled(failed, fake.world)
    await commands.on_command(a_command("resume"), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.CAUTION
    (alert,) = fake.published(Alert)
    assert "no passed reconciliation" in alert.text


async def test_a_resume_leads_to_the_very_stage_that_was_approved_or_nowhere() -> None:
    fake = FakeWorld()
    await bring_to(fake, Stage.LOCKED)
    approved_before = {"from": Stage.HALTED, "stage": Stage.REDUCING}
    await commands.on_command(by_two("resume", name="1", values=approved_before), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.LOCKED
    (alert,) = fake.published(Alert)
    assert alert.code == "resume_refused"
    await commands.on_command(by_two("resume", name="2", values={"stage": Stage.HALTED}), fake.world)
    assert fake.state.stages[GLOBAL].stage is Stage.HALTED


async def test_a_scope_that_nobody_lowered_is_not_resumed() -> None:
    fake = FakeWorld()
    await commands.on_command(by_two("resume", scope="instrument", subject=BTC), fake.world)
    (alert,) = fake.published(Alert)
    assert alert.code == "resume_refused"
    assert not fake.published(StageChanged)


async def test_a_halt_with_an_odd_reason_still_halts() -> None:
    fake = FakeWorld()
    await commands.on_command(a_command("halt", reason="\x00"), fake.world)
    (changed,) = fake.published(StageChanged)
    assert changed.reason == "halt by ada"


async def test_one_order_can_be_cancelled_and_an_unknown_one_is_told_of() -> None:
    fake = FakeWorld()
    approved = await approve(fake)
    await commands.on_command(a_command("cancel_order", subject=approved.client_order_id), fake.world)
    await commands.on_command(a_command("cancel_order", subject="sx0", name="other"), fake.world)
    (cancel,) = fake.published(CancelRequested)
    assert (cancel.client_order_id, cancel.requested_by) == (approved.client_order_id, "ada")
    (alert,) = fake.published(Alert)
    assert alert.code == "cancel_refused"


async def test_commands_for_other_services_are_left_alone() -> None:
    fake = FakeWorld()
    await commands.on_command(a_command("set_params"), fake.world)
    assert not fake.state.published


# Limits and latches ------------------------------------------------------------------------------------------------------


async def test_two_people_change_limits_and_the_next_decision_sees_them() -> None:
    fake = FakeWorld()
    await commands.on_command(by_two("set_limits", values={"order_notional_max": '"100"'}), fake.world)
    assert (fake.state.limits["paper"].order_notional_max, fake.state.limits["paper"].version) == (100, 2)
    assert fake.state.standing.limits_by == ["ada, grace"]
    (alert,) = fake.published(Alert)
    assert (alert.code, alert.values) == ("limits_changed", {"order_notional_max": '"100"'})


@pytest.mark.parametrize("command", ["set_limits", "release"])
async def test_one_person_alone_gives_no_risk_back(command: str) -> None:
    fake = FakeWorld()
    before = fake.state.limits["paper"]
    await commands.on_command(a_command(command, values={"order_notional_max": '"100"'}), fake.world)
    assert fake.state.limits["paper"] == before
    (alert,) = fake.published(Alert)
    assert alert.code == "second_person_missing"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"order_notional": "1"}, "no such limit"),
        ({"order_notional_max": '"-1"'}, "order_notional_max"),
        ({"order_notional_max": "x"}, "not JSON"),
        ({}, "nothing would change"),
    ],
)
async def test_limits_that_are_none_are_refused(values: dict[str, str], says: str) -> None:
    fake = FakeWorld()
    await commands.on_command(by_two("set_limits", values=values), fake.world)
    assert fake.state.limits["paper"].version == 1
    (alert,) = fake.published(Alert)
    assert alert.code == "limits_refused"
    assert says in alert.text


async def test_limits_are_changed_for_an_account_that_is_known() -> None:
    fake = FakeWorld()
    values = {"order_notional_max": '"100"'}
    await commands.on_command(by_two("set_limits", scope="account", subject="other", values=values), fake.world)
    (alert,) = fake.published(Alert)
    assert alert.code == "limits_refused"


async def test_two_people_take_a_latch_off() -> None:
    fake = FakeWorld()
    latch = Latch(Scope.STRATEGY, "ema", DenialCode.ORDER_COUNT_EXCEEDED, "too many orders")
    fake.state.past.latches.append(("paper", latch))
    await commands.on_command(by_two("release", scope="strategy", subject="ema"), fake.world)
    assert not fake.state.past.latches
    (alert,) = fake.published(Alert)
    assert alert.code == "released"
    assert "too many orders" in alert.text
