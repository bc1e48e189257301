"""What guards positions, as the risk gate's own tables have it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest

from sigmax.schemas.base import NAMESPACE

pytestmark = pytest.mark.integration

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
BTC = "BTC/USDT@binance"
PROTECTION = uuid5(NAMESPACE, "protection")
HERE = {"account_id": "paper", "strategy_id": "ema", "instrument_id": BTC}
KEY = {"Idempotency-Key": "key-00001"}


async def seed_protection(live: Any, **changes: Any) -> None:
    """Put a guarded position of the seeded chain in."""
    await live.insert(
        "risk_gate.protections",
        **HERE,
        **{
            "protection_id": PROTECTION,
            "strategy_version": 3,
            "quantity": Decimal("0.3"),
            "entry_price": Decimal(100),
            "stop_price": Decimal(98),
            "target_price": Decimal(103),
            "best_price": Decimal(102),
            "opened_at": T0,
            "trailing_pct": Decimal(1),
            "state": "open",
            "version": 1,
            "attempts": 0,
            "escalation": 0,
            "resting_attempts": 1,
            "resting_refusals": 0,
            "is_naked_told": False,
            "exit_pnl": Decimal(0),
            "refusal": "",
            **changes,
        },
    )


async def seed_exit_order(
    live: Any, kind: str, *, client_order_id: str = "sx1", trigger: Decimal | None = None
) -> None:
    await live.insert(
        "risk_gate.exit_orders",
        client_order_id=client_order_id,
        protection_id=PROTECTION,
        kind=kind,
        is_resting=trigger is not None,
        trigger_price=trigger,
        created_at=T0 + timedelta(seconds=1),
    )


async def forget_signals(live: Any) -> None:
    """Take the signals away: a protective exit has none."""
    connection = await asyncpg.connect(live.servers.admin_urls[0])
    await connection.execute("SET session_replication_role = replica; DELETE FROM strategy_engine.signals")
    await connection.close()


async def why(live: Any) -> Any:
    return (await (await live.user("viewer")).get("/api/v1/why/e1")).raise_for_status().json()


async def test_a_protection_shows_its_levels_and_what_rests_at_the_venue(live: Any) -> None:
    await seed_protection(live)
    await seed_exit_order(live, "stop_loss", client_order_id="rest1", trigger=Decimal(98))
    viewer = await live.user("viewer")
    (shown,) = (await viewer.get("/api/v1/risk/protections?is_open=true&account_id=paper")).json()["items"]
    assert Decimal(shown["trailing_price"]) == Decimal("100.98")
    assert [(stop["client_order_id"], Decimal(stop["trigger_price"])) for stop in shown["resting"]] == [("rest1", 98)]
    assert (await viewer.get("/api/v1/risk/protections?is_open=false")).json()["items"] == []


async def test_why_of_an_entry_names_what_guards_it_and_who_allowed_it(live: Any) -> None:
    await live.seed_chain()
    await seed_protection(live)
    for version, changed_by, at in ((1, "start", T0), (2, "admin, joon", T0), (3, "later", T0 + timedelta(hours=1))):
        await live.insert(
            "risk_gate.limits", account_id="paper", version=version, values={}, changed_by=changed_by, created_at=at
        )
    for version, stage in ((2, "reducing"), (3, "caution")):
        await live.insert(
            "risk_gate.stage_changes", scope="global", scope_id="global", version=version, from_stage="halted",
            to_stage=stage, reason="over", changed_by="admin, joon", changed_at=T0,
        )  # fmt: skip
    await live.insert(
        "risk_gate.stage_changes", scope="account", scope_id="other", version=1, from_stage="normal",
        to_stage="halted", reason="x", changed_by="x", changed_at=T0,
    )  # fmt: skip
    told = await why(live)
    assert (told["exit"], told["protection"]["protection_id"]) == (None, str(PROTECTION))
    assert (told["limits"]["version"], told["limits"]["changed_by"]) == (2, "admin, joon")
    assert [(one["to_stage"], one["changed_by"]) for one in told["stages"]] == [("caution", "admin, joon")]


async def test_why_of_a_protective_exit_names_the_protection_the_level_and_the_tick(live: Any) -> None:
    await live.seed_chain()
    await forget_signals(live)
    await seed_protection(live, state="closed", exit_kind="trailing_stop", exit_price=Decimal("100.9"), attempts=1)
    await seed_exit_order(live, "trailing_stop")
    told = await why(live)
    assert told["signal"] is None
    assert told["exit"]["text"] == "The trailing stop at 100.98 was reached: 100.9 was traded."
    assert (told["exit"]["kind"], told["exit"]["is_resting"]) == ("trailing_stop", False)
    assert told["tick_received_at"] is not None
    assert told["protection"]["state"] == "closed"


async def test_why_of_a_resting_stop_says_that_the_venue_woke_it_up(live: Any) -> None:
    await live.seed_chain()
    await seed_protection(live)
    await seed_exit_order(live, "stop_loss", trigger=Decimal(98))
    told = (await why(live))["exit"]
    assert (told["is_resting"], told["reached_price"], Decimal(told["level"])) == (True, None, 98)


async def test_why_of_a_flattened_position_names_who_wanted_to_hold_nothing(live: Any) -> None:
    await live.seed_chain()
    await seed_protection(live, exit_kind="flatten")
    await seed_exit_order(live, "flatten")
    for number, (scope, scope_id) in enumerate((("account", "paper"), ("strategy", "another"))):
        await live.insert(
            "risk_gate.flattenings", flattening_id=UUID(int=number), scope=scope, scope_id=scope_id,
            requested_by="mina", reason="leaving", everything=False,
            started_at=T0 + timedelta(milliseconds=number), ended_at=T0 + timedelta(seconds=5), is_flat=True, remaining=[],
        )  # fmt: skip
    told = await why(live)
    assert (told["flattening"]["requested_by"], told["flattening"]["reason"]) == ("mina", "leaving")
    assert told["exit"]["text"] == "It was sold for its flatten."


async def test_a_flatten_is_done_once_it_ended_and_says_what_is_left(live: Any) -> None:
    await live.seed_chain()
    trader = await live.user("trader")
    body = {"scope": "account", "scope_id": "paper", "reason": "leaving"}
    asked = (await trader.post("/api/v1/risk/flatten", json=body, headers=KEY)).raise_for_status().json()
    await live.insert(
        "risk_gate.flattenings", flattening_id=UUID(asked["command_id"]), scope="account", scope_id="paper",
        requested_by="trader", reason="leaving", everything=False, started_at=T0,
        remaining=[],
    )  # fmt: skip
    assert (await trader.get(asked["status_url"])).json()["status"] == "requested"
    left = [{"instrument_id": BTC, "quantity": "0.1", "reason": "the market is closed"}]
    await live.rows("UPDATE risk_gate.flattenings SET ended_at = now(), is_flat = false, remaining = $1", left)
    assert (await trader.get(asked["status_url"])).json()["status"] == "done"
    (shown,) = (await trader.get("/api/v1/risk/flattenings")).json()["items"]
    assert (shown["is_flat"], shown["remaining"]) == (False, left)


async def test_a_posture_set_by_hand_and_given_back_is_seen_done(live: Any) -> None:
    await live.seed_chain()
    trader = await live.user("trader")

    async def ask(posture: str | None, key: str) -> Any:
        body = {"account_id": "paper", "posture": posture}
        answer = await trader.put("/api/v1/risk/posture", json=body, headers={"Idempotency-Key": key})
        return answer.raise_for_status().json()

    async def status(asked: Any) -> str:
        return str((await trader.get(asked["status_url"])).json()["status"])

    async def has(posture: str, *, is_manual: bool) -> None:
        await live.insert(
            "risk_gate.postures", account_id="paper", posture=posture, is_manual=is_manual, cause="x", reason="",
            changed_by="trader", changed_at=T0,
        )  # fmt: skip

    by_hand = await ask("defensive", "posture-0001")
    await has("guerrilla", is_manual=False)
    assert await status(by_hand) == "requested"
    await has("defensive", is_manual=True)
    assert await status(by_hand) == "done"
    given_back = await ask(None, "posture-0002")
    assert await status(given_back) == "requested"
    await has("guerrilla", is_manual=False)
    assert await status(given_back) == "done"
    assert [one["posture"] for one in (await trader.get("/api/v1/risk/postures")).json()] == ["guerrilla"]
    history = (await trader.get("/api/v1/risk/postures/history")).json()["items"]
    assert [one["posture"] for one in history] == ["guerrilla", "defensive", "guerrilla"]


async def test_a_latch_is_taken_off_by_two_people(live: Any) -> None:
    await live.seed_chain()
    admin, joon = await live.signed_in(), await live.user("admin", "joon")
    await live.insert(
        "risk_gate.latches", account_id="paper", scope="strategy", scope_id="ema", code="order_count_exceeded",
        reason="1000 orders", latched_at=T0,
    )  # fmt: skip
    (latch,) = (await admin.get("/api/v1/risk/latches?is_on=true")).json()["items"]
    assert latch["code"] == "order_count_exceeded"
    body = {"scope": "strategy", "scope_id": "ema", "reason": "looked at"}
    asked = (await admin.post("/api/v1/risk/release", json=body, headers=KEY)).raise_for_status().json()
    seen = {"fingerprint": (await joon.get(asked["approval_url"])).json()["fingerprint"]}
    (await joon.post(f"{asked['approval_url']}/approve", json=seen)).raise_for_status()
    assert (await admin.get(asked["status_url"])).json()["status"] == "requested"
    await live.insert("risk_gate.inbox", message_id=UUID(asked["command_id"]), topic="api_gateway.command.v1")
    assert (await admin.get(asked["status_url"])).json()["status"] == "requested"
    await live.rows("UPDATE risk_gate.latches SET released_at = now(), released_by = 'admin, joon'")
    assert (await admin.get(asked["status_url"])).json()["status"] == "done"
    assert (await admin.get("/api/v1/risk/latches?is_on=true")).json()["items"] == []


async def test_new_limits_are_done_once_a_version_has_them(live: Any) -> None:
    await live.seed_chain()
    admin, joon = await live.signed_in(), await live.user("admin", "joon")
    before = {"order_notional_max": "10000", "instruments_allowed": None}
    await live.insert("risk_gate.limits", account_id="paper", version=1, values=before, changed_by="start")
    values = {"order_notional_max": 20000, "instruments_allowed": [BTC]}
    body = {"account_id": "paper", "values": values, "reason": "more"}
    asked = (await admin.put("/api/v1/risk/limits", json=body, headers=KEY)).raise_for_status().json()
    shown = (await joon.get(asked["approval_url"])).json()
    assert shown["before"] == {"version": 1, **before}
    seen = {"fingerprint": shown["fingerprint"]}
    (await joon.post(f"{asked['approval_url']}/approve", json=seen)).raise_for_status()
    assert (await admin.get(asked["status_url"])).json()["status"] == "requested"
    after = {"order_notional_max": "20000", "instruments_allowed": [BTC]}
    await live.insert("risk_gate.limits", account_id="paper", version=2, values=after, changed_by="admin, joon")
    assert (await admin.get(asked["status_url"])).json()["status"] == "done"
    history = (await admin.get("/api/v1/risk/limits/history?limit=1")).json()
    assert [one["version"] for one in history["items"]] == [2]
    older = (await admin.get("/api/v1/risk/limits/history", params={"cursor": history["next_cursor"]})).json()
    assert [one["version"] for one in older["items"]] == [1]


async def test_the_venues_health_the_ladder_and_equity_can_be_read(live: Any) -> None:
    await live.insert(
        "risk_gate.venue_health", account_id="paper", venue="paper", is_answering=False, failing_since=T0,
        clock_gap_ms=Decimal(12), orders_unknown=1, orders_unclear=0, as_of=T0,
    )  # fmt: skip
    await live.insert("risk_gate.equity_marks", account_id="paper", minute=T0, equity=Decimal(1000), peak=Decimal(1100))
    await live.insert(
        "risk_gate.ladder_events", fault="venue_api", scope="venue", scope_id="paper", step=2, text="30 s",
        snapshot={"orders": 1}, at=T0,
    )  # fmt: skip
    viewer = await live.user("viewer")
    (venue,) = (await viewer.get("/api/v1/risk/venues")).json()
    assert (venue["is_answering"], venue["orders_unknown"]) == (False, 1)
    (mark,) = (await viewer.get("/api/v1/risk/equity?account_id=paper")).json()["items"]
    assert Decimal(mark["peak"]) == 1100
    (step,) = (await viewer.get("/api/v1/risk/ladder")).json()["items"]
    assert (step["step"], step["snapshot"]) == (2, {"orders": 1})
