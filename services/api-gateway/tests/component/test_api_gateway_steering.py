"""What people ask of the risk gate, and what of it waits for a second person."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid5

import pytest

from api_gateway.domain.holders import Credentials
from api_gateway.domain.rights import Right
from api_gateway.domain.second_person import ApprovalStatus
from api_gateway.handlers.context import Gateway
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.types import Scope, Stage

KEY = {"Idempotency-Key": "key-00001"}
SEEN = {"fingerprint": "f" * 64}
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def asked(gateway: Gateway) -> list[Any]:
    """Give what waits for a second person."""
    return list(gateway.commands.asked.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        ("admin", "POST", "/risk/resume", {}),
        ("admin", "PUT", "/risk/stage", {"stage": "reducing"}),
        ("admin", "PUT", "/risk/limits", {"account_id": "paper", "values": {"order_notional_max": 1}, "reason": "x"}),
        (
            "trader",
            "POST",
            "/ledger/transfers",
            {"account_id": "paper", "asset": "USDT", "amount": "-5", "reason": "x"},
        ),
    ],
)
async def test_what_gives_risk_back_waits_for_a_second_person(
    client_as: Any, gateway: Gateway, role: str, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await client_as(role).request(method, f"/api/v1{path}", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["status"]) == (202, "awaiting_second_person"), answer.text
    assert len(asked(gateway)) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/risk/halt", {}),
        ("PUT", "/risk/stage", {"stage": "locked"}),
        ("PUT", "/risk/stage", {"stage": "halted"}),
        ("POST", "/risk/flatten", {"scope": "account", "scope_id": "paper"}),
        ("POST", "/risk/flatten", {"everything": True}),
        ("PUT", "/risk/posture", {"account_id": "paper", "posture": "offensive"}),
        ("PUT", "/risk/posture", {"account_id": "paper"}),
    ],
)
async def test_what_lowers_risk_waits_for_nobody(
    client_as: Any, gateway: Gateway, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = await client_as("trader").request(method, f"/api/v1{path}", json=body, headers=KEY)
    assert (answer.status_code, answer.json()["status"]) == (202, "requested"), answer.text
    assert asked(gateway) == []


@pytest.mark.parametrize(
    ("stage", "waits", "step"),
    [(Stage.LOCKED, 1, "halted"), (Stage.HALTED, 1, "reducing"), (Stage.REDUCING, 0, "caution")],
)
async def test_resume_is_one_step_up_and_out_of_a_halt_it_takes_two(
    client_as: Any, gateway: Gateway, stage: Stage, waits: int, step: str
) -> None:
    gateway.risk.stage = stage  # type: ignore[attr-defined]
    answer = await client_as("admin").post("/api/v1/risk/resume", json={}, headers=KEY)
    assert answer.json()["values"] == {"from": stage.value, "stage": step}
    assert len(asked(gateway)) == waits


async def test_a_platform_whose_stage_nobody_can_read_counts_as_halted(client_as: Any, gateway: Gateway) -> None:
    gateway.risk.stage = None  # type: ignore[attr-defined]
    await client_as("admin").post("/api/v1/risk/resume", json={}, headers=KEY)
    assert asked(gateway)[0].before == {"stage": "halted"}


async def test_where_nothing_is_held_back_nothing_is_resumed(client_as: Any, gateway: Gateway) -> None:
    gateway.risk.stage = Stage.NORMAL  # type: ignore[attr-defined]
    answer = await client_as("admin").post("/api/v1/risk/resume", json={}, headers=KEY)
    assert answer.status_code == 409
    venue = {"scope": "venue", "scope_id": "paper"}
    assert (await client_as("admin").post("/api/v1/risk/resume", json=venue, headers=KEY)).status_code == 409


async def test_a_stage_goes_up_one_step_and_by_an_admin(client_as: Any, gateway: Gateway) -> None:
    far = await client_as("admin").put("/api/v1/risk/stage", json={"stage": "normal"}, headers=KEY)
    assert (far.status_code, "to reducing" in far.json()["detail"]) == (409, True)
    trader = await client_as("trader").put("/api/v1/risk/stage", json={"stage": "reducing"}, headers=KEY)
    assert trader.status_code == 403
    await client_as("admin").put("/api/v1/risk/stage", json={"stage": "reducing"}, headers=KEY)
    (ask,) = asked(gateway)
    assert (ask.needed_right, ask.before) == (Right.RELEASE, {"stage": "halted"})


async def test_a_trader_steers_only_own_accounts(client_as: Any) -> None:
    for method, path, body in (
        ("POST", "/risk/flatten", {"scope": "account", "scope_id": "other"}),
        ("PUT", "/risk/stage", {"scope": "account", "scope_id": "other", "stage": "locked"}),
        ("PUT", "/risk/posture", {"account_id": "other", "posture": "defensive"}),
        ("POST", "/ledger/transfers", {"account_id": "other", "asset": "USDT", "amount": "5", "reason": "x"}),
    ):
        answer = await client_as("trader").request(method, f"/api/v1{path}", json=body, headers=KEY)
        assert answer.status_code == 403, path


async def test_the_second_person_of_a_transfer_is_of_that_account(client_as: Any, gateway: Gateway) -> None:
    body = {"account_id": "paper", "asset": "USDT", "amount": "0.10", "reason": "x"}
    answer = await client_as("trader").post("/api/v1/ledger/transfers", json=body, headers=KEY)
    assert answer.json()["values"] == {"asset": "USDT", "amount": "0.10"}
    (ask,) = asked(gateway)
    assert (ask.needed_right, ask.account_id) == (Right.TRANSFER, "paper")


@pytest.mark.parametrize(
    "changes", [{"amount": "0"}, {"amount": "NaN"}, {"asset": "us dt"}, {"reason": ""}, {"account_id": ""}]
)
async def test_a_transfer_is_of_some_money_for_some_reason(client_as: Any, changes: dict[str, str]) -> None:
    body = {"account_id": "paper", "asset": "USDT", "amount": "5", "reason": "x"} | changes
    answer = await client_as("trader").post("/api/v1/ledger/transfers", json=body, headers=KEY)
    assert answer.status_code == 422


async def test_limits_travel_as_json_with_what_held_before(client_as: Any, gateway: Gateway) -> None:
    values = {"order_notional_max": "20000", "instruments_allowed": ["BTC/USDT@x"]}
    body = {"account_id": "paper", "values": values, "reason": "more"}
    answer = await client_as("admin").put("/api/v1/risk/limits", json=body, headers=KEY)
    assert (answer.json()["scope"], answer.json()["subject"]) == (Scope.ACCOUNT, "paper")
    assert answer.json()["values"] == {"order_notional_max": '"20000"', "instruments_allowed": '["BTC/USDT@x"]'}
    assert asked(gateway)[0].before == {"version": 3, "order_notional_max": "10000", "instruments_allowed": None}


async def test_a_limit_that_is_not_known_is_refused_by_name(client_as: Any) -> None:
    body = {"account_id": "paper", "values": {"order_notional": 1}, "reason": "x"}
    answer = await client_as("admin").put("/api/v1/risk/limits", json=body, headers=KEY)
    assert answer.status_code == 422
    assert [error["where"] for error in answer.json()["errors"]] == ["body.values.order_notional"]
    nobody = await client_as("admin").put("/api/v1/risk/limits", json=body | {"account_id": "none"}, headers=KEY)
    assert nobody.status_code == 404


async def test_who_releases_is_shown_what_is_latched(client_as: Any, gateway: Gateway) -> None:
    body = {"scope": "strategy", "scope_id": "ema", "reason": "looked at"}
    await client_as("admin").post("/api/v1/risk/release", json=body, headers=KEY)
    other = {"Idempotency-Key": "key-00002"}
    await client_as("admin").post("/api/v1/risk/release", json=body | {"scope_id": "free"}, headers=other)
    assert [ask.before for ask in asked(gateway)] == [{"latches": ["too many"]}, {"latches": []}]


async def test_a_second_person_approves_what_was_seen(client_as: Any, gateway: Gateway) -> None:
    waiting = (await client_as("admin").get("/api/v1/approvals")).json()["items"][0]
    path = f"/api/v1/approvals/{waiting['approval_id']}"
    assert (await client_as("admin").get(path)).json() == waiting
    other = await client_as("admin").post(f"{path}/approve", json={"fingerprint": "0" * 64})
    assert (other.status_code, other.json()["type"]) == (409, "/problems/conflict")
    approved = await client_as("admin").post(f"{path}/approve", json=SEEN)
    assert (approved.status_code, approved.json()["decided_by"]) == (200, "admin")
    again = await client_as("admin").post(f"{path}/approve", json=SEEN)
    assert again.status_code == 409
    assert gateway.approvals.now.status is ApprovalStatus.APPROVED  # type: ignore[attr-defined]


async def test_a_login_that_who_asked_has_set_approves_nothing_and_hears_what_to_do_and_when_it_will(
    client_as: Any, gateway: Gateway
) -> None:
    approvals: Any = gateway.approvals
    path = f"/api/v1/approvals/{approvals.now.approval_id}"
    approvals.credentials = Credentials(False, uuid5(NAMESPACE, "mina"), NOW)
    answer = await client_as("admin").post(f"{path}/approve", json=SEEN)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (403, "/problems/not-two-people")
    assert "mina set the password or the rights of admin" in problem["detail"]
    assert "2026-01-06 09:00:00 UTC" in problem["what_to_do"]
    assert "sigmax user password --as admin" in problem["what_to_do"]
    assert approvals.now.status is ApprovalStatus.AWAITING


async def test_an_admin_cannot_go_round_the_own_current_password_by_a_reset(client_as: Any, gateway: Gateway) -> None:
    me = (await client_as("admin").get("/api/v1/auth/me")).json()
    assert (me["has_own_password"], me["independent_from"]) == (True, None)
    answer = await client_as("admin").post(f"/api/v1/users/{me['user_id']}/password")
    assert (answer.status_code, gateway.users.passwords) == (409, [])  # type: ignore[attr-defined]


async def test_who_asked_is_not_the_second_person_and_may_take_it_back(client_as: Any, gateway: Gateway) -> None:
    waiting = gateway.approvals.now  # type: ignore[attr-defined]
    gateway.approvals.now = waiting.model_copy(update={"requested_by": "admin"})  # type: ignore[attr-defined]
    path = f"/api/v1/approvals/{waiting.approval_id}"
    assert (await client_as("admin").post(f"{path}/approve", json=SEEN)).status_code == 403
    assert (await client_as("admin").post(f"{path}/refuse", json=SEEN)).json()["status"] == "refused"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/risk/halt", {"scope": "account", "scope_id": "nosuch"}),
        ("POST", "/risk/resume", {"scope": "venue", "scope_id": "nosuch"}),
        ("PUT", "/risk/stage", {"scope": "instrument", "scope_id": "nosuch", "stage": "halted"}),
        ("POST", "/risk/flatten", {"scope": "account", "scope_id": "nosuch"}),
        ("POST", "/risk/release", {"scope": "strategy", "scope_id": "nosuch", "reason": "x"}),
        ("PUT", "/risk/posture", {"account_id": "nosuch"}),
        ("POST", "/ledger/transfers", {"account_id": "nosuch", "asset": "USD", "amount": "1", "reason": "x"}),
    ],
)
async def test_who_mistypes_a_name_does_not_believe_that_it_was_done(
    client_as: Any, gateway: Gateway, method: str, path: str, body: dict[str, str]
) -> None:
    answer = await client_as("admin").request(method, f"/api/v1{path}", json=body, headers=KEY)
    assert (answer.status_code, gateway.commands.wishes) == (404, {})  # type: ignore[attr-defined]


async def test_who_could_not_ask_cannot_approve(client_as: Any, gateway: Gateway) -> None:
    path = f"/api/v1/approvals/{gateway.approvals.now.approval_id}"  # type: ignore[attr-defined]
    assert (await client_as("trader").post(f"{path}/approve", json=SEEN)).status_code == 403


async def test_a_role_is_given_by_two_admins_and_taken_off_by_one(client_as: Any, gateway: Gateway) -> None:
    users = (await client_as("admin").get("/api/v1/users")).json()
    trader = next(user["user_id"] for user in users if user["role"] == "trader")
    given = await client_as("admin").patch(f"/api/v1/users/{trader}", json={"role": "admin"})
    assert (given.status_code, given.json()["action"]) == (202, "change_user")
    more = await client_as("admin").patch(f"/api/v1/users/{trader}", json={"accounts": ["paper", "live"]})
    assert more.status_code == 202
    off = await client_as("admin").patch(f"/api/v1/users/{trader}", json={"is_active": False})
    assert off.status_code == 200
    assert len(gateway.approvals.asked) == 2  # type: ignore[attr-defined]


async def test_a_second_admin_can_be_added_by_the_first_and_a_third_takes_two(
    client_as: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"login": "joon", "role": "admin"}
    assert (await client_as("admin").post("/api/v1/users", json=body)).status_code == 201
    known = await gateway.users.users()
    two = [*known, next(user for user in known if user.role == "admin")]

    async def users() -> list[Any]:
        return two

    monkeypatch.setattr(gateway.users, "users", users)
    answer = await client_as("admin").post("/api/v1/users", json={**body, "login": "sora"})
    assert (answer.status_code, "takes both" in answer.json()["detail"]) == (409, True)
