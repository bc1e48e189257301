"""What a sighting makes of an order: its new state, its fills as messages, and whether they are what was approved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid5

from order_worker.domain.order import Order
from order_worker.domain.sightings import Sighting, Trade
from sigmax.domain.ledger import Entry, Execution, LedgerAccount, entries_of
from sigmax.domain.orders import heed, status_of, step
from sigmax.domain.settlement import Calendar, Market, settles_at
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.orders import CashBalance, Fill, OrderApproved
from sigmax.schemas.types import OrderStatus, Submission

_NEVER_THERE = frozenset({Submission.READY, Submission.REFUSED, Submission.ABSENT})


@dataclass(frozen=True)
class Transaction:
    """One movement in the ledger; its entries sum to zero per asset."""

    transaction_id: UUID
    entries: tuple[Entry, ...]
    settles_at: datetime
    reason: str
    execution_id: str | None = None
    executed_at: datetime | None = None
    """Of the trade; None for what nobody traded."""

    @property
    def moved_at(self) -> datetime:
        """Give when it happened, whenever it settles."""
        return self.executed_at or self.settles_at


def charged(trade: Trade, market: Market) -> Trade:
    """Give a trade with all that is kept of it: the market's own rules say what the venue does not."""
    notional = trade.price * trade.quantity
    fee, tax = market.fee(trade.fee, notional), market.tax(trade.side, notional)
    currency = trade.fee_currency if market.fee_bps is None else trade.symbol.rsplit("/", 1)[-1]
    return replace(trade, fee=fee, fee_currency=currency, tax=tax)


def transaction_of(execution: Execution, fill: Fill, market: Market, calendar: Calendar) -> Transaction:
    """Book one execution, which settles when its market does."""
    return Transaction(
        uuid5(fill.message_id, "ledger"),
        entries_of(execution),
        settles_at(market, execution.executed_at, calendar),
        "fill",
        execution.execution_id,
        execution.executed_at,
    )


def cash_after(cash: Mapping[str, CashBalance], transactions: Iterable[Transaction]) -> dict[str, CashBalance]:
    """Give the money after more transactions: what goes out is gone at once, what comes in counts as settled later."""
    after = dict(cash)
    for transaction in transactions:
        for entry in transaction.entries:
            if entry.account is LedgerAccount.CASH:
                had = after.get(entry.asset, CashBalance(total=Decimal(0), settled=Decimal(0)))
                is_settled = entry.amount < 0 or transaction.settles_at <= transaction.moved_at
                settled = had.settled + (entry.amount if is_settled else 0)
                after[entry.asset] = CashBalance(total=had.total + entry.amount, settled=settled)
    return after


def is_late(order: Order) -> bool:
    """Say whether we hold that the venue does not have this order: then seeing it there is an alarm."""
    return order.submission in _NEVER_THERE


def seen(order: Order, sighting: Sighting, now: datetime) -> Order:
    """Give the order with what the venue shows of it; the status follows once its fills are counted (`counted`)."""
    return replace(
        order,
        submission=step(order.submission, Submission.ACKED),
        venue_order_id=order.venue_order_id or sighting.venue_order_id,
        venue_reference=order.venue_reference or sighting.reference,
        word=order.word.merge(sighting.word),
        acked_at=order.acked_at or now,
        reason="" if order.submission in (Submission.SENDING, Submission.UNKNOWN) else order.reason,
    )


def counted(order: Order, filled_quantity: Decimal, average_price: Decimal | None) -> Order:
    """Give an acknowledged order the sum of its fills, and the status that follows from it."""
    said = status_of(order.word, filled_quantity, order.approved.quantity, is_cancel_pending=order.cancel_wanted)
    return replace(
        order,
        filled_quantity=filled_quantity,
        average_price=average_price,
        status=heed(order.status, said),
        reason=order.reason or _reason(said),
    )


def _reason(status: OrderStatus) -> str:
    return {OrderStatus.EXPIRED: "expired at the venue", OrderStatus.REJECTED: "rejected by the venue"}.get(status, "")


def execution_of(approved: OrderApproved, trade: Trade) -> Execution:
    """Give the trade as the ledger needs it."""
    return Execution(
        execution_id=trade.execution_id,
        executed_at=trade.executed_at,
        base=base_of(approved.instrument_id),
        quote=quote_of(approved.instrument_id),
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
        fee=trade.fee,
        fee_currency=trade.fee_currency,
        tax=trade.tax,
    )


def fill_of(order: Order, trade: Trade, now: datetime) -> Fill:
    """Tell the others of one trade; the same trade always makes the same message."""
    approved = order.approved
    return Fill(
        **Fill.after(approved, now, part=trade.execution_id),
        execution_id=trade.execution_id,
        client_order_id=approved.client_order_id,
        venue_order_id=trade.venue_order_id,
        signal_id=approved.signal_id,
        account_id=approved.account_id,
        venue=approved.venue,
        strategy_id=approved.strategy_id,
        instrument_id=approved.instrument_id,
        side=trade.side,
        price=trade.price,
        quantity=trade.quantity,
        fee=trade.fee + trade.tax,  # taxed trades have their fee in the quote currency too: all that is kept of it
        fee_currency=trade.fee_currency,
        liquidity=trade.liquidity,
        executed_at=trade.executed_at,
    )


def breaches(order: Order, trade: Trade) -> list[str]:
    """Hold one trade against the approval, and say in what it goes beyond: empty for a sound one."""
    approved = order.approved
    found = []
    if trade.symbol != order.symbol:
        found.append(f"traded {trade.symbol}, approved {order.symbol}")
    if trade.side is not approved.side:
        found.append(f"{trade.side}, approved {approved.side}")
    if approved.limit_price is not None:
        worse_by = (trade.price - approved.limit_price) * approved.side.sign
        if worse_by > 0:
            found.append(f"at {trade.price}, limit {approved.limit_price}")
    if order.filled_quantity > approved.quantity:
        found.append(f"filled {order.filled_quantity} in all, approved {approved.quantity}")
    return found
