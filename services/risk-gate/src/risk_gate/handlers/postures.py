"""Keeps each account's posture: by the weather every half hour, by hand, or forced by stops in a row."""

from risk_gate.domain.postures import (
    AUTOMATIC,
    EVALUATED_EVERY,
    FORCED_FOR,
    STOPS_IN_A_ROW,
    PostureCause,
    PostureRow,
    Weather,
    evaluate,
    is_due,
    weather,
)
from risk_gate.domain.stages import PLATFORM
from risk_gate.handlers.refusing import people_of, refusal
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.base import Message
from sigmax.schemas.control import Command, PostureChanged
from sigmax.schemas.types import Posture, Scope


async def mind_postures(world: World) -> None:
    """Force what stops in a row force, and ask the weather where it is due. Any replica may."""
    async with world.open_ledger() as ledger:
        accounts = await ledger.postures()
    world.meter.postures({name: posture for name, (posture, _) in accounts.items()})
    now = world.clock.now()
    due = [name for name, (_, row) in accounts.items() if is_due(row, now)]
    seen = weather(await world.feed.vix(), await world.feed.closes(), now) if due else Weather()
    for account_id in accounts:
        async with world.open_ledger() as ledger:
            if await ledger.stops_in_a_row(account_id) >= STOPS_IN_A_ROW:
                await _force(account_id, ledger, world)
            elif account_id in due:
                await _evaluate(account_id, seen, ledger, world)


async def _force(account_id: str, ledger: LedgerPort, world: World) -> None:
    await ledger.reconciled_at(account_id)
    if await ledger.stops_in_a_row(account_id) < STOPS_IN_A_ROW:
        return  # another replica did
    now = world.clock.now()
    before, _ = (await ledger.postures())[account_id]
    reason = f"{STOPS_IN_A_ROW} stop-losses in a row"
    cause = PostureCause.FORCED
    row = PostureRow(account_id, Posture.DEFENSIVE, cause, reason, PLATFORM, now, now + FORCED_FOR)
    await _put(before, row, ledger)


async def _evaluate(account_id: str, seen: Weather, ledger: LedgerPort, world: World) -> None:
    await ledger.reconciled_at(account_id)
    before, known = (await ledger.postures())[account_id]
    now = world.clock.now()
    if is_due(known, now):
        posture, reason = evaluate(seen, before)
        cause = PostureCause.EVALUATED
        await _put(before, PostureRow(account_id, posture, cause, reason, PLATFORM, now, now + EVALUATED_EVERY), ledger)


async def set_posture(command: Command, ledger: LedgerPort, world: World) -> None:
    """Take a posture by hand, until somebody changes it; or give it back to the weather, which is asked at once."""
    wanted = command.values.get("posture", AUTOMATIC)
    if wanted not in {AUTOMATIC, *Posture}:
        ledger.publish(refusal(command, "posture_refused", f"there is no posture {wanted!r}", world))
        return
    await ledger.lock_accounts()
    now = world.clock.now()
    known = await ledger.postures()
    accounts = [name for name in known if command.scope is Scope.GLOBAL or name == command.subject]
    if not accounts:
        ledger.publish(refusal(command, "posture_refused", "no such account is known", world))
    reason = command.reason.replace("\x00", "") or f"set_posture by {command.requested_by}"
    for account_id in accounts:
        before, _ = known[account_id]
        is_automatic = wanted == AUTOMATIC
        row = PostureRow(
            account_id=account_id,
            posture=before if is_automatic else Posture(wanted),
            cause=PostureCause.RELEASED if is_automatic else PostureCause.BY_HAND,
            reason=reason,
            changed_by=people_of(command),
            changed_at=now,
            evaluate_at=now if is_automatic else None,
        )
        await _put(before, row, ledger, command)


async def _put(before: Posture, row: PostureRow, ledger: LedgerPort, cause: Message | None = None) -> None:
    """Keep a posture, and tell of it when it is another one, or when a person asked."""
    await ledger.add_posture(row)
    if before is row.posture and cause is None:
        return
    key = f"{row.account_id}:{row.changed_at.isoformat()}"
    at = row.changed_at
    envelope = PostureChanged.first(key, at) if cause is None else PostureChanged.after(cause, at, part=key)
    ledger.publish(
        PostureChanged(
            **envelope,
            account_id=row.account_id,
            from_posture=before,
            to_posture=row.posture,
            changed_by=row.changed_by[:64],
            reason=row.reason,
        )
    )
