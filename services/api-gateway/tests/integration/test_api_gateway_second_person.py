"""Two people on real servers: what goes out, when, with whose names, and what never does."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import aio_pika
import asyncpg
import pytest

from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.topology import queue_of

pytestmark = pytest.mark.integration

_PATIENCE_S = 20
KEY = {"Idempotency-Key": "key-00001"}
HALTED = {
    "scope": "global", "scope_id": "global", "stage": "halted", "version": 2, "reason": "drill", "changed_by": "admin",
}  # fmt: skip


async def next_body(live: Any, name: str, within_s: float = _PATIENCE_S) -> bytes | None:
    """Take the next message off a queue. It is sent once its transaction has committed, so maybe after the answer."""
    async with await aio_pika.connect(live.servers.rabbitmq_url_as("sigmax_admin")) as connection:
        queue = await (await connection.channel()).get_queue(name, ensure=False)
        deadline = time.monotonic() + within_s
        while (message := await queue.get(no_ack=True, fail=False)) is None and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return None if message is None else message.body


async def received(live: Any, service: str = "risk-gate") -> Command:
    """Take the next command off a service's queue."""
    body = await next_body(live, queue_of(service, Command))
    assert body is not None
    return Command.decode(body)


async def is_empty(live: Any) -> bool:
    return await next_body(live, queue_of("risk-gate", Command), within_s=0) is None


async def nothing_went_out(live: Any) -> bool:
    rows = await live.rows("SELECT 1 FROM api_gateway.outbox WHERE topic = 'api_gateway.command.v1'")
    return not rows and await is_empty(live)


async def audited(live: Any) -> list[tuple[str, str]]:
    rows = await live.rows(
        "SELECT actor, action FROM api_gateway.audit WHERE action NOT IN ('login', 'user_added') ORDER BY entry_id"
    )
    return [(row["actor"], row["action"]) for row in rows]


@pytest.fixture
async def halted(live: Any) -> Any:
    """Give a gateway over a platform that is halted."""
    await live.seed_chain()
    await live.rows(
        "INSERT INTO risk_gate.stages (scope, scope_id, stage, version, reason, changed_by, changed_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, now())",
        *HALTED.values(),
    )
    return live


async def test_a_halt_is_lifted_by_two_people_and_goes_out_with_both_names(halted: Any, poll: Any) -> None:
    admin, joon = await halted.signed_in(), await halted.user("admin", "joon")
    asked = (await admin.post("/api/v1/risk/resume", json={"reason": "over"}, headers=KEY)).json()
    assert asked["status"] == "awaiting_second_person"
    assert await nothing_went_out(halted)

    waiting = (await joon.get("/api/v1/approvals?is_awaiting=true")).json()["items"]
    assert [(one["action"], one["values"], one["before"]) for one in waiting] == [
        ("resume", {"from": "halted", "stage": "reducing"}, {"stage": "halted"})
    ]
    path, seen = asked["approval_url"], {"fingerprint": waiting[0]["fingerprint"]}
    own = await admin.post(f"{path}/approve", json=seen)
    assert (own.status_code, own.json()["type"]) == (403, "/problems/not-allowed")
    assert await nothing_went_out(halted)

    assert (await joon.post(f"{path}/approve", json=seen)).raise_for_status().json()["status"] == "approved"
    command = await received(halted)
    assert (command.command, command.requested_by, command.approved_by) == (CommandName.RESUME, "admin", "joon")
    assert command.approved_at is not None
    assert str(command.message_id) == asked["command_id"]
    assert (await joon.post(f"{path}/approve", json=seen)).status_code == 409
    assert await is_empty(halted)

    shown = (await admin.get(asked["status_url"])).json()
    assert (shown["status"], shown["approved_by"]) == ("requested", "joon")
    await halted.rows("UPDATE risk_gate.stages SET stage = 'reducing', version = 3")
    assert (await admin.get(asked["status_url"])).json()["status"] == "done"
    await poll(lambda: halted.rows("SELECT 1 FROM api_gateway.commands WHERE done_at IS NOT NULL"), "settled")
    assert await audited(halted) == [
        ("admin", "resume"), ("admin", "approval_denied"), ("joon", "approval_approved"), ("joon", "approval_denied"),
    ]  # fmt: skip
    assert (await admin.get("/api/v1/audit/check")).json()["is_whole"]


async def test_two_who_approve_at_once_send_one_command(halted: Any) -> None:
    admin, joon = await halted.signed_in(), await halted.user("admin", "joon")
    await halted.rows("UPDATE api_gateway.users SET role = 'viewer' WHERE login = 'joon'")
    sora = await halted.user("admin", "sora")
    await halted.rows("UPDATE api_gateway.users SET role = 'admin' WHERE login = 'joon'")
    asked = (await admin.post("/api/v1/risk/resume", json={}, headers=KEY)).json()
    seen = {"fingerprint": (await joon.get(asked["approval_url"])).json()["fingerprint"]}
    answers = await asyncio.gather(*(each.post(f"{asked['approval_url']}/approve", json=seen) for each in (joon, sora)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    await received(halted)
    assert await is_empty(halted)


async def test_a_request_that_nobody_approved_in_time_is_over(halted: Any, poll: Any) -> None:
    admin, joon = await halted.signed_in(), await halted.user("admin", "joon")
    asked = (await admin.post("/api/v1/risk/resume", json={}, headers=KEY)).json()
    approval = (await joon.get(asked["approval_url"])).json()
    await halted.rows(
        "UPDATE api_gateway.approvals SET requested_at = requested_at - $1::interval, expires_at = expires_at - $1",
        timedelta(minutes=10),
    )
    answer = await joon.post(f"{asked['approval_url']}/approve", json={"fingerprint": approval["fingerprint"]})
    assert answer.status_code == 409
    assert (await admin.get(asked["status_url"])).json()["status"] == "expired"
    expired = "SELECT 1 FROM api_gateway.audit WHERE action = 'approval_expired' AND actor = 'system'"
    await poll(lambda: halted.rows(expired), "the expiry is in the audit")
    assert await nothing_went_out(halted)


async def test_values_that_were_changed_behind_the_gateways_back_are_not_approved(halted: Any) -> None:
    admin, joon = await halted.signed_in(), await halted.user("admin", "joon")
    asked = (await admin.post("/api/v1/risk/resume", json={}, headers=KEY)).json()
    seen = {"fingerprint": (await joon.get(asked["approval_url"])).json()["fingerprint"]}
    await halted.rows("""UPDATE api_gateway.approvals SET "values" = '{"from": "halted", "stage": "normal"}'::jsonb""")
    assert (await joon.post(f"{asked['approval_url']}/approve", json=seen)).status_code == 409
    assert await nothing_went_out(halted)


async def test_the_service_itself_can_change_nothing_of_a_request_but_its_outcome(halted: Any) -> None:
    admin = await halted.signed_in()
    await admin.post("/api/v1/risk/resume", json={}, headers=KEY)
    connection = await asyncpg.connect(halted.servers.database_url_as("api_gateway"))
    try:
        for change in (
            """UPDATE api_gateway.approvals SET "values" = '{}'""",
            "UPDATE api_gateway.approvals SET requested_by = 'x'",
            "UPDATE api_gateway.approvals SET expires_at = now() + interval '1 day'",
            "DELETE FROM api_gateway.approvals",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(change)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "UPDATE api_gateway.approvals SET outcome = 'approved', decided_by = requested_by, decided_at = now()"
            )
    finally:
        await connection.close()


async def test_what_is_refused_never_goes_out_and_people_were_told_that_it_waited(halted: Any) -> None:
    admin, joon = await halted.signed_in(), await halted.user("admin", "joon")
    asked = (await admin.post("/api/v1/risk/resume", json={}, headers=KEY)).json()
    seen = {"fingerprint": (await joon.get(asked["approval_url"])).json()["fingerprint"]}
    assert (await joon.post(f"{asked['approval_url']}/refuse", json=seen)).json()["status"] == "refused"
    assert (await admin.get(asked["status_url"])).json()["status"] == "refused"
    assert (await joon.post(f"{asked['approval_url']}/approve", json=seen)).status_code == 409
    assert await nothing_went_out(halted)
    told = []
    for _ in range(2):
        body = await next_body(halted, queue_of("notifier", Alert))
        assert body is not None
        told.append(Alert.decode(body).code)
    assert told == ["login_set", "second_person_awaited"]


async def test_a_traders_transfer_is_approved_by_who_has_that_account(halted: Any) -> None:
    trader, joon = await halted.user("trader", "tara"), await halted.user("trader", "joon")
    sora = await halted.user("trader", "sora")
    await halted.rows("UPDATE api_gateway.users SET accounts = '{other}' WHERE login = 'sora'")
    body = {"account_id": "paper", "asset": "USDT", "amount": "250", "reason": "paid in"}
    asked = (await trader.post("/api/v1/ledger/transfers", json=body, headers=KEY)).raise_for_status().json()
    seen = {"fingerprint": (await joon.get(asked["approval_url"])).json()["fingerprint"]}
    assert (await sora.post(f"{asked['approval_url']}/approve", json=seen)).status_code == 403
    assert (await joon.post(f"{asked['approval_url']}/approve", json=seen)).status_code == 200
    command = await received(halted, "order-worker")
    assert (command.command, command.values) == (CommandName.BOOK_TRANSFER, {"asset": "USDT", "amount": "250"})
    for account, amount in (("cash", 250), ("transfer", -250)):
        await halted.rows(
            "INSERT INTO order_worker.ledger_entries (transaction_id, account_id, ledger_account, asset, amount,"
            " settles_at, reason, created_at) VALUES ($1, 'paper', $2, 'USDT', $3, now(), 'paid in', now())",
            command.message_id, account, amount,
        )  # fmt: skip
    assert (await trader.get(asked["status_url"])).json()["status"] == "done"
    booked = (await trader.get("/api/v1/ledger/transfers")).json()["items"]
    assert [(one["asset"], float(one["amount"]), one["reason"]) for one in booked] == [("USDT", 250, "paid in")]


async def test_a_role_changes_once_a_second_admin_approved_it_and_every_session_ends(live: Any) -> None:
    admin, joon, mina = await live.signed_in(), await live.user("admin", "joon"), await live.user("viewer", "mina")
    user_id = (await mina.get("/api/v1/auth/me")).json()["user_id"]
    wish = {"role": "trader", "accounts": ["paper"]}
    asked = await admin.patch(f"/api/v1/users/{user_id}", json=wish)
    again = await admin.patch(f"/api/v1/users/{user_id}", json=wish)
    assert asked.status_code == 202
    assert again.json()["approval_id"] == asked.json()["approval_id"]
    assert (await mina.get("/api/v1/auth/me")).json()["role"] == "viewer"
    path = f"/api/v1/approvals/{asked.json()['approval_id']}"
    seen = {"fingerprint": asked.json()["fingerprint"]}
    assert (await admin.post(f"{path}/approve", json=seen)).status_code == 403
    assert (await mina.post(f"{path}/approve", json=seen)).status_code == 403
    assert (await joon.post(f"{path}/approve", json=seen)).status_code == 200
    assert (await mina.get("/api/v1/auth/me")).status_code == 401
    changed = [user for user in (await admin.get("/api/v1/users")).json() if user["login"] == "mina"]
    assert [(user["role"], user["accounts"]) for user in changed] == [("trader", ["paper"])]
    actors = await live.rows("SELECT actor FROM api_gateway.audit WHERE action = 'user_changed'")
    assert [row["actor"] for row in actors] == ["admin, joon"]
