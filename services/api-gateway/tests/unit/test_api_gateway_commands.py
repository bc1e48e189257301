import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from api_gateway.domain.commands import CommandStatus, Wish, command_id_of, progress
from api_gateway.domain.effects import _EFFECTS, Observed, is_done
from api_gateway.domain.limits import wrong_limits
from api_gateway.domain.second_person import ApprovalStatus
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import Command, CommandName
from sigmax.schemas.types import OrderStatus, Posture, Scope, Stage

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
USER = uuid5(NAMESPACE, "user")


def up(from_stage: str, to_stage: str, name: CommandName = CommandName.RESUME) -> Wish:
    return Wish(name, "global", values={"from": from_stage, "stage": to_stage})


def test_the_same_key_makes_the_same_command_and_keys_of_two_people_never_meet() -> None:
    assert command_id_of(USER, "key-00001") == command_id_of(USER, "key-00001")
    assert command_id_of(USER, "key-00001") != command_id_of(UUID(int=1), "key-00001")
    assert command_id_of(USER, "key-00001") == Command.first(f"{USER}:key-00001", NOW)["message_id"]


def test_another_wish_has_another_fingerprint() -> None:
    wish = Wish(CommandName.SET_PARAMS, "ema", Scope.STRATEGY, {"fast": "10"})
    assert wish.fingerprint() != Wish(CommandName.SET_PARAMS, "ema", Scope.STRATEGY, {"fast": "11"}).fingerprint()
    assert wish.fingerprint() == Wish(CommandName.SET_PARAMS, "ema", Scope.STRATEGY, {"fast": "10"}).fingerprint()


def test_an_approved_command_carries_both_people_and_when() -> None:
    message = up("halted", "reducing").message(USER, "mina", NOW, approved_by="joon")
    assert (message.requested_by, message.approved_by, message.approved_at) == ("mina", "joon", NOW)
    alone = Wish(CommandName.HALT, "global").message(USER, "mina", NOW)
    assert (alone.approved_by, alone.approved_at) == (None, None)


LIMITS = Wish(
    CommandName.SET_LIMITS,
    "paper",
    values={"leverage_max": '"2.0"', "instruments_restricted": '["BTC/USDT@x"]', "orders_max": "5", "off": "null"},
)


@pytest.mark.parametrize(
    ("wish", "observed"),
    [
        (Wish(CommandName.ACTIVATE_STRATEGY, "ema"), Observed(strategy_status="active")),
        (Wish(CommandName.STOP_STRATEGY, "ema"), Observed(strategy_status="stopped")),
        (
            Wish(CommandName.SET_PARAMS, "ema", values={"fast": "10.0", "on": "true", "kind": "x"}),
            Observed(strategy_params={"fast": 10, "on": True, "kind": "x", "slow": 3}),
        ),
        (Wish(CommandName.HALT, "global"), Observed(stage=Stage.LOCKED)),
        (up("halted", "reducing"), Observed(stage=Stage.REDUCING)),
        (up("halted", "reducing"), Observed(stage=Stage.CAUTION)),
        (up("normal", "caution", CommandName.SET_STAGE), Observed(stage=Stage.HALTED)),
        (Wish(CommandName.CANCEL_ORDER, "sx1"), Observed(order_status=OrderStatus.FILLED)),
        (
            Wish(CommandName.SET_POSTURE, "paper", values={"posture": "defensive"}),
            Observed(posture=Posture.DEFENSIVE, is_posture_by_hand=True),
        ),
        (Wish(CommandName.SET_POSTURE, "paper"), Observed(posture=Posture.DEFENSIVE, is_posture_by_hand=False)),
        (
            LIMITS,
            Observed(
                limits={"leverage_max": 2, "instruments_restricted": ["BTC/USDT@x"], "orders_max": "5", "off": None}
            ),
        ),
        (Wish(CommandName.FLATTEN, "paper"), Observed(is_flattening_over=True)),
        (Wish(CommandName.RELEASE, "paper"), Observed(is_released=True)),
        (Wish(CommandName.BOOK_TRANSFER, "paper"), Observed(is_transfer_booked=True)),
        (
            Wish(CommandName.IDENTIFY_ORDER, "paper", values={"client_order_id": "sx1", "venue_order_id": "v1"}),
            Observed(order_status=OrderStatus.NEW),
        ),
        (
            Wish(CommandName.IDENTIFY_ORDER, "paper", values={"client_order_id": "sx1", "venue_order_id": ""}),
            Observed(order_status=OrderStatus.UNPLACED),
        ),
    ],
)
def test_a_command_is_done_once_its_effect_is_seen(wish: Wish, observed: Observed) -> None:
    assert is_done(wish, observed)
    assert not is_done(wish, Observed())


@pytest.mark.parametrize(
    ("wish", "observed"),
    [
        (Wish(CommandName.HALT, "global"), Observed(stage=Stage.REDUCING)),
        (up("halted", "reducing"), Observed(stage=Stage.HALTED)),
        (up("normal", "reducing", CommandName.SET_STAGE), Observed(stage=Stage.CAUTION)),
        (
            Wish(CommandName.SET_POSTURE, "paper", values={"posture": "defensive"}),
            Observed(posture=Posture.DEFENSIVE, is_posture_by_hand=False),
        ),
        (LIMITS, Observed(limits={"leverage_max": "2.1", "instruments_restricted": [], "orders_max": 5, "off": None})),
        (Wish(CommandName.FLATTEN, "paper"), Observed(is_flattening_over=False)),
        (Wish(CommandName.RELEASE, "paper"), Observed(is_released=False)),
    ],
)
def test_what_only_looks_like_the_effect_is_not_it(wish: Wish, observed: Observed) -> None:
    assert not is_done(wish, observed)


def test_every_command_has_an_effect_that_can_be_seen() -> None:
    assert set(_EFFECTS) == set(CommandName)


@pytest.mark.parametrize(
    ("seconds", "done", "approval", "status"),
    [
        (0, True, None, CommandStatus.DONE),
        (30, False, None, CommandStatus.REQUESTED),
        (31, False, None, CommandStatus.UNCONFIRMED),
        (31, False, ApprovalStatus.AWAITING, CommandStatus.AWAITING_SECOND_PERSON),
        (31, True, ApprovalStatus.AWAITING, CommandStatus.AWAITING_SECOND_PERSON),
        (31, False, ApprovalStatus.REFUSED, CommandStatus.REFUSED),
        (31, False, ApprovalStatus.EXPIRED, CommandStatus.EXPIRED),
        (30, False, ApprovalStatus.APPROVED, CommandStatus.REQUESTED),
        (0, True, ApprovalStatus.APPROVED, CommandStatus.DONE),
    ],
)
def test_a_command_that_waits_for_a_second_person_is_neither_sent_nor_late(
    seconds: int, *, done: bool, approval: ApprovalStatus | None, status: CommandStatus
) -> None:
    assert progress(NOW, NOW + timedelta(seconds=seconds), is_done=done, approval=approval) is status


KNOWN = json.loads(
    '{"version": 3, "leverage_max": "1", "orders_max": 5, "instruments_allowed": null,'
    ' "instruments_restricted": [], "order_quantity_max": {}, "is_short_allowed": false, "posture": "guerrilla"}'
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leverage_max", 2),
        ("leverage_max", "0.5"),
        ("orders_max", "7"),
        ("instruments_allowed", ["BTC/USDT@x"]),
        ("instruments_restricted", None),
        ("order_quantity_max", {"BTC/USDT@x": "1"}),
        ("is_short_allowed", True),
        ("posture", "defensive"),
    ],
)
def test_a_limit_of_the_kind_in_force_may_be_asked_for(name: str, value: object) -> None:
    assert wrong_limits({name: value}, KNOWN) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("leverage", 2),
        ("version", 9),
        ("leverage_max", "much"),
        ("leverage_max", "NaN"),
        ("leverage_max", "Infinity"),
        ("leverage_max", None),
        ("leverage_max", True),
        ("instruments_restricted", "BTC/USDT@x"),
        ("order_quantity_max", 3),
        ("is_short_allowed", 1),
        ("posture", 3),
    ],
)
def test_a_limit_that_is_not_known_or_of_another_kind_is_named(name: str, value: object) -> None:
    assert [wrong for wrong, _ in wrong_limits({name: value}, KNOWN)] == [name]
