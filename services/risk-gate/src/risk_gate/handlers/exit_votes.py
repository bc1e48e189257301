"""Answers of judgement about exits, on the queue that brings those about signals."""

from risk_gate.domain import protection as protections
from risk_gate.domain.protection import Protection, ProtectionState
from risk_gate.handlers import deciding
from risk_gate.handlers.exits import advance
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.signals import Decision
from sigmax.schemas.types import Verdict


async def on_decision(decision: Decision, world: World) -> None:
    """Heed a decision about an exit; one about a signal goes where it always went."""
    async with world.open_ledger() as ledger:
        asked = await ledger.asked_about(decision.signal_id)
        if asked is not None:
            if await ledger.first_time(decision):
                after = await _heed(asked, decision, ledger, world)
            else:
                after = None
    if asked is None:
        await deciding.on_decision(decision, world)
    elif after is not None:
        world.exits.watch.keep(after)


async def _heed(asked: Protection, decision: Decision, ledger: LedgerPort, world: World) -> Protection | None:
    """Let the exit go, or spare the position once: by a clear no, about this very exit, before the deadline."""
    await ledger.lock_account(asked.account_id)
    known = await ledger.protection(asked.protection_id)
    if known is None or known.state is not ProtectionState.ASKING or known.exit_kind is None:
        return None
    if known.exit_id(known.exit_kind) != decision.signal_id:
        return None
    is_in_time = known.asked_until is not None and world.clock.now() < known.asked_until
    is_about_it = (decision.strategy_id, decision.instrument_id) == (known.strategy_id, known.instrument_id)
    if is_in_time and is_about_it and decision.verdict is Verdict.REJECT:
        after = protections.spared(known)
        await ledger.keep_protection(after)
        return after
    if not is_about_it or decision.verdict is Verdict.HOLD:
        return None  # no answer: the deadline decides
    price = known.exit_price or known.entry_price
    return await advance(protections.exiting(known, known.exit_kind, price), None, ledger, world)
