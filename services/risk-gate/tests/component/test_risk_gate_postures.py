"""How boldly to trade, over the world in memory."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from risk_gate_builders import NOW, a_command
from risk_gate_fakes import FakeWorld
from risk_gate_stage_fakes import StopOut

from risk_gate.domain.postures import PostureCause
from risk_gate.handlers import commands
from risk_gate.handlers.postures import mind_postures
from sigmax.schemas.control import Alert, PostureChanged
from sigmax.schemas.types import Posture

RISING = [Decimal(100) * Decimal("1.001") ** number for number in range(130)]


def posture_of(fake: FakeWorld) -> Posture:
    return fake.state.standing.postures[-1].posture


async def mind(fake: FakeWorld, minutes: float = 0) -> None:
    fake.clock.advance(minutes * 60)
    await mind_postures(fake.world)


def a_vix(fake: FakeWorld, value: str) -> None:
    fake.feed.vix_figure = (Decimal(value), fake.clock.now())


async def set_posture(fake: FakeWorld, posture: str | None, **changes: Any) -> None:
    values = {} if posture is None else {"posture": posture}
    name = f"set {posture} {fake.clock.now()}"
    await commands.on_command(a_command("set_posture", name=name, values=values, **changes), fake.world)


def stops(fake: FakeWorld, count: int, **changes: Any) -> None:
    for _ in range(count):
        fake.clock.advance(1)
        fake.state.standing.stop_outs.append(StopOut(fake.clock.now(), **changes))


async def test_the_weather_is_asked_at_the_start_and_every_half_hour() -> None:
    fake = FakeWorld()
    fake.feed.bars = {"x": RISING}
    a_vix(fake, "14")
    await mind(fake)
    (changed,) = fake.published(PostureChanged)
    assert (changed.from_posture, changed.to_posture) == (Posture.GUERRILLA, Posture.OFFENSIVE)
    assert changed.changed_by == "risk-gate"
    assert "VIX 14" in changed.reason
    a_vix(fake, "26")
    await mind(fake, 29.9)
    assert posture_of(fake) is Posture.OFFENSIVE
    await mind(fake, 0.1)
    assert posture_of(fake) is Posture.DEFENSIVE
    assert len(fake.published(PostureChanged)) == 2


async def test_an_evaluation_that_changes_nothing_is_kept_and_not_told() -> None:
    fake = FakeWorld()
    for _ in range(3):
        await mind(fake, 30)
    assert [row.posture for row in fake.state.standing.postures] == [Posture.GUERRILLA] * 3
    assert not fake.published(PostureChanged)


async def test_two_replicas_evaluate_once() -> None:
    fake = FakeWorld()
    await mind(fake)
    await mind(fake)
    assert len(fake.state.standing.postures) == 1


@pytest.mark.parametrize("posture", list(Posture))
async def test_a_posture_chosen_by_hand_stands_until_a_person_gives_it_back(posture: Posture) -> None:
    fake = FakeWorld()
    a_vix(fake, "26")
    await set_posture(fake, posture)
    await mind(fake, 600)
    assert posture_of(fake) is posture
    assert fake.published(PostureChanged)[-1].changed_by == "ada"
    a_vix(fake, "26")
    await set_posture(fake, "auto")
    await mind(fake)
    assert posture_of(fake) is Posture.DEFENSIVE
    assert fake.state.standing.postures[-1].cause is PostureCause.EVALUATED


async def test_a_command_without_a_posture_gives_it_back_too() -> None:
    fake = FakeWorld()
    await set_posture(fake, "offensive")
    await set_posture(fake, None)
    assert fake.state.standing.postures[-1].cause is PostureCause.RELEASED


async def test_a_posture_is_chosen_for_one_account_or_for_all() -> None:
    fake = FakeWorld()
    await set_posture(fake, "defensive", scope="account", subject="paper")
    assert posture_of(fake) is Posture.DEFENSIVE
    await set_posture(fake, "offensive", scope="account", subject="other")
    assert posture_of(fake) is Posture.DEFENSIVE
    await set_posture(fake, "bold")
    assert [alert.code for alert in fake.published(Alert)] == ["posture_refused"] * 2


@pytest.mark.parametrize(("count", "is_forced"), [(2, False), (3, True), (4, True)])
async def test_three_stop_losses_in_a_row_force_defensive(count: int, is_forced: bool) -> None:
    fake = FakeWorld()
    await mind(fake)
    stops(fake, count)
    await mind(fake)
    assert (posture_of(fake) is Posture.DEFENSIVE) is is_forced
    if is_forced:
        changed = fake.published(PostureChanged)[-1]
        assert (changed.to_posture, changed.changed_by) == (Posture.DEFENSIVE, "risk-gate")


async def test_a_winning_exit_begins_the_row_anew() -> None:
    fake = FakeWorld()
    await mind(fake)
    stops(fake, 2)
    stops(fake, 1, kind="take_profit", pnl=Decimal(1))
    stops(fake, 2)
    await mind(fake)
    assert posture_of(fake) is Posture.GUERRILLA


async def test_stops_overrule_a_person_and_the_next_three_are_counted_anew() -> None:
    fake = FakeWorld()
    await set_posture(fake, "offensive")
    stops(fake, 3)
    await mind(fake)
    assert posture_of(fake) is Posture.DEFENSIVE
    await set_posture(fake, "offensive")
    await mind(fake)
    stops(fake, 2)
    await mind(fake)
    assert posture_of(fake) is Posture.OFFENSIVE
    stops(fake, 1)
    await mind(fake)
    assert posture_of(fake) is Posture.DEFENSIVE


async def test_what_stops_forced_stands_for_two_hours() -> None:
    fake = FakeWorld()
    await mind(fake)
    stops(fake, 3)
    await mind(fake)
    a_vix(fake, "20")
    await mind(fake, 119.9)
    assert posture_of(fake) is Posture.DEFENSIVE
    await mind(fake, 0.1)
    assert posture_of(fake) is Posture.GUERRILLA


async def test_operators_see_the_posture_in_force() -> None:
    fake = FakeWorld()
    await set_posture(fake, "defensive")
    await mind(fake)
    assert fake.meter.shown_postures == {"paper": Posture.DEFENSIVE}
    assert fake.state.standing.postures[0].changed_at == NOW + timedelta(0)
