"""Write the stored example of each message version that has none yet: `python tests/contracts/make_examples.py`.

An example that exists is never touched: it is what older readers and writers were built for.
"""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from sigmax.domain.approval import client_order_id, sign
from sigmax.schemas import control, market, orders, signals
from sigmax.schemas.base import Message
from sigmax.schemas.types import DenialCode, Mode, OrderStatus, Scope, Side, Stage, Submission

FOLDER = Path(__file__).parent / "examples"
NOW = datetime(2026, 1, 5, 9, 30, 0, 125000, tzinfo=UTC)
BTC = "BTC/USDT@binance"
SNAPSHOT = UUID("0b5f7f9c-7c1f-5c0e-8a54-0c1c7e0f3c11")
NS = 1_767_605_400_125_000_000


def messages() -> list[Message]:
    """Give one example of every message on RabbitMQ."""
    signal = signals.Signal(
        **signals.Signal.first("ema-cross:1:BTC/USDT@binance:2026-01-05T09:30:00+00:00:buy", NOW),
        strategy_id="ema-cross",
        strategy_version=1,
        account_id="paper",
        instrument_id=BTC,
        action="buy",
        strength="0.8",
        reference_price="61710.5",
        stop_pct="1.2",
        target_pct="2.4",
        reason="ema(5) 61712.3 crossed above ema(13) 61709.9",
        snapshot_id=SNAPSHOT,
        market_time=NOW,
        tick_received_at=NOW,
        valid_until=NOW.replace(second=10),
    )
    request = signals.JudgementRequested(
        **signals.JudgementRequested.after(signal, NOW),
        signal=signal,
        snapshot={"close": "61710.5", "rsi": "28.4"},
        deadline_at=NOW.replace(second=5),
    )
    answer = signals.Answer(
        role="reviewer", source="local", verdict="approve", confidence="0.7", reasons=("rsi is 28.4",)
    )
    decision = signals.Decision(
        **signals.Decision.after(request, NOW),
        request_id=request.message_id,
        signal_id=signal.message_id,
        strategy_id="ema-cross",
        instrument_id=BTC,
        policy="local",
        verdict="approve",
        answers=(answer,),
        confidence="0.7",
        reasons=("rsi is 28.4",),
    )
    check = orders.Check(control=6, code=DenialCode.NOTIONAL_EXCEEDS_MAX, passed=True, seen="1999.42", limit="10000")
    approved = sign(
        orders.OrderApproved(
            **orders.OrderApproved.after(signal, NOW),
            client_order_id=client_order_id(signal.message_id),
            signal_id=signal.message_id,
            account_id="paper",
            venue="paper",
            mode="paper",
            strategy_id="ema-cross",
            strategy_version=1,
            instrument_id=BTC,
            action="buy",
            side=Side.BUY,
            quantity="0.0324",
            order_type="limit",
            limit_price="62019.05",
            time_in_force="ioc",
            reference_price="61710.5",
            stop_price="60969.97",
            target_price="63191.55",
            valid_until=NOW.replace(second=15),
            tick_received_at=NOW,
            market_time=NOW,
            stage=Stage.NORMAL,
            checks=(check,),
        ),
        b"an example key of thirty-two bytes",
    )
    common = {
        "account_id": "paper",
        "venue": "paper",
        "strategy_id": "ema-cross",
        "instrument_id": BTC,
        "side": Side.BUY,
    }
    event = orders.OrderEvent(
        **orders.OrderEvent.after(approved, NOW, part="2"),
        client_order_id=approved.client_order_id,
        sequence=2,
        signal_id=signal.message_id,
        **common,
        order_type="limit",
        quantity="0.0324",
        limit_price="62019.05",
        status=OrderStatus.FILLED,
        submission=Submission.ACKED,
        filled_quantity="0.0324",
        leaves_quantity="0",
        average_price="61711",
        venue_order_id="17",
    )
    fill = orders.Fill(
        **orders.Fill.after(approved, NOW, part="41"),
        execution_id="41",
        client_order_id=approved.client_order_id,
        venue_order_id="17",
        signal_id=signal.message_id,
        **common,
        price="61711",
        quantity="0.0324",
        fee="0.0000324",
        fee_currency="BTC",
        liquidity="taker",
        executed_at=NOW,
    )
    cash = {"USDT": orders.CashBalance(total="98000.5636", settled="98000.5636")}
    position = orders.PositionChanged(
        **orders.PositionChanged.after(fill, NOW),
        account_id="paper",
        instrument_id=BTC,
        sequence=1,
        quantity="0.0323676",
        average_price="61711",
        realized_pnl="0",
        cash=cash,
    )
    difference = orders.Difference(kind="cash", subject="USDT", ours="98000.5636", venue="98000.56", is_dust=True)
    reconciled = orders.Reconciled(
        **orders.Reconciled.first("paper:2026-01-05T09:30:00", NOW),
        account_id="paper",
        venue="paper",
        mode="paper",
        passed=True,
        cash=cash,
        positions={BTC: Decimal("0.0323676")},
        sequence=1,
        differences=(difference,),
        as_of=NOW,
    )
    command = control.Command(
        **control.Command.first("admin:7f3c", NOW),
        command="halt",
        subject="global",
        requested_by="admin",
        reason="a drill",
    )
    stage = control.StageChanged(
        **control.StageChanged.after(command, NOW),
        scope=Scope.GLOBAL,
        scope_id="global",
        from_stage=Stage.NORMAL,
        to_stage=Stage.HALTED,
        version=2,
        changed_by="admin",
        reason="a drill",
    )
    due = control.JobDue(
        **control.JobDue.first("health_check:2026-01-05T09:30:00", NOW), job="health_check", due_at=NOW
    )
    return [
        signal,
        request,
        decision,
        approved,
        orders.OrderDenied(
            **orders.OrderDenied.after(signal, NOW),
            signal_id=signal.message_id,
            account_id="paper",
            strategy_id="ema-cross",
            instrument_id=BTC,
            action="buy",
            code=DenialCode.NOTIONAL_EXCEEDS_MAX,
            text="the order's notional 12000 USDT exceeds the limit of 10000 USDT",
            checks=(check.model_copy(update={"passed": False, "seen": "12000"}),),
        ),
        orders.CancelRequested(
            **orders.CancelRequested.after(stage, NOW),
            client_order_id=approved.client_order_id,
            account_id="paper",
            requested_by="admin",
            reason="a drill",
        ),
        event,
        fill,
        position,
        reconciled,
        command,
        stage,
        control.PostureChanged(
            **control.PostureChanged.after(command, NOW),
            account_id="paper",
            from_posture="guerrilla",
            to_posture="defensive",
            changed_by="admin",
            reason="three stop-losses in a row",
        ),
        control.Alert(
            **control.Alert.first("order-worker:0", NOW),
            producer="scheduler",
            level="danger",
            code="heartbeat_missing",
            subject="order-worker",
            text="order-worker has not been heard of for 16 s; see its log.",
            values={"silent_s": "16"},
            dedupe_key="heartbeat_missing:order-worker",
        ),
        signals.ExitJudgementRequested(
            **signals.ExitJudgementRequested.first("paper:ema-cross:BTC/USDT@binance:stop_loss:1", NOW),
            exit_id=SNAPSHOT,
            account_id="paper",
            strategy_id="ema-cross",
            instrument_id=BTC,
            kind="stop_loss",
            quantity="0.0324",
            entry_price="61710.5",
            trigger_price="60969.9",
            last_price="60961",
            deadline_at=NOW.replace(second=3),
        ),
        orders.VenueHealth(
            **orders.VenueHealth.first("paper:2026-01-05T09:30:00", NOW),
            account_id="paper",
            venue="paper",
            is_answering=False,
            failing_since=NOW,
            recovering_since=NOW.replace(second=2),
            mode=Mode.PAPER,
            hosts=("127.0.0.1",),
            key_fingerprint="4f" * 8,
            orders_unknown=1,
            as_of=NOW,
        ),
        control.AuditHead(
            **control.AuditHead.first("risk_gate:4711", NOW),
            producer="risk_gate",
            position=4711,
            hash="4f" * 32,
            at=NOW,
        ),
        due,
        control.JobFinished(
            **control.JobFinished.after(due, NOW), producer="scheduler", job="health_check", due_at=NOW, succeeded=True
        ),
    ]


def packed() -> dict[str, market._Packed]:
    """Give one example of everything packed for Redis, by name."""
    price = Decimal("61710.5")
    return {
        "md.ticks": market.TickBatch(
            [BTC], [-2], [-5], [0, 0], [7, 8], [NS, NS + 1], [NS, NS], [6171050, 6171049], [3, 9], [1, -1]
        ),
        "md.bars": market.Bar(BTC, 60, NS, price, price + 2, price - 1, price, Decimal("4.2"), 311, NS),
        "md.latest": market.Quote(BTC, price, None, None, NS, NS, Decimal("4.2")),
        "md.instruments": market.Instrument(
            BTC, "BTC", "USDT", "binance", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"), Decimal(5), "crypto"
        ),
        "ops.heartbeats": market.Heartbeat(
            "risk-gate", "0", "0.1.0", True, NS, NS, {"risk_gate.signal.v1": 0, "risk_gate.dead": 0}, []
        ),
    }


def main() -> None:
    """Write what is missing."""
    FOLDER.mkdir(exist_ok=True)
    for message in messages():
        path = FOLDER / f"{message.TOPIC.replace('*', 'any')}.json"
        if not path.exists():
            path.write_text(json.dumps(json.loads(message.encode()), indent=2) + "\n")
    for name, item in packed().items():
        path = FOLDER / f"{name}.msgpack.hex"
        if not path.exists():
            path.write_text(item.encode().hex() + "\n")


if __name__ == "__main__":
    main()
