"""From a strategy's wish to the messages that carry it. Every id derives from the market event and the strategy."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.market import Bar, moment
from sigmax.schemas.signals import JudgementRequested, Signal
from strategy_engine.domain.desk import Wished

_STRENGTH_STEP = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Draft:
    """A signal with all that is stored or sent with it."""

    signal: Signal
    features: dict[str, str]
    request: JudgementRequested | None
    """None: straight to risk-gate."""
    seen_quantity: Decimal
    """What the strategy believed to hold: if the books say otherwise by now, its wish is void."""


def draft(wished: Wished, now: datetime, valid_s: float, judgement_s: float) -> Draft:
    """Turn a wish into its signal, and into a request where the strategy asks for judgement.

    The signal is valid for `valid_s` from when the collector had the event, not from now: a wish found while catching
    up after an outage is as old as its price.
    """
    spec, bar, wish = wished.spec, wished.bar, wished.wish
    received_at = moment(bar.received_ns)
    key = f"{spec.strategy_id}:{spec.version}:{event_key(bar)}:{wish.action}"
    envelope = Signal.first(key, now, correlation_of(bar))
    signal = Signal(
        **envelope,
        strategy_id=spec.strategy_id,
        strategy_version=spec.version,
        account_id=spec.account_id,
        instrument_id=bar.instrument_id,
        action=wish.action,
        strength=Decimal(str(wish.strength)).quantize(_STRENGTH_STEP),
        reference_price=bar.close,
        stop_pct=_percent(spec.params.get("stop_pct")),
        target_pct=_percent(spec.params.get("target_pct")),
        reason=wish.reason,
        snapshot_id=uuid5(envelope["message_id"], "snapshot"),
        market_time=moment(bar.close_ns),
        tick_received_at=received_at,
        valid_until=received_at + timedelta(seconds=valid_s),
    )
    features = snapshot(wished)
    request = None
    if spec.asks_judgement:
        deadline_at = min(now + timedelta(seconds=judgement_s), signal.valid_until)
        request = JudgementRequested(
            **JudgementRequested.after(signal, now), signal=signal, snapshot=features, deadline_at=deadline_at
        )
    return Draft(signal, features, request, wished.position.quantity)


def event_key(bar: Bar) -> str:
    """Name the market event that closed a bar: the same for every reader of the stream.

    The time of reception is part of it, so that a recording played again is another market event at the same bar end.
    """
    return f"{bar.instrument_id}:{bar.timeframe_s}:{bar.close_ns}:{bar.received_ns}"


def correlation_of(bar: Bar) -> UUID:
    """Name the chain that begins with a bar: every strategy that acts on it is of the same chain."""
    return uuid5(NAMESPACE, f"market:{event_key(bar)}")


def snapshot(wished: Wished) -> dict[str, str]:
    """Give what the strategy saw, by name and as text: the only figures that a model may cite."""
    bar = wished.bar
    return {
        "timeframe_s": str(bar.timeframe_s),
        "open": _plain(bar.open),
        "high": _plain(bar.high),
        "low": _plain(bar.low),
        "close": _plain(bar.close),
        "volume": _plain(bar.volume),
        "trades": str(bar.trades),
        "position": _plain(wished.position.quantity),
        **{name: f"{value:.10g}" for name, value in wished.wish.features.items()},
    }


def _plain(number: Decimal) -> str:
    return f"{number:f}"


def _percent(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
