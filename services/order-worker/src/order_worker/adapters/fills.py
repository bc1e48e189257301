"""One transaction of the books: trades of ours, and trades whose order is not known yet."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from order_worker.adapters import metrics
from order_worker.adapters.rows import execution_of, trade_of
from order_worker.domain.order import Order
from order_worker.domain.sightings import Trade
from order_worker.domain.terms import Terms
from sigmax.domain.ledger import Execution
from sigmax.runtime.database import Unit

_ADD_FILLS = text(
    """
    INSERT INTO fills (venue, account_id, execution_id, client_order_id, venue_order_id, signal_id, strategy_id,
        instrument_id, side, price, quantity, fee, fee_currency, tax, liquidity, executed_at, source, recorded_at)
    SELECT :venue, :account_id, t.execution_id, :client_order_id, t.venue_order_id, :signal_id, :strategy_id,
        :instrument_id, t.side, t.price, t.quantity, t.fee, t.fee_currency, t.tax, t.liquidity, t.executed_at,
        :source, :now
    FROM unnest(CAST(:execution_ids AS text[]), CAST(:venue_order_ids AS text[]), CAST(:sides AS text[]),
        CAST(:prices AS numeric[]), CAST(:quantities AS numeric[]), CAST(:fees AS numeric[]),
        CAST(:fee_currencies AS text[]), CAST(:taxes AS numeric[]), CAST(:liquidities AS text[]),
        CAST(:times AS timestamptz[]))
        AS t (execution_id, venue_order_id, side, price, quantity, fee, fee_currency, tax, liquidity, executed_at)
    ON CONFLICT DO NOTHING RETURNING execution_id
    """
)
_KEEP_ORPHAN = text(
    """
    INSERT INTO orphan_fills (account_id, execution_id, venue_order_id, client_order_id, symbol, side, price, quantity,
        fee, fee_currency, liquidity, executed_at, recorded_at)
    VALUES (:account_id, :execution_id, :venue_order_id, :client_order_id, :symbol, :side, :price, :quantity, :fee,
        :fee_currency, :liquidity, :executed_at, :now)
    ON CONFLICT DO NOTHING
    """
)
_ADOPT = text(
    "DELETE FROM orphan_fills WHERE account_id = :account_id"
    " AND (venue_order_id = :venue_order_id OR client_order_id = :client_order_id) RETURNING *"
)


class FillsPage:
    """The part of a transaction that enters trades."""

    def __init__(self, unit: Unit, connection: AsyncConnection, terms: Terms) -> None:
        self._unit = unit
        # The transaction's own connection: no objects are mapped here, and the session would cost as much as the query.
        self._connection = connection
        self._terms = terms

    async def add_fills(self, order: Order, trades: Sequence[Trade], source: str, now: datetime) -> list[Trade]:
        """Enter trades, and give those that were not there."""
        approved = order.approved
        rows = await self._connection.execute(
            _ADD_FILLS,
            {
                "venue": approved.venue,
                "account_id": approved.account_id,
                "client_order_id": approved.client_order_id,
                "signal_id": approved.signal_id,
                "strategy_id": approved.strategy_id,
                "instrument_id": approved.instrument_id,
                "source": source,
                "now": now,
                "execution_ids": [trade.execution_id for trade in trades],
                "venue_order_ids": [trade.venue_order_id for trade in trades],
                "sides": [str(trade.side) for trade in trades],
                "prices": [trade.price for trade in trades],
                "quantities": [trade.quantity for trade in trades],
                "fees": [trade.fee for trade in trades],
                "fee_currencies": [trade.fee_currency for trade in trades],
                "taxes": [trade.tax for trade in trades],
                "liquidities": [str(trade.liquidity) for trade in trades],
                "times": [trade.executed_at for trade in trades],
            },
        )
        entered = {row.execution_id for row in rows}
        metrics.fills.labels(source).inc(len(entered))
        if entered and not order.filled_quantity:
            metrics.tick_to_first_fill.observe((now - approved.tick_received_at).total_seconds())
        unique = {trade.execution_id: trade for trade in trades}
        return [trade for execution_id, trade in unique.items() if execution_id in entered]

    async def keep_orphan(self, trade: Trade, now: datetime) -> None:
        """Keep a trade whose order is not known yet."""
        values = {
            "account_id": self._terms.account_id,
            "execution_id": trade.execution_id,
            "venue_order_id": trade.venue_order_id,
            "client_order_id": trade.client_order_id,
            "symbol": trade.symbol,
            "side": str(trade.side),
            "price": trade.price,
            "quantity": trade.quantity,
            "fee": trade.fee,
            "fee_currency": trade.fee_currency,
            "liquidity": str(trade.liquidity),
            "executed_at": trade.executed_at,
            "now": now,
        }
        await self._connection.execute(_KEEP_ORPHAN, values)

    async def adopt_orphans(self, order: Order) -> list[Trade]:
        """Take out the kept trades that are this order's."""
        values = {
            "account_id": self._terms.account_id,
            "venue_order_id": order.venue_order_id,
            "client_order_id": order.client_order_id,
        }
        return [trade_of(row) for row in await self._connection.execute(_ADOPT, values)]

    async def executions(self, instrument_id: str) -> list[Execution]:
        """Give every fill of an instrument, to fold them anew."""
        query = text("SELECT * FROM fills WHERE account_id = :account_id AND instrument_id = :instrument_id")
        values = {"account_id": self._terms.account_id, "instrument_id": instrument_id}
        return [execution_of(row) for row in await self._connection.execute(query, values)]
