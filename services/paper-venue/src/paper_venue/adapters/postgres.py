"""The venue's state in Postgres. One statement per transaction carries all that changed."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import RowMapping, text

from paper_venue.adapters import sql
from paper_venue.domain.floor import Changes, MarketRecord, entry_id_of
from paper_venue.domain.intervals import Interval
from paper_venue.domain.tape import Kline
from paper_venue.ports import Page, Snapshot, StoredTrade
from sigmax.domain.trading_rules import TradingRules
from sigmax.domain.venue_orders import OrderKind, VenueOrder, VenueTrade
from sigmax.domain.wallet import Balance
from sigmax.runtime.database import Database
from sigmax.schemas.market import base_of, moment, nanoseconds, quote_of
from sigmax.schemas.types import OrderStatus, Side, TimeInForce

_ROWS_MAX = 1000
_TEXTS = frozenset({"instrument_id", "base", "quote"})


class PostgresStore:
    """Reads and writes the schema `paper_venue`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # One statement is one transaction: without BEGIN and COMMIT an order waits for one round trip, not for three.
        self._at_once = database.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def load(self) -> Snapshot:
        """Read the whole state in one transaction."""
        async with self._database.transaction() as unit:
            session = unit.session
            await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            next_ids = (await session.execute(sql.NEXT_IDS)).one()
            snapshot = Snapshot(next_order_id=next_ids[0], next_trade_id=next_ids[1])
            for account_id, asset, free, locked in await session.execute(sql.BALANCES):
                balances = snapshot.balances.setdefault(account_id, {})
                if asset is not None:
                    balances[asset] = Balance(free, locked)
            rows = (await session.execute(sql.OPEN_ORDERS)).mappings()
            snapshot.open_orders = [_order(row) for row in rows]
            running = {row["instrument_id"]: _kline(row) for row in (await session.execute(sql.RUNNING)).mappings()}
            slots: dict[str, list[Kline]] = {}
            for row in (await session.execute(sql.DAY_SLOTS)).mappings():
                slots.setdefault(row["instrument_id"], []).append(_kline(row))
            for row in (await session.execute(sql.MARKETS)).mappings():
                name = row["instrument_id"]
                bars = (running[name],) if name in running else ()
                snapshot.markets.append(_market(row, bars, tuple(slots.get(name, ()))))
            positions = (await session.execute(sql.POSITIONS)).all()
            snapshot.positions = {row.stream: row.entry_id for row in positions}
        return snapshot

    async def open_account(self, account_id: str, opening: dict[str, Decimal]) -> None:
        """Make the account with its opening balances, unless it is there."""
        async with self._database.transaction() as unit:
            created = await unit.session.execute(sql.CREATE_ACCOUNT, {"account_id": account_id})
            if created.first() is None:
                return
            for asset, amount in opening.items():
                values = {"account_id": account_id, "asset": asset, "amount": amount}
                await unit.session.execute(sql.OPENING_BALANCE, values)
                await unit.session.execute(sql.DEPOSIT, values | {"reason": "opening balance"})

    async def record(self, changes: Changes) -> None:
        """Store changes in one transaction; raises when it did not, or may not have, committed."""
        document = orjson.dumps(_document(changes)).decode()
        async with self._at_once.connect() as connection:
            await connection.execute(sql.RECORD, {"changes": document})

    async def find_order(
        self, account_id: str, instrument_id: str, order_id: int | None, client_order_id: str | None
    ) -> VenueOrder | None:
        """Give the newest order that fits both names, open or not."""
        statement = sql.ORDER_BY_ID if order_id is not None else sql.ORDER_BY_CLIENT_ID
        values = {"account_id": account_id, "instrument_id": instrument_id}
        values |= {"order_id": order_id} if order_id is not None else {"client_order_id": client_order_id}  # type: ignore[dict-item]
        async with self._database.reading() as session:
            row = (await session.execute(statement, values)).mappings().first()
        if row is None or client_order_id not in {None, row["client_order_id"]}:
            return None
        return _order(row)

    async def orders(self, account_id: str, instrument_id: str, page: Page) -> list[VenueOrder]:
        """Give an account's orders of one instrument, in ascending order."""
        values = {"account_id": account_id, "instrument_id": instrument_id} | _bounds(page)
        async with self._database.reading() as session:
            rows = (await session.execute(sql.orders_page(is_from_start=_is_from_start(page)), values)).mappings().all()
        return sorted((_order(row) for row in rows), key=lambda order: order.order_id)

    async def trades(self, account_id: str, instrument_id: str, page: Page) -> list[StoredTrade]:
        """Give an account's fills of one instrument, in ascending order."""
        values = {"account_id": account_id, "instrument_id": instrument_id, "order_id": page.order_id} | _bounds(page)
        async with self._database.reading() as session:
            rows = (await session.execute(sql.trades_page(is_from_start=_is_from_start(page)), values)).mappings().all()
        return sorted((_trade(row) for row in rows), key=lambda stored: stored.trade.trade_id)

    async def klines(self, instrument_id: str, interval: Interval, page: Page) -> list[Kline]:
        """Give bars of at least a minute, in ascending order."""
        values = _bounds(page) | {"instrument_id": instrument_id, "seconds": interval.seconds or 0}
        statement = sql.klines_page(is_from_start=_is_from_start(page), is_month=interval.seconds is None)
        async with self._database.reading() as session:
            rows = (await session.execute(statement, values)).mappings().all()
        return sorted((_kline(row) for row in rows), key=lambda bar: bar.open_ns)

    async def forget_klines(self, days: int) -> None:
        """Delete minutes that were last written more than so many days ago."""
        async with self._database.transaction() as unit:
            await unit.session.execute(sql.FORGET_KLINES, {"days": days})


def _is_from_start(page: Page) -> bool:
    return page.start_ns is not None or page.from_id is not None


def _bounds(page: Page) -> dict[str, Any]:
    return {
        "limit": min(page.limit, _ROWS_MAX),
        "from_id": page.from_id,
        "start_at": _moment(page.start_ns),
        "end_at": _moment(page.end_ns),
    }


def _moment(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else moment(at_ns)


def _document(changes: Changes) -> dict[str, Any]:
    return {
        "new_orders": [_order_row(order) for order in changes.new_orders],
        "changed_orders": [_order_row(order) for order in changes.changed_orders],
        "trades": [_trade_row(order, trade) for order, trade in changes.trades],
        "balances": [
            {"account_id": each.account_id, "asset": each.asset, "free": str(each.balance.free)}
            | {"locked": str(each.balance.locked)}
            for each in changes.balances
        ],
        "markets": [_market_row(market) for market in changes.markets],
        "klines": [_kline_row(market.rules.instrument_id, bar) for market in changes.markets for bar in market.bars],
        "streams": [{"stream": stream, "entry_id": entry} for stream, entry in changes.positions.items()],
        "deposits": [
            {"account_id": account_id, "asset": asset, "amount": str(amount), "reason": reason}
            for account_id, asset, amount, reason in changes.deposits
        ],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _order_row(order: VenueOrder) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "account_id": order.account_id,
        "client_order_id": order.client_order_id,
        "instrument_id": order.instrument_id,
        "symbol": base_of(order.instrument_id) + quote_of(order.instrument_id),
        "side": order.side.value,
        "type": order.kind.value,
        "time_in_force": order.time_in_force.value,
        "price": _text(order.price),
        "orig_qty": str(order.quantity),
        "orig_quote_order_qty": _text(order.notional),
        "executed_qty": str(order.filled),
        "cummulative_quote_qty": str(order.filled_notional),
        "status": order.status.value,
        "time": moment(order.created_ns),
        "update_time": moment(order.updated_ns),
        "stop_price": _text(order.stop_price),
        "triggered_at": _moment(order.triggered_ns),
    }


def _trade_row(order: VenueOrder, trade: VenueTrade) -> dict[str, Any]:
    return {
        "trade_id": trade.trade_id,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "account_id": order.account_id,
        "instrument_id": order.instrument_id,
        "symbol": base_of(order.instrument_id) + quote_of(order.instrument_id),
        "side": order.side.value,
        "price": str(trade.price),
        "qty": str(trade.quantity),
        "quote_qty": str(trade.notional),
        "commission": str(trade.commission),
        "commission_asset": trade.commission_asset,
        "is_maker": trade.is_maker,
        "time": moment(trade.executed_ns),
    }


def _market_row(market: MarketRecord) -> dict[str, Any]:
    rules = market.rules
    return {
        "instrument_id": rules.instrument_id,
        "symbol": rules.symbol,
        "rules": {name: _plain(getattr(rules, name)) for name in TradingRules.__dataclass_fields__},
        "last_price": _text(market.last),
        "state": {
            "sizes": [str(size) for size in market.sizes],
            "eaten": {side.value: str(eaten) for side, eaten in market.eaten.items()},
            "update_id": market.update_id,
            "next_trade_id": market.next_trade_id,
            "sequence": market.sequence,
            "received_ns": market.received_ns,
            "market_ns": market.market_ns,
        },
        "entry_id": f"{market.entry_id[0]}-{market.entry_id[1]}",
        "market_at": moment(market.market_ns),
    }


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def _kline_row(instrument_id: str, bar: Kline) -> dict[str, Any]:
    return {
        "instrument_id": instrument_id,
        "open_at": moment(bar.open_ns),
        "open": str(bar.open),
        "high": str(bar.high),
        "low": str(bar.low),
        "close": str(bar.close),
        "volume": str(bar.volume),
        "quote_volume": str(bar.quote_volume),
        "trades": bar.trades,
        "taker_volume": str(bar.taker_volume),
        "taker_quote_volume": str(bar.taker_quote_volume),
    }


def _order(row: RowMapping) -> VenueOrder:
    return VenueOrder(
        order_id=row["order_id"],
        account_id=row["account_id"],
        instrument_id=row["instrument_id"],
        client_order_id=row["client_order_id"],
        side=Side(row["side"]),
        kind=OrderKind(row["type"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        quantity=row["orig_qty"],
        price=row["price"],
        notional=row["orig_quote_order_qty"],
        status=OrderStatus(row["status"]),
        created_ns=nanoseconds(row["time"]),
        updated_ns=nanoseconds(row["update_time"]),
        filled=row["executed_qty"],
        filled_notional=row["cummulative_quote_qty"],
        stop_price=row["stop_price"],
        triggered_ns=None if row["triggered_at"] is None else nanoseconds(row["triggered_at"]),
    )


def _trade(row: RowMapping) -> StoredTrade:
    trade = VenueTrade(
        trade_id=row["trade_id"],
        price=row["price"],
        quantity=row["qty"],
        notional=row["quote_qty"],
        commission=row["commission"],
        commission_asset=row["commission_asset"],
        is_maker=row["is_maker"],
        executed_ns=nanoseconds(row["time"]),
    )
    return StoredTrade(row["order_id"], row["side"] == Side.BUY.value, trade)


def _kline(row: RowMapping) -> Kline:
    return Kline(
        open_ns=nanoseconds(row["open_at"]),
        open=row["open"],
        high=row["high"],
        low=row["low"],
        close=row["close"],
        volume=row["volume"],
        quote_volume=row["quote_volume"],
        trades=int(row["trades"]),
        taker_volume=row["taker_volume"],
        taker_quote_volume=row["taker_quote_volume"],
    )


def _market(row: RowMapping, bars: tuple[Kline, ...], slots: tuple[Kline, ...]) -> MarketRecord:
    state: Mapping[str, Any] = row["state"]
    rules: Mapping[str, Any] = row["rules"]
    return MarketRecord(
        rules=TradingRules(**{name: _read(name, value) for name, value in rules.items()}),
        last=row["last_price"],
        sizes=tuple(Decimal(size) for size in state["sizes"]),
        eaten={Side(side): Decimal(eaten) for side, eaten in state["eaten"].items()},
        update_id=state["update_id"],
        next_trade_id=state["next_trade_id"],
        entry_id=entry_id_of(row["entry_id"]),
        sequence=state["sequence"],
        received_ns=state["received_ns"],
        market_ns=state["market_ns"],
        bars=bars,
        slots=slots,
    )


def _read(name: str, value: Any) -> Any:
    """Turn back what `_plain` wrote."""
    return Decimal(value) if isinstance(value, str) and name not in _TEXTS else value
