"""What must hold once everything is quiet, and what must never have happened on the way."""

from collections.abc import Iterator
from decimal import Decimal

from order_worker.domain.booking import Transaction as Movements
from order_worker.domain.booking import execution_of
from order_worker.domain.order import Order
from order_worker.ports import PositionRow
from sigmax.domain.ledger import LedgerAccount, Position, fold, imbalance
from sigmax.schemas.orders import Fill, OrderEvent, PositionChanged
from sigmax.schemas.types import OrderStatus, Stage, Submission
from sigmax_local.chaos.simulation.rows import FillRow
from sigmax_local.chaos.simulation.venue import PRICE
from sigmax_local.chaos.simulation.worker import terms_for
from sigmax_local.chaos.simulation.world import World

CHECKED = {
    "I1": "every valid approval has a row, and it is open with a venue id or ended",
    "I2": "orders and trades one by one against the venue's, but for those that no list showed until their absence was"
    " proven and that had ended by then without a trade",
    "I3": "positions folded anew from fills, fills and sums against the venue's trades",
    "I4": "each transaction, each fill booked once, cash against the venue's",
    "I5": "every request that reached the venue, against its approval and its time",
    "I6": "every request that reached the venue, against the stages as its claim found them and against each halt",
    "I7": "outbox, dead letters, and that the others heard everything once",
    "I9": "what the others were told last of each order, against its row",
}
_FINAL = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


def violations(world: World) -> dict[str, tuple[str, ...]]:
    """Hold a world that came to rest against the invariants: empty when all is well."""
    found: dict[str, list[str]] = {}
    for invariant, text in _all(world):
        found.setdefault(invariant, []).append(text)
    return {invariant: tuple(texts) for invariant, texts in sorted(found.items())}


def _all(world: World) -> Iterator[tuple[str, str]]:
    if not world.is_quiet:
        yield "I1", "did not come to rest: " + "; ".join(world.unrest()[:5])
    yield from (("I7", f"a loop or handler failed: {error!r}") for error in world.faults if not _is_planted(error))
    yield from _i1(world)
    yield from _i2(world)
    yield from _i3(world)
    yield from _i4(world)
    yield from _i5_i6(world)
    yield from _i7(world)
    yield from _i9(world)


def _is_planted(error: Exception) -> bool:
    return type(error).__name__ == "ForgedApprovalError"


def _i1(world: World) -> Iterator[tuple[str, str]]:
    rows = world.orders()
    for client_order_id in world.gate.approved:
        row = rows.get(client_order_id)
        if row is None:
            yield "I1", f"{client_order_id} was approved and is not in the books: lost"
        elif not _has_ended_well(row.order):
            order = row.order
            yield "I1", f"{client_order_id} is {order.submission}, {order.status}, venue id {order.venue_order_id}"
    for forged in world.gate.forged:
        if forged.client_order_id in rows and forged.client_order_id not in world.gate.approved:
            yield "I5", f"{forged.client_order_id} is in the books, and was forged"


def _has_ended_well(order: Order) -> bool:
    if order.submission is Submission.ACKED:
        return order.venue_order_id is not None and order.status is not OrderStatus.PENDING_NEW
    return order.submission in (Submission.REFUSED, Submission.ABSENT) and order.status.is_terminal


def _i2(world: World) -> Iterator[tuple[str, str]]:
    rows = {client_order_id: row.order for client_order_id, row in world.orders().items()}
    for client_order_id in rows.keys() | {each.approved.client_order_id for each in world.venue.orders.values()}:
        theirs = world.venue.of(client_order_id)
        ours = rows.get(client_order_id)
        if len(theirs) > 1:
            yield "I2", f"{client_order_id} is {len(theirs)} orders at the venue: doubled"
        has_one = ours is not None and ours.submission is Submission.ACKED
        if len(theirs) == 1 and not has_one and not theirs[0].cannot_be_seen:
            said = "not in the books" if ours is None else f"{ours.submission} in the books"
            yield "I2", f"{client_order_id} is at the venue and {said}"
        if not theirs and has_one:
            yield "I2", f"{client_order_id} is acknowledged in the books, and the venue does not have it"
        if len(theirs) == 1 and ours is not None and has_one:
            if ours.venue_order_id != theirs[0].venue_order_id:
                yield "I2", f"{client_order_id} has venue id {ours.venue_order_id}, not {theirs[0].venue_order_id}"
            if ours.status.is_terminal and ours.status not in (theirs[0].status, OrderStatus.REJECTED):
                yield "I2", f"{client_order_id} is {ours.status}, at the venue {theirs[0].status}"


def _i3(world: World) -> Iterator[tuple[str, str]]:
    tables, orders = world.server.tables, world.orders()
    fills: dict[str, FillRow] = tables.of("fills")
    yield from _trades_one_by_one(world, fills) if world.venue.capabilities.execution_ids else _growth(world, fills)
    for client_order_id, row in orders.items():
        mine = [fill.trade for fill in fills.values() if fill.client_order_id == client_order_id]
        filled = sum((trade.quantity for trade in mine), Decimal(0))
        if filled != row.order.filled_quantity:
            yield "I3", f"{client_order_id} counts {row.order.filled_quantity} filled, its fills sum to {filled}"
        if filled > row.order.approved.quantity:
            yield "I3", f"{client_order_id} filled {filled}, approved {row.order.approved.quantity}"
    positions: dict[str, PositionRow] = tables.of("positions")
    for instrument_id in sorted({fill.instrument_id for fill in fills.values()} | set(positions)):
        executions = [
            execution_of(orders[fill.client_order_id].order.approved, fill.trade)
            for fill in fills.values()
            if fill.instrument_id == instrument_id
        ]
        held = positions.get(instrument_id, PositionRow(Position(), None)).position
        if held != fold(executions):
            yield "I3", f"position {instrument_id} is {held.quantity}, its fills make {fold(executions).quantity}"


def _trades_one_by_one(world: World, fills: dict[str, FillRow]) -> Iterator[tuple[str, str]]:
    theirs = {trade.execution_id: trade for each in world.venue.orders.values() for trade in each.trades}
    yield from (("I3", f"trade {each} of the venue is not in the books") for each in sorted(set(theirs) - set(fills)))
    yield from (("I3", f"fill {each} is not at the venue") for each in sorted(set(fills) - set(theirs)))


def _growth(world: World, fills: dict[str, FillRow]) -> Iterator[tuple[str, str]]:
    """Hold the sums of each venue order's fills against it, where its trades have no ids."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    for fill in fills.values():
        quantity, notional = sums.get(fill.trade.venue_order_id, (Decimal(0), Decimal(0)))
        trade = fill.trade
        sums[trade.venue_order_id] = (quantity + trade.quantity, notional + trade.quantity * trade.price)
    for each in world.venue.orders.values():
        ours = sums.pop(each.venue_order_id, (Decimal(0), Decimal(0)))
        if ours != (each.filled, each.filled * PRICE):
            yield "I3", f"venue order {each.venue_order_id} has filled {each.filled}, in the books {ours[0]}"
    yield from (("I3", f"fills of {each}, which is no order of ours") for each in sorted(sums))


def _i4(world: World) -> Iterator[tuple[str, str]]:
    movements: list[Movements] = list(world.server.tables.of("ledger").values())
    sums: dict[str, Decimal] = {}
    for movement in movements:
        if off := imbalance(movement.entries):
            yield "I4", f"transaction {movement.transaction_id} does not sum to zero: {off}"
        for entry in movement.entries:
            if entry.account in (LedgerAccount.CASH, LedgerAccount.HOLDING):
                sums[entry.asset] = sums.get(entry.asset, Decimal(0)) + entry.amount
    booked = [movement.execution_id for movement in movements if movement.execution_id is not None]
    if sorted(booked) != sorted(world.server.tables.of("fills")):
        yield "I4", f"{len(booked)} fills are booked, {len(world.server.tables.of('fills'))} are in the books"
    yield from (
        ("I4", f"an adjustment was needed: {movement.reason}")
        for movement in movements
        if movement.reason.startswith("adjustment")
    )
    transfers = [movement for movement in movements if movement.reason.startswith("transfer")]
    # None where the money came before the books had met the asset: it is in the opening.
    if len(transfers) > (world.plan.transfer_at_s is not None):
        yield "I4", f"{len(transfers)} transfers are booked"
    for asset, amount in sums.items():
        if amount != world.venue.money.get(asset, Decimal(0)):
            yield "I4", f"{asset} is {amount} in the books, {world.venue.money.get(asset)} at the venue"


def _i5_i6(world: World) -> Iterator[tuple[str, str]]:
    send_s = terms_for("").send.total_seconds()
    for arrival in world.venue.arrivals:
        approved = world.gate.approved.get(arrival.client_order_id)
        if approved is None:
            yield "I5", f"{arrival.client_order_id} was sent without an approval"
            continue
        late_s = (world.venue.now() - approved.valid_until).total_seconds() - world.loop.time() + arrival.written_at
        if late_s > send_s - min(arrival.skew.total_seconds(), 0.0):
            yield "I5", f"{arrival.client_order_id} was sent {late_s:.1f} s after its approval ended"
        stages = world.server.claims.get((arrival.client_order_id, arrival.fence))
        if stages is None:
            yield "I2", f"{arrival.client_order_id} was sent before its claim was committed"
            continue
        for row in stages:
            if row.stage.severity >= Stage.HALTED.severity:
                yield "I6", f"{arrival.client_order_id} was sent, claimed while {row.scope} was {row.stage}"

    for since, until in _halts(world):
        for arrival in world.venue.arrivals:
            if arrival.was_accepted and since + send_s < arrival.written_at < until:
                yield "I6", f"{arrival.client_order_id} was sent {arrival.written_at - since:.1f} s after a halt"


def _halts(world: World) -> Iterator[tuple[float, float]]:
    """Give from when to when a scope was known to be halted."""
    begun: dict[object, float] = {}
    for at, scope, (row, _) in world.server.stages:
        if row.stage.severity >= Stage.HALTED.severity:
            begun.setdefault(scope, at)
        elif scope in begun:
            yield begun.pop(scope), at
    yield from ((since, world.loop.time()) for since in begun.values())


def _i7(world: World) -> Iterator[tuple[str, str]]:
    left = world.server.tables.of("outbox")
    if left:
        yield "I7", f"{len(left)} messages are left in the outbox"
    dead = [each for each in world.broker.dead if each not in world.gate.forged]
    yield from (("I7", f"{each.TOPIC} {each.message_id} is among the dead letters") for each in dead)
    if world.gate.forged and not world.broker.dead:
        yield "I7", "a forged approval was taken, and is not among the dead letters"
    told = {fill.execution_id for fill in world.broker.told.values() if isinstance(fill, Fill)}
    missing = set(world.server.tables.of("fills")) ^ told
    yield from (("I7", f"fill {each} was not told, or told and not kept") for each in sorted(missing))


def _i9(world: World) -> Iterator[tuple[str, str]]:
    last: dict[str, OrderEvent] = {}
    for message in world.broker.told.values():
        if isinstance(message, OrderEvent):
            known = last.get(message.client_order_id)
            if known is not None and known.sequence == message.sequence:
                yield "I9", f"{message.client_order_id} told two things under sequence {message.sequence}"
            if known is None or message.sequence > known.sequence:
                last[message.client_order_id] = message
    for client_order_id, row in world.orders().items():
        event, order = last.get(client_order_id), row.order
        if event is None:
            yield "I9", f"nothing was told of {client_order_id}"
        elif (event.status, event.leaves_quantity) != (order.status, order.leaves_quantity):
            yield "I9", f"{client_order_id} is {order.status}, was told to be {event.status}"
    positions = [each for each in world.broker.told.values() if isinstance(each, PositionChanged)]
    newest = max(positions, key=lambda each: each.sequence, default=None)
    if newest is not None:
        held: PositionRow = world.server.tables.of("positions")[newest.instrument_id]
        if newest.quantity != held.position.quantity:
            yield "I9", f"{newest.instrument_id} is {held.position.quantity}, was told to be {newest.quantity}"
