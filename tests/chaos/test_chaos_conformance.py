"""The books in memory do what the books in Postgres do: the same operations, the same answers, the same waiting."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from chaos_builders import BTC, NOW, TERMS
from chaos_operations import approved, operations, recorded

from order_worker.adapters.books import Books
from order_worker.domain.order import Order
from order_worker.ports import Account
from sigmax.runtime.database import Database, asyncpg_url
from sigmax.schemas.types import Submission
from sigmax_local.chaos.simulation.books import MemoryBooks
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.rows import AccountRow
from sigmax_local.chaos.simulation.server import Server
from sigmax_local.servers import Addresses

pytestmark = pytest.mark.integration
KEY = ("paper", BTC)
Play = Callable[[Any, Any], Awaitable[list[Any]]]
"""Given the books as two workers reach them."""


def in_memory(play: Play) -> list[Any]:
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    server = Server(loop, Random(1))
    server.tables.of("accounts")["paper"] = AccountRow(Account(0))
    both = [
        MemoryBooks(server, Process(name, loop, lambda *_: None), replace(TERMS, worker=name), lambda _: None)
        for name in ("order-worker-0", "order-worker-1")
    ]
    try:
        return loop.run_until_complete(play(*both))
    finally:
        loop.end()


def in_postgres(play: Play, addresses: Addresses) -> list[Any]:
    @asynccontextmanager
    async def books(name: str) -> AsyncIterator[Books]:
        password = addresses.secrets.get("order_worker", "database_password")
        url = asyncpg_url(addresses.database_url, "order_worker", password)
        database = Database(url, owner="order_worker", application=name)
        try:
            opened = Books(database, replace(TERMS, worker=name))
            await opened.prepare()
            yield opened
        finally:
            await database.close()

    async def run() -> list[Any]:
        async with books("order-worker-0") as one, books("order-worker-1") as other:
            return await play(one, other)

    return asyncio.run(run())


@pytest.mark.parametrize("seed", range(6))
def test_a_sequence_of_operations_gives_the_same_answers(clean: Addresses, seed: int) -> None:
    drawn = operations(seed, 60)

    async def play(one: Any, other: Any) -> list[Any]:
        return [await operation((one, other)[number % 2], now) for number, (_, operation, now) in enumerate(drawn)]

    ours, theirs = in_memory(play), in_postgres(play, clean)
    for number, (name, _, _) in enumerate(drawn):
        where = f"{number}: {name}, after {drawn[max(number - 2, 0)][0]}"
        assert ours[number] == theirs[number], f"{where}: {_differing(ours[number], theirs[number])}"


def _differing(ours: Any, theirs: Any) -> list[str]:
    """Name the innermost values that differ."""
    if type(ours) is type(theirs) and is_dataclass(ours):
        pairs = [(getattr(ours, each.name), getattr(theirs, each.name), each.name) for each in fields(ours)]
    elif isinstance(ours, tuple | list) and isinstance(theirs, tuple | list) and len(ours) == len(theirs):
        pairs = [(one, other, str(number)) for number, (one, other) in enumerate(zip(ours, theirs, strict=True))]
    else:
        return [f"{ours!r} in memory, {theirs!r} in Postgres"]
    return [f"{name}: {text}" for one, other, name in pairs if one != other for text in _differing(one, other)]


async def _begin(books: Any, *numbers: int) -> None:
    """Have orders wait that may be claimed."""
    async with books.open() as page:
        await page.lock_account()
        await page.add_reconciliation(passed=True, differences=(), now=NOW)
    for number in numbers:
        async with books.open() as page:
            await page.add(Order(approved(number)), NOW)


async def _two_claims_at_once(one: Any, other: Any) -> list[Any]:
    await _begin(one, 1, 2)
    claims = await asyncio.gather(one.claim(KEY, NOW), other.claim(KEY, NOW), one.claim(KEY, NOW))
    return [sorted(each.order.client_order_id for each in claims if each is not None)]


async def _one_request_of_an_account_without_client_ids(one: Any, other: Any) -> list[Any]:
    await _begin(one)
    for number in (2, 6):  # of two instruments
        async with one.open() as page:
            await page.add(recorded(number), NOW)
    keys = {number: approved(number).instrument_id for number in (2, 6)}
    assert len(set(keys.values())) == len(keys)
    claims = await asyncio.gather(
        *(books.claim(("paper", keys[number]), NOW, frozenset({"v9"})) for books in (one, other) for number in keys)
    )
    found = [each.order for each in claims if each is not None]
    return [len(found), [each.known_ids for each in found], await one.next_key("paper", NOW)]


async def _a_claim_waits_for_who_holds_the_row(one: Any, other: Any) -> list[Any]:
    await _begin(one, 1)
    async with one.open() as page:
        order = await page.order(approved(1).client_order_id)
        claim = asyncio.ensure_future(other.claim(KEY, NOW))
        await asyncio.sleep(0.2)
        waited = not claim.done()
        await page.save(order.unplaced("canceled"), NOW)
    return [waited, await claim]


async def _a_claim_goes_on_when_the_row_was_given_back(one: Any, other: Any) -> list[Any]:
    await _begin(one, 1)
    try:
        async with one.open() as page:
            order = await page.order(approved(1).client_order_id)
            await page.save(order.unplaced("canceled"), NOW)
            claim = asyncio.ensure_future(other.claim(KEY, NOW))
            await asyncio.sleep(0.2)
            raise RuntimeError
    except RuntimeError:
        found = await claim
    return [found.order.submission, found.order.fence]


async def _resolvers_leave_each_others_rows_alone(one: Any, other: Any) -> list[Any]:
    await _begin(one, 1)
    await one.claim(KEY, NOW)
    late = NOW + 2 * TERMS.lease
    async with one.open() as page:
        first = await page.take_due(late, late + TERMS.look_lease, 5)
        async with other.open() as second_page:
            second = await second_page.take_due(late, late + TERMS.look_lease, 5)
    return [len(first), len(second)]


async def _a_message_is_new_once_even_at_the_same_moment(one: Any, other: Any) -> list[Any]:
    async def enter(books: Any) -> bool:
        async with books.open() as page:
            is_new = await page.first_time(approved(1))
            await asyncio.sleep(0.1)
            return bool(is_new)

    return [sorted(await asyncio.gather(enter(one), enter(other)))]


async def _the_account_is_held_by_one(one: Any, other: Any) -> list[Any]:
    await _begin(one)
    told: list[str] = []

    async def wait() -> None:
        async with other.open() as page:
            account = await page.lock_account()
            told.append(f"second, {account.blocked_reason}")

    async with one.open() as page:
        await page.lock_account()
        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0.2)
        told.append("first")
        await page.block("a reason", NOW)
    await waiting
    return told


async def _two_who_wait_for_each_other_do_not_wait_for_ever(one: Any, other: Any) -> list[Any]:
    await _begin(one, 1, 3)

    async def take(books: Any, first: int, second: int) -> str:
        try:
            async with books.open() as page:
                await page.order(approved(first).client_order_id)
                await asyncio.sleep(0.2)
                await page.order(approved(second).client_order_id)
        except Exception:
            return "ended by the server"
        return "went on"

    return [sorted(await asyncio.gather(take(one, 1, 3), take(other, 3, 1)))]


async def _an_exit_goes_past_an_unknown_entry_once_it_was_looked_for_and_is_covered(
    one: Any, other: Any, *, is_looked_for: bool = True
) -> list[Any]:
    from chaos_operations import book

    await _begin(one, 1, 2, 4)  # two entries and an exit of one key
    await book(1, (1, 2, 3), is_final=True)(one, NOW)
    claim = await one.claim(KEY, NOW)
    async with one.open() as page:
        order = await page.order(claim.order.client_order_id)
        await page.save(order.unknown("no answer", NOW), NOW)
    before = await other.claim(KEY, NOW)
    if is_looked_for:
        async with one.open() as page:
            order = await page.order(claim.order.client_order_id)
            await page.save(replace(order, looks=replace(order.looks, count=1)), NOW)
    later = NOW if is_looked_for else NOW + TERMS.exit_waits_max
    early = await other.claim(KEY, later - timedelta(milliseconds=1)) if not is_looked_for else None
    after = await other.claim(KEY, later)
    return [before, early, None if after is None else after.order.submission is Submission.SENDING]


async def _an_exit_goes_past_an_unknown_entry_whose_first_look_is_overdue(one: Any, other: Any) -> list[Any]:
    return await _an_exit_goes_past_an_unknown_entry_once_it_was_looked_for_and_is_covered(
        one, other, is_looked_for=False
    )


@pytest.mark.parametrize(
    "play",
    [
        _two_claims_at_once,
        _one_request_of_an_account_without_client_ids,
        _a_claim_waits_for_who_holds_the_row,
        _a_claim_goes_on_when_the_row_was_given_back,
        _resolvers_leave_each_others_rows_alone,
        _a_message_is_new_once_even_at_the_same_moment,
        _the_account_is_held_by_one,
        _two_who_wait_for_each_other_do_not_wait_for_ever,
        _an_exit_goes_past_an_unknown_entry_once_it_was_looked_for_and_is_covered,
        _an_exit_goes_past_an_unknown_entry_whose_first_look_is_overdue,
    ],
    ids=lambda play: play.__name__.strip("_"),
)
def test_two_at_once_end_the_same(clean: Addresses, play: Play) -> None:
    assert in_memory(play) == in_postgres(play, clean)
