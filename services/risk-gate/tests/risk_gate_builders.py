"""Builders of everything risk-gate meets: each shows only what matters to its test."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from risk_gate.domain.limits import START_LIMITS, RiskLimits
from risk_gate.domain.situation import Account, Book, Situation, StageRow
from sigmax.schemas.control import Command
from sigmax.schemas.market import Instrument, Quote, nanoseconds
from sigmax.schemas.orders import CashBalance, Fill, OrderApproved, OrderEvent, PositionChanged, Reconciled
from sigmax.schemas.signals import Decision, JudgementRequested, Signal
from sigmax.schemas.types import Posture

NOW = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
BTC = "BTC/USDT@binance"
ETH = "ETH/USDT@binance"
KEY = b"a key of at least thirty-two bytes, for tests alone"
_ROOT = UUID("12345678-1234-5678-1234-567812345678")


def an_id(name: str) -> UUID:
    return uuid5(_ROOT, name)


def an_envelope(name: str, at: datetime = NOW) -> dict[str, Any]:
    return {"message_id": an_id(name), "correlation_id": an_id(f"chain of {name}"), "occurred_at": at}


def a_signal(name: str = "signal", **changes: Any) -> Signal:
    at = changes.pop("at", NOW)
    fields: dict[str, Any] = {
        **an_envelope(name, at),
        "strategy_id": "ema",
        "strategy_version": 1,
        "account_id": "paper",
        "instrument_id": BTC,
        "action": "buy",
        "strength": "1",
        "reference_price": "100",
        "reason": "test",
        "snapshot_id": an_id("snapshot"),
        "market_time": at,
        "tick_received_at": at,
        "valid_until": at + timedelta(seconds=30),
    }
    return Signal(**(fields | changes))


def a_request(signal: Signal, **changes: Any) -> JudgementRequested:
    fields = {
        **an_envelope(f"request {signal.message_id}"),
        "signal": signal,
        "snapshot": {},
        "deadline_at": signal.occurred_at + timedelta(seconds=4),
    }
    return JudgementRequested(**(fields | changes))


def a_decision(request: JudgementRequested, **changes: Any) -> Decision:
    signal = request.signal
    fields = {
        **an_envelope(f"decision {signal.message_id}"),
        "request_id": request.message_id,
        "signal_id": signal.message_id,
        "strategy_id": signal.strategy_id,
        "instrument_id": signal.instrument_id,
        "policy": "local",
        "verdict": "approve",
        "answers": (),
        "confidence": "0.9",
        "reasons": ("fits",),
    }
    return Decision(**(fields | changes))


def an_instrument(**changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "instrument_id": BTC,
        "base": "BTC",
        "quote": "USDT",
        "market": "binance",
        "tick_size": Decimal("0.01"),
        "lot_size": Decimal("0.001"),
        "quantity_min": Decimal("0.001"),
        "notional_min": Decimal(5),
        "asset_class": "crypto",
    }
    return Instrument(**(fields | changes))


def a_quote(instrument_id: str = BTC, last: str = "100", *, age: timedelta = timedelta(0), **changes: Any) -> Quote:
    received_ns = nanoseconds(changes.pop("at", NOW) - age)
    fields: dict[str, Any] = {
        "instrument_id": instrument_id,
        "last": Decimal(last),
        "bid": None,
        "ask": None,
        "ts_ns": received_ns,
        "received_ns": received_ns,
        "minute_volume": Decimal(10_000),
    }
    return Quote(**(fields | changes))


def some_limits(**changes: Any) -> RiskLimits:
    """The start values, with every entry through the market and nobody to be told: tests of those ask for them."""
    plain = {"posture_limit_share_pct": dict.fromkeys(Posture, 0), "alerting_required": False}
    return RiskLimits.model_validate(START_LIMITS.model_dump() | plain | changes)


def an_account(**changes: Any) -> Account:
    fields: dict[str, Any] = {
        "account_id": "paper",
        "venue": "paper",
        "mode": "paper",
        "currency": "USDT",
        "reconciled_at": NOW,
        "reconciliation_passed": True,
    }
    return Account(**(fields | changes))


NORMAL = (StageRow("global", "global", "normal"), StageRow("account", "paper", "normal"))


def a_situation(**changes: Any) -> Situation:
    """An account with 100 000 USDT, reconciled now, and a fresh price of 100."""
    fields: dict[str, Any] = {
        "account": an_account(),
        "limits": some_limits(),
        "stages": NORMAL,
        "book": Book(cash=Decimal(100_000)),
        "instrument": an_instrument(),
        "quotes": {BTC: a_quote()},
    }
    return Situation(**(fields | changes))


def a_fill(execution_id: str, quantity: str, **changes: Any) -> Fill:
    at = changes.pop("at", NOW)
    fields: dict[str, Any] = {
        **an_envelope(f"fill {execution_id}", at),
        "execution_id": execution_id,
        "client_order_id": "order",
        "venue_order_id": "1",
        "signal_id": an_id("signal"),
        "account_id": "paper",
        "venue": "paper",
        "strategy_id": "ema",
        "instrument_id": BTC,
        "side": "buy",
        "price": "100",
        "quantity": quantity,
        "fee": "0",
        "fee_currency": "USDT",
        "liquidity": "taker",
        "executed_at": at,
    }
    return Fill(**(fields | changes))


def an_event(sequence: int, status: str, filled: str = "0", **changes: Any) -> OrderEvent:
    quantity = Decimal(changes.get("quantity", "10"))
    is_over = status in {"filled", "canceled", "rejected", "expired", "unplaced"}
    order = changes.get("client_order_id", "order")
    fields: dict[str, Any] = {
        **an_envelope(f"event {order} {sequence}"),
        "client_order_id": order,
        "sequence": sequence,
        "signal_id": an_id("signal"),
        "account_id": "paper",
        "venue": "paper",
        "strategy_id": "ema",
        "instrument_id": BTC,
        "side": "buy",
        "order_type": "limit",
        "quantity": quantity,
        "status": status,
        "submission": "acked",
        "filled_quantity": filled,
        "leaves_quantity": Decimal(0) if is_over else quantity - Decimal(filled),
    }
    return OrderEvent(**(fields | changes))


def an_event_of(approved: OrderApproved, sequence: int, status: str, filled: str = "0", **changes: Any) -> OrderEvent:
    fields = {
        "client_order_id": approved.client_order_id,
        "signal_id": approved.signal_id,
        "strategy_id": approved.strategy_id,
        "instrument_id": approved.instrument_id,
        "side": approved.side,
        "quantity": approved.quantity,
    }
    return an_event(sequence, status, filled, **(fields | changes))


def a_fill_of(approved: OrderApproved, execution_id: str, quantity: str, **changes: Any) -> Fill:
    fields = {
        "client_order_id": approved.client_order_id,
        "signal_id": approved.signal_id,
        "strategy_id": approved.strategy_id,
        "instrument_id": approved.instrument_id,
        "side": approved.side,
        "price": approved.limit_price,
    }
    return a_fill(execution_id, quantity, **(fields | changes))


def a_position(sequence: int, quantity: str, cash: str, **changes: Any) -> PositionChanged:
    fields: dict[str, Any] = {
        **an_envelope(f"position {sequence}"),
        "account_id": "paper",
        "instrument_id": BTC,
        "sequence": sequence,
        "quantity": quantity,
        "average_price": "100",
        "realized_pnl": "0",
        "cash": {"USDT": CashBalance(total=Decimal(cash), settled=Decimal(cash))},
    }
    return PositionChanged(**(fields | changes))


def a_reconciliation(name: str = "reconciled", cash: str = "100000", **changes: Any) -> Reconciled:
    as_of = changes.get("as_of", NOW)
    fields: dict[str, Any] = {
        **an_envelope(name, as_of),
        "account_id": "paper",
        "venue": "paper",
        "mode": "paper",
        "passed": True,
        "cash": {"USDT": CashBalance(total=Decimal(cash), settled=Decimal(cash))},
        "positions": {},
        "differences": (),
        "as_of": as_of,
    }
    return Reconciled(**(fields | changes))


def a_command(command: str, **changes: Any) -> Command:
    name = changes.pop("name", command)
    fields: dict[str, Any] = {
        **an_envelope(f"command {name}", changes.pop("at", NOW)),
        "command": command,
        "subject": "global",
        "requested_by": "ada",
        "reason": "test",
    }
    return Command(**(fields | changes))
