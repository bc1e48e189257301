"""The short form of the matrix: a choice of cells over real servers and processes, and planted bugs that it must find."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx2
import pytest

from sigmax_local.chaos.cells import Cell
from sigmax_local.chaos.matrix.base import Kind
from sigmax_local.chaos.matrix.books import lost_in_the_commit
from sigmax_local.chaos.matrix.gate_checks import gate_books
from sigmax_local.chaos.matrix.kills import killed
from sigmax_local.chaos.matrix.outside import Outside
from sigmax_local.chaos.matrix.points import Bug, Point
from sigmax_local.chaos.matrix.run import SCENARIOS, Plan, play
from sigmax_local.chaos.matrix.scenarios import Scenario
from sigmax_local.chaos.matrix.scene import Scene
from sigmax_local.chaos.report import Report
from sigmax_local.servers import Addresses
from sigmax_local.testkit.fault_proxy import Loss

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def report_of(cells: list[Cell]) -> Report:
    report = Report(datetime.now(UTC), {}, is_full=False)
    report.add(cells)
    return report


def test_every_fault_has_at_least_two_cells() -> None:
    counts = {f"F{number:02}": 0 for number in range(1, 27)}
    for each in SCENARIOS:
        counts[each.fault] += 1
    assert {fault: count for fault, count in counts.items() if count < 2} == {}
    assert len({(each.fault, each.point) for each in SCENARIOS}) == len(SCENARIOS)


def test_what_risk_gate_must_do_has_at_least_two_cells_with_a_real_one() -> None:
    counts = dict.fromkeys(("F07", "F22", "F24", "F25", "F26"), 0)
    for each in SCENARIOS:
        if each.has_gate:
            counts[each.fault] += 1
    assert {fault: count for fault, count in counts.items() if count < 2} == {}


@pytest.mark.parametrize("has_gate", [False, True], ids=["the-run-approves", "risk-gate-decides"])
async def test_no_order_is_lost_or_doubled_in_the_short_form(
    clean: Addresses, tmp_path: Path, *, has_gate: bool
) -> None:
    report = report_of(await play(Plan(is_short=True), clean, tmp_path, has_gate=has_gate))

    assert report.failures == [], "\n".join(report.to_markdown().splitlines())


@pytest.mark.parametrize(
    ("bug", "point", "invariant"),
    [(Bug.ACKNOWLEDGE_FIRST, Point.RECEIVED, "I1"), (Bug.SEND_BEFORE_COMMIT, Point.RECORDED, "I2")],
)
async def test_a_planted_bug_turns_the_report_red(
    clean: Addresses, tmp_path: Path, bug: Bug, point: Point, invariant: str
) -> None:
    async def play_it(scene: Scene) -> str:
        return await killed(scene, point, Kind.ENTRY, is_sent=True)

    cells = await play(Plan(bug=bug, patience_s=6), clean, tmp_path, scenarios=[Scenario("F01", "planted", play_it)])

    assert report_of(cells).violations[invariant] > 0


_ABSENT = {"status": "unplaced", "submission": "absent", "reason": "late; the venue does not have it: 4 looks over 5 s"}
_FILLED = {"status": "filled", "submission": "acked", "reason": ""}
_FORGOTTEN = {**_ABSENT, "reason": "not sent by 10:00:00 UTC, until which the approval was valid"}


class Fated:
    """Stands for all around a cell: its orders become one after the other what was foretold, `(row, at the venue)`."""

    workers = ()

    def __init__(self, *fates: tuple[dict[str, str], int], is_told: bool = True) -> None:
        self._fates, self._is_told = list(fates), is_told
        self.events: list[SimpleNamespace] = []

    def approve(self, name: str, *_: object, **__: object) -> SimpleNamespace:
        self._row, self._there = self._fates.pop(0)
        if self._is_told:
            self.events.append(SimpleNamespace(client_order_id=name, status=self._row["status"]))
        return SimpleNamespace(client_order_id=name)

    async def until_ready(self, _: int) -> None: ...

    async def say(self, _: object) -> None: ...

    async def order(self, _: object) -> dict[str, str]:
        return self._row

    async def venue_orders(self, _: object) -> list[object]:
        return [object()] * self._there

    async def until(self, look: Callable[[], Awaitable[Any]], _: float, what: str) -> Any:
        found = await look()
        if found is False:
            raise AssertionError(what)
        return found


async def _commit_lost(around: Any) -> str:
    scene = Scene(1, 1, around, around, asyncio.Lock(), 4.0)
    return await lost_in_the_commit(scene, Loss.REPLY, Kind.ENTRY, is_outcome=False)


async def test_an_order_that_its_lease_outran_is_struck_again_and_said_so() -> None:
    assert await _commit_lost(Fated((_FILLED, 1))) == "1 order, acked"
    outrun = await _commit_lost(Fated((_ABSENT, 0), (_FILLED, 1)))
    assert outrun == "1 order, acked; 1 before it later than the lease: 0 orders, unplaced"


@pytest.mark.parametrize(
    ("around", "text"),
    [
        (Fated(*[(_ABSENT, 0)] * 4), "4 times"),
        (Fated((_ABSENT, 1)), "none was required"),
        (Fated((_FILLED, 2)), "the venue has 2 orders"),
        (Fated((_FORGOTTEN, 0)), "no proof"),
        (Fated((_ABSENT, 0), is_told=False), "it is told"),
    ],
)
async def test_an_order_lost_doubled_or_untold_behind_a_commit_is_no_outcome(around: Fated, text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        await _commit_lost(around)


_ORDER = """
    INSERT INTO risk_gate.book_orders (client_order_id, account_id, venue, instrument_id, strategy_id, side, quantity,
      limit_price, unit_cost, filled_quantity, created_at)
    VALUES ('sx1', 'paper', 'paper', 'BTC/USDT@x', 'chaos', 'buy', 5, 100, 100, 2, now())
"""
_VERDICT = """
    INSERT INTO risk_gate.verdicts (verdict_id, signal_id, correlation_id, account_id, strategy_id, instrument_id, action,
      outcome, client_order_id, text, checks, created_at)
    VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'paper', 'chaos', 'BTC/USDT@x', 'buy', 'approved',
      'sx1', 'approved', '[]', now())
"""


@pytest.mark.parametrize(
    ("planted", "invariant", "text"),
    [(_ORDER, "I9", "sx1: risk-gate reserves 3 for 300, open or unknown are 0 for 0"), (_VERDICT, "I1", "sx1")],
)
async def test_what_risk_gate_counts_and_nobody_else_knows_is_found(
    clean: Addresses, planted: str, invariant: str, text: str
) -> None:
    async with (
        asyncpg.create_pool(clean.admin_urls[0], min_size=0, max_size=1) as pool,
        httpx2.AsyncClient(trust_env=False) as admin,
    ):
        outside = Outside(clean, pool, admin)
        assert not any((await gate_books(outside, None)).values())
        await pool.execute(planted)
        found = {name: texts for name, texts in (await gate_books(outside, ["BTC/USDT@x"])).items() if texts}
        elsewhere = await gate_books(outside, ["ETH/USDT@x"])

    assert list(found) == [invariant]
    assert text in found[invariant][0]
    assert not any(elsewhere.values())
