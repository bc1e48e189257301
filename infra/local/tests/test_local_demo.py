"""A run is shown, ended, and judged alike whatever its parts are."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sigmax_local import demo
from sigmax_local.gateway import GatewayAwayError, WrongPasswordError
from sigmax_local.runs import Kind, Part, StackError

HOLDING = {"invariant": "the ledger sums to zero", "holds": True, "broken_by": []}
BROKEN = {"invariant": "the ledger sums to zero", "holds": False, "broken_by": ["t1 USDT: 2"]}


class FakeRun:
    """A stack whose one part is ready at once."""

    kind = Kind.CONTAINERS
    prices = "recorded trades"
    gateway_url = "http://gateway.test"
    is_first_start = False
    is_ready = True

    def __init__(self, secrets: Path) -> None:
        self.secrets = secrets
        self.done: list[str] = []
        self.fault: StackError | None = None

    @property
    def parts(self) -> Sequence[Part]:
        return [Part("risk-gate", "ready", 1, "abc")]

    async def keep_up(self) -> None:
        if self.fault is not None:
            raise self.fault
        await asyncio.Event().wait()

    async def stop_prices(self) -> None:
        self.done.append("prices stopped")

    async def stop(self) -> None:
        self.done.append("stopped")


class FakeGateway:
    """Answers looks in turn; the last answer stays."""

    def __init__(self) -> None:
        self.filled = 2
        self.books: list[Any] = [[HOLDING]]
        self.fault: Exception | None = None
        self.looks = 0

    async def __aenter__(self) -> "FakeGateway":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def get(self, path: str, **_: str) -> Any:
        if path == "/system/books":
            books = self.books.pop(0) if len(self.books) > 1 else self.books[0]
            if isinstance(books, Exception):
                raise books
            return {"findings": books}
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        counts = dict.fromkeys(("signals", "decisions", "approved", "denied", "fills", "alerts"), 1)
        return {
            **counts, "orders": {"filled": self.filled} if self.filled else {}, "denials": {}, "ticks": {"a": 5},
            "ticks_per_s": "1", "accounts": [], "positions": [], "tick_to_order_p50_ms": None,
            "tick_to_order_p99_ms": None,
        }  # fmt: skip


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    fake = FakeGateway()
    monkeypatch.setattr(demo, "Gateway", lambda _url: fake)
    monkeypatch.setattr(demo.people, "sign_in", _sign_in)
    for name, seconds in (("_HEARD_S", 0), ("_SETTLE_S", 0.05), ("_SETTLE_POLL_S", 0.01), ("_REFRESH_S", 0.01)):
        monkeypatch.setattr(demo, name, seconds)
    monkeypatch.setattr(demo, "_READ_S", 0.02)
    return fake


async def _sign_in(gateway: FakeGateway, _secrets: Path, ask: Any = None) -> None:
    if isinstance(gateway.fault, WrongPasswordError):
        if ask is None:
            raise gateway.fault
        ask("admin")
        gateway.fault = None


@pytest.fixture
def stack(tmp_path: Path) -> FakeRun:
    return FakeRun(tmp_path)


async def run(stack: FakeRun, ask: Any = None) -> tuple[int, str]:
    """Run for a moment; give the exit status and what was printed."""
    output = io.StringIO()
    status = await demo.run(stack, demo.Show(Console(file=output, width=150), seconds=0.2, ask=ask))
    return status, output.getvalue()


async def test_a_run_that_traded_with_right_books_ends_well(stack: FakeRun, gateway: FakeGateway) -> None:
    status, said = await run(stack)
    assert status == 0
    assert gateway.looks > 1
    assert stack.done == ["prices stopped", "stopped"]
    assert "risk-gate 1" in said, "restarts are told"


async def test_books_may_take_a_moment_to_settle(stack: FakeRun, gateway: FakeGateway) -> None:
    gateway.books = [[BROKEN], GatewayAwayError("busy"), [HOLDING]]
    assert (await run(stack))[0] == 0


async def test_books_that_stay_wrong_fail_the_run(stack: FakeRun, gateway: FakeGateway) -> None:
    gateway.books = [[BROKEN]]
    status, said = await run(stack)
    assert status == 1
    assert "Not so: the ledger sums to zero." in said
    assert "t1 USDT: 2" in said


async def test_books_that_cannot_be_seen_fail_the_run(stack: FakeRun, gateway: FakeGateway) -> None:
    gateway.books = [GatewayAwayError("busy")]
    status, said = await run(stack)
    assert (status, "could not be checked: busy" in said) == (1, True)


async def test_a_run_for_a_time_without_a_fill_fails(stack: FakeRun, gateway: FakeGateway) -> None:
    gateway.filled = 0
    status, said = await run(stack)
    assert (status, "No order was filled" in said) == (1, True)


@pytest.mark.usefixtures("gateway")
async def test_a_stack_that_cannot_be_kept_up_ends_the_run(stack: FakeRun) -> None:
    stack.fault = StackError("risk-gate ended 5 times")
    status, said = await run(stack)
    assert (status, "risk-gate ended 5 times" in said) == (1, True)
    assert stack.done == ["stopped"]


async def test_a_password_that_was_changed_meanwhile_stops_the_figures_and_not_the_trading(
    stack: FakeRun, gateway: FakeGateway
) -> None:
    gateway.fault = None
    asked: list[str] = []

    async def change() -> None:
        await asyncio.sleep(0.08)
        gateway.fault = WrongPasswordError("The password of admin is not this one.")

    changing = asyncio.create_task(change())
    status, _ = await run(stack, ask=asked.append)
    await changing
    assert (status, asked) == (0, ["admin"])


async def test_a_refused_password_is_not_tried_again(
    stack: FakeRun, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in = demo.people.sign_in

    async def first(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(demo.people, "sign_in", signed_in)

    monkeypatch.setattr(demo.people, "sign_in", first)
    gateway.fault = WrongPasswordError("The password of admin is not this one.")
    status, said = await run(stack)
    assert (status, gateway.looks) == (1, 1)
    assert "not this one" in said
