"""What operators do while the platform trades: update a service, make a backup, restore it."""

import asyncio
import itertools
import json
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sigmax_local import audit_check
from sigmax_local.operations.__main__ import app
from sigmax_local.operations.database import InContainer, query
from sigmax_local.operations.manifest import Manifest
from sigmax_local.operations.restore import BEFORE
from sigmax_local.operations.update import update
from sigmax_local.testkit.container_report import Report
from sigmax_local.testkit.container_stack import ContainerStack

_PAUSE_MAX_S = 30.0


@pytest.mark.parametrize("service", ["order-worker", "risk-gate", "strategy-engine", "api-gateway", "paper-venue"])
async def test_a_service_is_updated_while_the_platform_trades(
    stack: ContainerStack, report: Report, service: str
) -> None:
    await stack.trades_again()
    before = {one.id for one in await stack.containers(service)}
    said: list[str] = []
    began, since = time.monotonic(), datetime.now(UTC)

    await asyncio.to_thread(update, stack.compose, service, said.append)

    after = await stack.containers(service)
    assert len(after) == len(before)
    assert before.isdisjoint(one.id for one in after)
    assert all(one.is_healthy for one in after)
    assert not [line for line in said if "ended with code" in line], said
    again_s = await stack.trades_again()
    report.fault("updated", service, again_s)
    report.figures[f"update of {service}"] = f"{time.monotonic() - began:.1f} s"
    if service in {"order-worker", "risk-gate"}:
        sent = sorted(
            datetime.fromisoformat(order["sent_at"])
            for order in (await stack.get("/orders", limit="200"))["items"]
            if order["sent_at"] and datetime.fromisoformat(order["sent_at"]) >= since
        )
        pause = max((later - earlier).total_seconds() for earlier, later in itertools.pairwise(sent))
        report.figures[f"longest pause, {service}"] = f"{pause:.1f} s"
        assert pause < _PAUSE_MAX_S


async def test_what_was_traded_after_a_backup_is_gone_when_it_is_restored_and_nothing_else(
    stack: ContainerStack, report: Report, tmp_path: Path
) -> None:
    file = tmp_path / "platform.backup"
    await stack.trades_again()
    heads = tmp_path / "heads.jsonl"
    heads.write_text(_heads(stack), encoding="utf-8")

    began = time.monotonic()
    made = await _command(stack, "backup", str(file))
    report.figures["backup under load"] = f"{file.stat().st_size:,} bytes in {time.monotonic() - began:.1f} s"

    assert made.exit_code == 0, made.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    manifest = Manifest.load(file)
    made_at = datetime.now(UTC)
    await stack.trades_again()

    asked = await _command(stack, "restore", str(file))
    assert asked.exit_code == 2
    assert "Nothing was done" in asked.output
    await stack.trades_again()

    assert sum((await stack.figures(made_at))["orders"].values()) > 0
    began, began_at = time.monotonic(), datetime.now(UTC)
    done = await _command(stack, "restore", str(file), "--yes")
    report.figures["restore"] = f"{time.monotonic() - began:.1f} s"

    assert done.exit_code == 0, done.output
    assert "Thrown away" in done.output
    # Sessions of people are of the backup, too: this one is newer than its first.
    await stack.sign_in()
    between = f"created_at BETWEEN '{made_at.isoformat()}' AND '{began_at.isoformat()}'"
    assert query(InContainer(stack.compose), f"SELECT client_order_id FROM order_worker.orders WHERE {between}") == []
    await stack.trades_again()
    report.fault("restored", "all", time.monotonic() - began)
    stuck = query(
        InContainer(stack.compose),
        "SELECT r.client_order_id FROM risk_gate.reservations r"
        " LEFT JOIN order_worker.orders o USING (client_order_id)"
        f" WHERE r.created_at < '{manifest.made_at.isoformat()}'"
        " AND coalesce(o.status, 'unplaced') IN ('filled', 'canceled', 'expired', 'rejected', 'unplaced')",
    )
    assert stuck == [], "the gate still reserves room for orders that have ended"
    names = [row[0] for row in query(InContainer(stack.compose), "SELECT datname FROM pg_database", "postgres")]
    assert BEFORE in names
    kept, keys = audit_check.read_heads(heads), audit_check.keys_of(stack.compose.secrets)
    chains = audit_check.check(InContainer(stack.compose), kept, keys)
    assert kept
    assert [one for one in chains if one.broken is not None] == []


async def test_a_backup_that_was_changed_is_refused_and_nothing_is_touched(
    stack: ContainerStack, tmp_path: Path
) -> None:
    file = tmp_path / "platform.backup"
    assert (await _command(stack, "backup", str(file))).exit_code == 0
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    refused = await _command(stack, "restore", str(file), "--yes")

    assert refused.exit_code == 1
    assert "not the file" in refused.output
    await stack.trades_again()


def _heads(stack: ContainerStack) -> str:
    """Give what `sigmax audit heads` prints."""
    return "".join(f"{json.dumps(row)}\n" for row in audit_check.heads_of(InContainer(stack.compose)))


async def _command(stack: ContainerStack, *words: str):  # noqa: ANN202 - what click calls it is its own affair
    project = ["--env-file", str(stack.compose.env_file), "--project", stack.compose.project]
    overrides = [word for file in stack.compose.overrides for word in ("--override", str(file))]
    options = project if words[0] == "backup" else [*project, *overrides]
    return await asyncio.to_thread(CliRunner().invoke, app, [*words, *options])
