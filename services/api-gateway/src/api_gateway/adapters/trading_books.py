"""Reads what order-worker and risk-gate own: accounts, positions, orders, fills, the ledger."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.money import Holding, unrealized_pnl, worth
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.trading import (
    AccountView,
    FillView,
    LedgerEntryView,
    OrderView,
    PositionView,
    ReconciliationView,
)
from api_gateway.ports.books import Filters
from sigmax.runtime.database import Database
from sigmax.schemas.market import Quote, moment
from sigmax.schemas.types import OrderStatus

ORDERS = Listing(
    "client_order_id, venue_order_id, signal_id, correlation_id, account_id, venue, mode, strategy_id, instrument_id,"
    " side, order_type, time_in_force, quantity, limit_price, trigger_price, reduce_only, status,"
    " submission, filled_quantity, average_price,"
    " coalesce(reason, '') AS reason, tick_received_at, approved_at, claimed_at, sent_at, acked_at, created_at,"
    " updated_at",
    "order_worker.orders",
    "created_at",
    "order_id",
    "bigint",
)
FILLS = Listing(
    "execution_id, client_order_id, venue_order_id, signal_id, strategy_id, account_id, venue, instrument_id, side,"
    " price, quantity, fee, fee_currency, liquidity, executed_at, recorded_at",
    "order_worker.fills",
    "recorded_at",
    "fill_id",
    "bigint",
)
LEDGER = Listing(
    "entry_id, transaction_id, account_id, ledger_account, asset, amount, settles_at, coalesce(reason, '') AS reason,"
    " execution_id, created_at",
    "order_worker.ledger_entries",
    "created_at",
    "entry_id",
    "bigint",
)
_RECONCILIATIONS = Listing(
    "reconciliation_id, account_id, passed, differences, created_at",
    "order_worker.reconciliations",
    "created_at",
    "reconciliation_id",
    "bigint",
)
_POSITIONS = (
    "SELECT account_id, instrument_id, quantity, average_price, realized_pnl, updated_at FROM order_worker.positions"
)
# A checkpoint sums up the settled entries below it: what an account holds is found without reading its whole past.
_BALANCES = (
    "SELECT a.account_id, e.ledger_account, e.asset, sum(e.amount) AS amount,"
    " coalesce(sum(e.amount) FILTER (WHERE e.settles_at <= now()), 0) AS settled"
    " FROM risk_gate.accounts a CROSS JOIN LATERAL ("
    " SELECT ledger_account, asset, amount, now() AS settles_at FROM order_worker.ledger_checkpoints c"
    " WHERE c.account_id = a.account_id"
    " UNION ALL SELECT ledger_account, asset, amount, settles_at FROM order_worker.ledger_entries l"
    " WHERE l.account_id = a.account_id AND l.entry_id > coalesce("
    "(SELECT max(up_to_entry_id) FROM order_worker.ledger_checkpoints c WHERE c.account_id = a.account_id), 0)) e"
    " WHERE e.ledger_account IN ('cash', 'holding') GROUP BY a.account_id, e.ledger_account, e.asset"
)
_LAST_RECONCILED = (
    "SELECT DISTINCT ON (account_id) account_id, passed, created_at FROM order_worker.reconciliations"
    " ORDER BY account_id, reconciliation_id DESC"
)
_OPEN = [status.value for status in OrderStatus if not status.is_terminal]


class TradingBooks:
    """Reads under the gateway's role, which may read every schema and write none but its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def accounts(self, last: Mapping[str, Quote]) -> list[AccountView]:
        """Give all accounts, valued at the given prices."""
        async with self._database.reading() as session:
            accounts = await rows(
                session, "SELECT account_id, venue, mode, currency FROM risk_gate.accounts ORDER BY account_id"
            )
            balances = await rows(session, _BALANCES)
            positions = await rows(session, _POSITIONS)
            reconciled = {row["account_id"]: row for row in await rows(session, _LAST_RECONCILED)}
        return [
            _account(
                account,
                [row for row in balances if row["account_id"] == account["account_id"]],
                [row for row in positions if row["account_id"] == account["account_id"]],
                reconciled.get(account["account_id"]),
                last,
            )
            for account in accounts
        ]

    async def positions(self, filters: Filters, last: Mapping[str, Quote]) -> list[PositionView]:
        """Give positions, valued at the given prices."""
        conditions = Conditions()
        conditions.equal(account_id=filters.account_id, instrument_id=filters.instrument_id)
        if filters.is_open is not None:
            conditions.add("quantity <> 0" if filters.is_open else "quantity = 0")
        async with self._database.reading() as session:
            found = await rows(
                session, f"{_POSITIONS}{conditions.clause} ORDER BY account_id, instrument_id", conditions.values
            )
        return [position_view(row, last.get(row["instrument_id"])) for row in found]

    async def orders(self, filters: Filters, page: PageRequest) -> Page[OrderView]:
        """Give orders, newest first."""
        conditions = _narrowed(filters)
        conditions.equal(status=filters.status)
        if filters.is_open is not None:
            operator = "=" if filters.is_open else "<>"
            quantifier = "ANY" if filters.is_open else "ALL"
            conditions.add(f"status {operator} {quantifier}(CAST(:open AS text[]))", open=_OPEN)
        conditions.between("created_at", filters.since, filters.until)
        async with self._database.reading() as session:
            return await page_of(session, ORDERS, conditions, page, order_view)

    async def order(self, client_order_id: str) -> OrderView | None:
        """Give one order."""
        async with self._database.reading() as session:
            return await order_of(session, client_order_id)

    async def fills(self, filters: Filters, page: PageRequest) -> Page[FillView]:
        """Give fills, newest first."""
        conditions = _narrowed(filters)
        conditions.equal(client_order_id=filters.client_order_id)
        conditions.between("executed_at", filters.since, filters.until)
        async with self._database.reading() as session:
            return await page_of(session, FILLS, conditions, page, fill_view)

    async def ledger(self, filters: Filters, page: PageRequest) -> Page[LedgerEntryView]:
        """Give ledger entries, newest first."""
        conditions = Conditions()
        conditions.equal(account_id=filters.account_id, asset=filters.asset)
        conditions.between("created_at", filters.since, filters.until)
        async with self._database.reading() as session:
            return await page_of(session, LEDGER, conditions, page, ledger_view)

    async def reconciliations(self, filters: Filters, page: PageRequest) -> Page[ReconciliationView]:
        """Give comparisons with the venue, newest first."""
        conditions = Conditions()
        conditions.equal(account_id=filters.account_id)
        async with self._database.reading() as session:
            return await page_of(session, _RECONCILIATIONS, conditions, page, _reconciliation)


async def order_of(session: AsyncSession, client_order_id: str) -> OrderView | None:
    """Give one order in an open session."""
    found = await rows(
        session,
        f"SELECT {ORDERS.columns} FROM {ORDERS.source} WHERE client_order_id = :id",  # noqa: S608
        {"id": client_order_id},
    )
    return order_view(found[0]) if found else None


def order_view(row: Row) -> OrderView:
    """Give the view of an order's row."""
    return OrderView(**without(row))


def fill_view(row: Row) -> FillView:
    """Give the view of a fill's row."""
    return FillView(**without(row))


def ledger_view(row: Row) -> LedgerEntryView:
    """Give the view of a ledger entry's row."""
    return LedgerEntryView(**without(row))


def position_view(row: Row, quote: Quote | None) -> PositionView:
    """Give the view of a position's row, valued at a quote."""
    holding = Holding(row["instrument_id"], row["quantity"], row["average_price"])
    return PositionView(
        **without(row),
        last_price=quote.last if quote else None,
        priced_at=moment(quote.received_ns) if quote else None,
        unrealized_pnl=unrealized_pnl(holding, quote.last if quote else None),
    )


def _reconciliation(row: Row) -> ReconciliationView:
    return ReconciliationView(**without(row, "differences"), differences=parsed(row["differences"]))


def _narrowed(filters: Filters) -> Conditions:
    conditions = Conditions()
    conditions.equal(
        account_id=filters.account_id, strategy_id=filters.strategy_id, instrument_id=filters.instrument_id
    )
    return conditions


def _account(
    account: Row, balances: Sequence[Row], positions: Sequence[Row], reconciled: Row | None, last: Mapping[str, Quote]
) -> AccountView:
    cash = {row["asset"]: row["amount"] for row in balances if row["ledger_account"] == "cash"}
    holdings = [Holding(row["instrument_id"], row["quantity"], row["average_price"]) for row in positions]
    value = worth(
        account["currency"],
        cash.get(account["currency"], Decimal(0)),
        holdings,
        {name: quote.last for name, quote in last.items()},
    )
    return AccountView(
        account_id=account["account_id"],
        venue=account["venue"],
        mode=account["mode"],
        currency=account["currency"],
        cash=cash,
        settled_cash={row["asset"]: row["settled"] for row in balances if row["ledger_account"] == "cash"},
        holdings={row["asset"]: row["amount"] for row in balances if row["ledger_account"] == "holding"},
        holdings_value=value.holdings_value,
        unrealized_pnl=value.unrealized_pnl,
        realized_pnl=sum((row["realized_pnl"] for row in positions), Decimal(0)),
        equity=value.equity,
        unpriced=list(value.unpriced),
        is_reconciled=reconciled["passed"] if reconciled else None,
        reconciled_at=reconciled["created_at"] if reconciled else None,
    )
