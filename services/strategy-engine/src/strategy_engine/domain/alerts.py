"""What people are told."""

from datetime import datetime

from sigmax.schemas.control import Alert, Command
from sigmax.schemas.types import AlertLevel
from strategy_engine.domain.desk import Coarse, Fault
from strategy_engine.domain.signals import event_key
from strategy_engine.domain.spec import Spec

PRODUCER = "strategy_engine"


def paused(fault: Fault, now: datetime) -> Alert:
    """Tell that a strategy was paused at a bar, and why."""
    spec = fault.spec
    return Alert(
        **Alert.first(f"{PRODUCER}:paused:{spec.strategy_id}:{spec.version}:{event_key(fault.bar)}", now),
        producer=PRODUCER,
        level=AlertLevel.DANGER,
        code="strategy_paused",
        subject=spec.strategy_id,
        text=f"{spec.strategy_id} was paused: {fault.text}. Its positions stay as they are; mend it, then activate it.",
        values={"instrument_id": fault.bar.instrument_id, "version": str(spec.version), "kind": spec.kind},
        dedupe_key=f"strategy_paused:{spec.strategy_id}",
    )


def unusable(spec: Spec, text: str, now: datetime) -> Alert:
    """Tell that a strategy was paused before it saw a bar, because it cannot be made from what is stored."""
    return Alert(
        **Alert.first(f"{PRODUCER}:unusable:{spec.strategy_id}:{spec.version}:{now.isoformat()}", now),
        producer=PRODUCER,
        level=AlertLevel.DANGER,
        code="strategy_paused",
        subject=spec.strategy_id,
        text=f"{spec.strategy_id} was paused: {text[:1000]}. Mend its parameters, then activate it.",
        values={"version": str(spec.version), "kind": spec.kind},
        dedupe_key=f"strategy_paused:{spec.strategy_id}",
    )


def coarse(told: Coarse, now: datetime) -> Alert:
    """Tell that a strategy runs on longer bars than it asked for, because the data has no shorter ones."""
    spec, given_s = told.spec, told.bar.timeframe_s
    return Alert(
        **Alert.first(f"{PRODUCER}:coarse:{spec.strategy_id}:{spec.version}:{given_s}", now),
        producer=PRODUCER,
        level=AlertLevel.INFO,
        code="timeframe_coarser",
        subject=spec.strategy_id,
        text=f"{spec.strategy_id} asks for bars of {spec.timeframe_s} s; the data has none shorter than {given_s} s,"
        " and those are used.",
        values={"wanted_s": str(spec.timeframe_s), "given_s": str(given_s)},
        dedupe_key=f"timeframe_coarser:{spec.strategy_id}:{given_s}",
    )


def refused(command: Command, why: str, now: datetime) -> Alert:
    """Tell that a command changed nothing, and what was wrong with it."""
    return Alert(
        **Alert.after(command, now, part=PRODUCER),
        producer=PRODUCER,
        level=AlertLevel.WARNING,
        code="command_refused",
        subject=command.subject or "strategies",
        text=f"{command.command} for {command.subject} changed nothing: {why[:1000]}.",
        values={"requested_by": command.requested_by},
        dedupe_key=f"command_refused:{command.message_id}",
    )
