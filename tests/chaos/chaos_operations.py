"""Operations on the books, drawn from a seed: each is one transaction or one read, and tells what it saw."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid5

from chaos_builders import BTC, NOW, TERMS, approval, trade

from order_worker.domain.booking import Transaction, counted, execution_of, fill_of, seen, transaction_of
from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting, Trade
from order_worker.ports import Movement, PositionRow
from sigmax.domain.ledger import LedgerAccount, fold, transfer
from sigmax.domain.orders import SUBMISSIONS, VenueWord
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import StageChanged
from sigmax.schemas.orders import CancelRequested
from sigmax.schemas.types import OrderStatus, Scope, Stage, Submission

ETH = "ETH/USDT@binance"
ORDERS = 6
Operation = Callable[[Any, datetime], Awaitable[Any]]
"""Given the books and the time; what it returns is compared."""


def approved(number: int) -> Any:
    return approval(number, instrument_id=BTC if number % 3 else ETH, is_exit=number % 4 == 0, quantity="4")


def recorded(number: int) -> Order:
    """Give an order as it is recorded; the venue of some keeps no client ids."""
    return Order(approved(number), client_ids=number in (1, 3))


def told(order: Order | None) -> Any:
    """Give what the two kinds of books must agree on of an order."""
    return None if order is None else replace(order, looks=replace(order.looks))


def add(number: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        async with books.open() as page:
            first = await page.first_time(approved(number))
            return first, told(await page.add(recorded(number), now))

    return work


def claim(instrument_id: str, known_ids: frozenset[str] | None) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        found = await books.claim(("paper", instrument_id), now, known_ids)
        return None if found is None else (found.order, sorted(found.stages, key=lambda each: each.scope))

    return work


def become(number: int, kind: str, draw: float) -> Operation:
    """Take an order a step further, where the table allows that step."""

    async def work(books: Any, now: datetime) -> Any:
        async with books.open() as page:
            order = await page.order(approved(number).client_order_id)
            if order is None:
                return None
            after = _stepped(order, kind, draw, now)
            return None if after is None else (after.status, await page.save(after, now))

    return work


def _stepped(order: Order, kind: str, draw: float, now: datetime) -> Order | None:
    following = SUBMISSIONS[order.submission]
    if kind == "unknown" and Submission.UNKNOWN in following:
        return order.unknown("no answer", now + timedelta(seconds=draw))
    if kind == "unplaced" and Submission.ABSENT in following:
        return order.unplaced("not there")
    if kind == "not sent" and order.submission is Submission.SENDING:
        return order.not_sent("refused", now, TERMS)
    if kind == "refused" and Submission.REFUSED in following:
        return order.refused("no")
    if kind == "looked" and order.submission is Submission.UNKNOWN:
        looks = replace(order.looks, count=order.looks.count + 1, absences=1, absent_since=now)
        return replace(order, looks=replace(looks, next_at=now + timedelta(seconds=draw), is_unclear=draw > 0))
    return None


def book(number: int, trades: tuple[int, ...], *, is_final: bool) -> Operation:
    """Book what the venue shows of an order, as the handler does."""

    async def work(books: Any, now: datetime) -> Any:
        client_order_id = approved(number).client_order_id
        try:
            async with books.open() as page:
                held = await page.lock(client_order_id, f"v{number}")
                word = VenueWord(OrderStatus.CANCELED if is_final else OrderStatus.NEW)
                after = seen(held.order, Sighting(f"v{number}", word, reference=f"branch {number}"), now)
                shown = [_trade(number, each) for each in trades]
                adopted = await page.adopt_orphans(after)
                fresh = await page.add_fills(after, [*shown, *adopted], "poll", now)
                standing = await page.standing(after, now)
                if fresh:
                    await _move(page, held.account.sequence + 1, after, fresh, standing.row, now)
                after = counted(after, standing.filled_quantity, standing.average_price)
                is_waiting = await page.save(after, now)
                return held, sorted(t.execution_id for t in fresh), len(adopted), standing, after.status, is_waiting
        except LookupError:
            return "gone"

    return work


async def _move(page: Any, sequence: int, order: Order, fresh: list[Trade], row: PositionRow, now: datetime) -> None:
    executions = [execution_of(order.approved, each) for each in fresh]
    fills = {each.execution_id: fill_of(order, each, now) for each in fresh}
    transactions = tuple(
        transaction_of(each, fills[each.execution_id], TERMS.market, TERMS.calendar) for each in executions
    )
    everything = await page.executions(order.approved.instrument_id)
    last = max(*(each.order_key for each in everything), row.last or executions[0].order_key)
    movement = Movement(PositionRow(fold(everything), last), transactions, sequence)
    await page.move(order.approved.instrument_id, movement, now)


def _trade(number: int, each: int) -> Trade:
    base = approved(number)
    symbol = base.instrument_id.split("@")[0]
    return trade(
        number * 10 + each,
        venue_order_id=f"v{number}",
        execution_id=f"{symbol.replace('/', '')}-{number * 10 + each}",
        symbol=symbol,
        side=base.side,
        fee_currency=symbol.split("/")[base.side.sign < 0],
    )


def orphan(number: int, each: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        async with books.open() as page:
            await page.keep_orphan(_trade(number, each), now)

    return work


def take_due(limit: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        async with books.open() as page:
            due = await page.take_due(now, now + TERMS.look_lease, limit)
            return sorted(((order.client_order_id, order.submission, order.looks) for order in due), key=str)

    return work


def expired(limit: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        async with books.open() as page:
            return [order.client_order_id for order in await page.expired(now, limit)]

    return work


def want_cancel(number: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        request = CancelRequested(
            **CancelRequested.first(f"cancel {number}", now),
            client_order_id=approved(number).client_order_id,
            account_id="paper",
            requested_by="a person",
            reason="a test",
        )
        async with books.open() as page:
            first = await page.first_time(request)
            await page.want_cancel(request, now)
            return first

    return work


def stage(scope: Scope, to: Stage, version: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        message = StageChanged(
            **StageChanged.first(f"{scope}:{version}:{now.isoformat()}", now),
            scope=scope,
            scope_id={Scope.GLOBAL: "global", Scope.ACCOUNT: "paper"}[scope],
            from_stage=Stage.NORMAL,
            to_stage=to,
            version=version,
            changed_by="a person",
            reason="a test",
        )
        async with books.open() as page:
            return await page.put_stage(message)

    return work


def account(kind: str) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        async with books.open() as page:
            if kind == "block":
                await page.block("a reason", now)
            elif kind == "release":
                await page.release()
            else:
                await page.lock_account()
                await page.add_reconciliation(passed=kind == "passed", differences=(), now=now)
            return await page.lock_account()

    return work


def pay_in(number: int) -> Operation:
    async def work(books: Any, now: datetime) -> Any:
        entries = transfer(LedgerAccount.CASH, LedgerAccount.OPENING, "USDT", Decimal(number))
        async with books.open() as page:
            await page.lock_account()
            # The place in time tells two apart; the id must be new each time.
            await page.add_transactions([Transaction(uuid5(NAMESPACE, f"{number}{now}"), entries, now, "opening")], now)

    return work


def fail_in_the_middle(number: int) -> Operation:
    """What raises leaves nothing behind."""

    async def work(books: Any, now: datetime) -> Any:
        try:
            async with books.open() as page:
                await page.first_time(approved(number))
                await page.add(recorded(number), now)
                await page.block("never", now)
                raise RuntimeError
        except RuntimeError:
            return "rolled back"

    return work


def look() -> Operation:
    """Read everything that can be read."""

    async def work(books: Any, now: datetime) -> Any:
        ids = [approved(number).client_order_id for number in range(1, ORDERS + 1)]
        sightings = [Sighting(f"v{n}", VenueWord(), each) for n, each in enumerate(ids, 1)]
        executions = [_trade(number, each).execution_id for number in range(1, ORDERS + 1) for each in (1, 2, 3)]
        async with books.open() as page:
            sums = (
                await page.cash(now),
                await page.balances(now - timedelta(seconds=1)),
                await page.met_assets(),
                await page.positions(),
                sorted(await page.executions(BTC), key=lambda each: each.order_key),
                [await page.is_owned(f"v{number}") for number in range(1, ORDERS + 1)],
            )
        return (
            sums,
            dict(await books.ready_keys(now, 10)),
            await books.known_executions(executions),
            await books.orders_of(sightings),
            sorted(await books.unfinished(), key=lambda each: each.client_order_id),
            await books.owned(["v1", "v2", "v3"]),
            await books.next_key("paper", now),
            sorted(await books.unmatched(now - timedelta(seconds=5)), key=lambda each: each.client_order_id),
            await books.instruments(),
            sorted(await books.stages(), key=lambda each: each.scope),
            await books.account(),
        )

    return work


def operations(seed: int, count: int) -> list[tuple[str, Operation, datetime]]:
    """Draw operations, each with the time at which it happens."""
    chance = Random(seed)
    now, drawn = NOW, []
    for _ in range(count):
        now += timedelta(seconds=chance.choice((0.0, 0.1, 1.0, 2.5)))
        drawn.append((*_drawn(chance), now))
        drawn.append(("look", look(), now))
    return drawn


def _drawn(chance: Random) -> tuple[str, Operation]:
    number = chance.randint(1, ORDERS)
    step = chance.choice(("unknown", "unplaced", "not sent", "refused", "looked"))
    trades = tuple(chance.sample((1, 2, 3), chance.randint(0, 3)))
    scope = chance.choice((Scope.GLOBAL, Scope.ACCOUNT))
    version = chance.randint(1, 3)
    to = chance.choice((Stage.NORMAL, Stage.HALTED))
    known_ids = chance.choice((None, frozenset({"v8", "v9"}), frozenset({"v9"}), frozenset()))
    kind = chance.choice(("block", "release", "passed", "passed", "failed", "passed"))
    options = (
        (5, f"add {number}", add(number)),
        (6, f"claim for {number}", claim(approved(number).instrument_id, known_ids)),
        (6, f"{step} {number}", become(number, step, chance.choice((0.0, 1.0)))),
        (5, f"book {number} {trades}", book(number, trades, is_final=chance.random() < 0.3)),
        (2, f"orphan {number}", orphan(number, chance.randint(1, 3))),
        (2, "take due", take_due(chance.randint(1, 3))),
        (1, "expired", expired(2)),
        (1, f"want cancel {number}", want_cancel(number)),
        (2, f"stage {scope} {version}", stage(scope, to, version)),
        (2, f"account {kind}", account(kind)),
        (1, f"pay in {number}", pay_in(number)),
        (1, f"fail {number}", fail_in_the_middle(number)),
    )
    _, name, operation = chance.choices(options, [weight for weight, _, _ in options])[0]
    return name, operation
