"""What the simulation stands on: time that jumps, processes that die at an await, commits whose answer gets lost."""

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest
from chaos_builders import NOW, TERMS

from order_worker.ports import Account
from sigmax.schemas.types import Stage
from sigmax_local.chaos.simulation.books import MemoryBooks
from sigmax_local.chaos.simulation.broker import Broker, BrokerAwayError, Delivery
from sigmax_local.chaos.simulation.gate import Gate
from sigmax_local.chaos.simulation.loop import StillError, VirtualLoop
from sigmax_local.chaos.simulation.process import Process, trace_tasks
from sigmax_local.chaos.simulation.rows import AccountRow
from sigmax_local.chaos.simulation.server import IDLE_TIMEOUT_S, Server, StoreAwayError, Transaction


class Stand:
    """A loop, a server, and processes; what happens at each await is up to the test."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        trace_tasks(self.loop)
        self.server = Server(self.loop, Random(1))
        self.server.tables.of("accounts")["paper"] = AccountRow(Account(0))
        self.awaits: list[str] = []
        self.at: dict[int, Any] = {}

    def process(self, name: str = "worker") -> Process:
        def on_await(process: Process, entry: str, _: Coroutine[Any, Any, Any]) -> None:
            self.awaits.append(entry)
            strike = self.at.get(len(self.awaits))
            if strike is not None:
                strike(process)

        return Process(name, self.loop, on_await)

    def books(self, process: Process) -> MemoryBooks:
        return MemoryBooks(self.server, process, TERMS, lambda _: None)

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))


@pytest.fixture
def stand() -> Any:
    stand = Stand()
    yield stand
    stand.loop.end()


async def block(books: MemoryBooks, reason: str, told: list[str]) -> None:
    try:
        async with books.open() as page:
            await page.block(reason, NOW)
        told.append("committed")
    except StoreAwayError as error:
        told.append(str(error))
    finally:
        told.append("ended")


def reason(stand: Stand) -> str | None:
    return stand.server.tables.of("accounts")["paper"].account.blocked_reason


def test_an_hour_passes_at_once(stand: Stand) -> None:
    stand.run(3600)

    assert stand.loop.time() == 3600


def test_waiting_for_nothing_is_an_error_and_not_for_ever(stand: Stand) -> None:
    with pytest.raises(StillError):
        stand.loop.run_until_complete(stand.loop.create_future())


def test_a_process_that_dies_before_the_commit_leaves_nothing_and_gives_back_its_rows(stand: Stand) -> None:
    told: list[str] = []
    process = stand.process()
    stand.at = {2: Process.kill}  # the first await of the commit
    process.spawn("block", block(stand.books(process), "a reason", told))
    stand.run(5)

    assert reason(stand) is None
    assert stand.server.owners == {}
    assert told == ["ended"], "its own clean-up runs, and reaches nobody"


@pytest.mark.parametrize(("when", "is_there"), [("before", False), ("after", True)])
def test_a_lost_connection_during_the_commit_does_not_tell_whether_it_happened(
    stand: Stand, when: str, is_there: bool
) -> None:
    told: list[str] = []
    process = stand.process()
    stand.server.commit_faults["worker"] = when
    process.spawn("block", block(stand.books(process), "a reason", told))
    stand.run(5)

    assert told[0].startswith("the connection died")
    assert (reason(stand) == "a reason") is is_there


def test_a_frozen_process_does_nothing_until_it_thaws_and_then_goes_on(stand: Stand) -> None:
    told: list[str] = []
    process = stand.process()
    process.spawn("block", block(stand.books(process), "a reason", told))
    process.freeze(3.0)
    stand.run(2.9)
    assert told == []
    stand.run(0.5)

    assert told == ["committed", "ended"]


def test_the_server_ends_the_transaction_of_a_process_that_stands_still_for_too_long(stand: Stand) -> None:
    told: list[str] = []
    process = stand.process()
    stand.at = {2: lambda each: each.freeze(IDLE_TIMEOUT_S + 3)}
    process.spawn("block", block(stand.books(process), "a reason", told))
    stand.run(IDLE_TIMEOUT_S + 1)
    assert stand.server.owners == {}
    stand.run(5)

    assert told == ["the server ended the transaction", "ended"]
    assert reason(stand) is None


def test_rows_are_held_until_the_transaction_ends_and_a_deadlock_is_ended_by_the_server(stand: Stand) -> None:
    async def take(name: str, *keys: str) -> str:
        transaction = Transaction(stand.server, stand.process(name))
        try:
            for key in keys:
                await transaction.hold("rows", key)
                await asyncio.sleep(0.1)
        except StoreAwayError as error:
            return str(error)
        finally:
            transaction.abort()
        return f"until {stand.loop.time():.1f}"

    async def both() -> list[str]:
        return list(await asyncio.gather(take("one", "a", "b"), take("other", "b", "a")))

    assert sorted(stand.loop.run_until_complete(both())) == ["deadlock over rows", "until 0.2"]


def test_what_was_not_acknowledged_is_delivered_again_to_another(stand: Stand) -> None:
    broker = Broker(stand.loop, Random(1))
    gate = Gate(stand.loop, broker)
    taken: list[str] = []
    first, second = stand.process("first"), stand.process("second")
    topic = "risk_gate.stage_changed.v1"

    def take(delivery: Delivery) -> None:
        taken.append(delivery.process.name)

    broker.consume(topic, first, take, 10)
    gate.tell_stage(Stage.NORMAL)
    stand.run(1)
    broker.consume(topic, second, take, 10)
    first.kill()
    stand.run(1)

    assert taken == ["first", "first", "second", "second"]
    assert not broker.is_empty


def test_a_message_whose_confirm_got_lost_has_arrived(stand: Stand) -> None:
    broker = Broker(stand.loop, Random(1))
    process = stand.process()
    broker.unconfirmed["worker"] = 1
    gate = Gate(stand.loop, Broker(stand.loop, Random(2)))
    spoken: list[Any] = []
    gate.say = spoken.append  # type: ignore[method-assign]
    gate.tell_stage(Stage.NORMAL)

    with pytest.raises(BrokerAwayError):
        stand.loop.run_until_complete(broker.publish(process, spoken[0]))
    assert spoken[0].message_id in broker.told
