"""Deposits and withdrawals made beside the platform: booked when two people say so and the venue shows it.

The books take in what is there when they first meet an asset, so a deposit can be in them already, or have come a
moment too late for that. What the venue has more or less than the books decides, and never the command alone.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

import structlog

from order_worker.domain.booking import Transaction
from order_worker.domain.reconciling import NOTHING
from order_worker.handlers.desk import Desk
from order_worker.handlers.reconciling import CLOCKS, reconcile
from order_worker.ports import PagePort, VenueError
from sigmax.domain.ledger import LedgerAccount, transfer
from sigmax.domain.two_people import second_person_problem
from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.market import base_of
from sigmax.schemas.types import AlertLevel, Scope

log = structlog.get_logger()


@dataclass(frozen=True)
class _Shown:
    """What the venue said it has, by asset; None where it did not answer."""

    balances: dict[str, Decimal] | None
    asked_at: datetime


class _RefusedError(Exception):
    """The command cannot be carried out. The text says why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


async def on_command(command: Command, desk: Desk) -> None:
    """Book a transfer of this account, once; then compare anew. Other commands are for other services."""
    ours = (Scope.ACCOUNT, desk.terms.account_id)
    if command.command is not CommandName.BOOK_TRANSFER or (command.scope, command.subject) != ours:
        return
    if await desk.books.was_handled(command):
        return  # redelivered: the venue is not asked again
    bases = {base_of(each) for each in (*await desk.books.instruments(), *await desk.instruments.all())}
    asked_at = desk.clock.now()
    try:
        venue = await desk.venue.balances()
    except VenueError as error:
        log.warning("transfer_not_seen", error=str(error))
        venue = None
    async with desk.books.open() as page:
        if not await page.first_time(command):
            return
        try:
            await _enter(page, desk, command, bases, _Shown(venue, asked_at))
        except _RefusedError as refused:
            log.warning("transfer_refused", reason=str(refused), requested_by=command.requested_by)
            page.publish(_refusal(command, desk, refused))
            return
    try:
        await reconcile(desk)
    except VenueError as error:
        log.warning("transfer_not_compared_yet", error=str(error))  # the next comparison is a minute away


async def _enter(page: PagePort, desk: Desk, command: Command, bases: set[str], shown: _Shown) -> None:
    now = desk.clock.now()
    if (alone := second_person_problem(command, now)) is not None:
        raise _RefusedError("second_person_missing", alone)
    asset, amount = command.values.get("asset", ""), _amount(command.values.get("amount", ""))
    await page.lock_account()
    if asset not in await page.met_assets():
        raise _RefusedError("transfer_refused", f"the books have not met {asset}: what is there is taken in by itself")
    if shown.balances is None:
        raise _RefusedError("transfer_refused", "the venue does not answer; ask again when it does")
    ours = (await page.balances(shown.asked_at - CLOCKS)).get(asset, NOTHING)
    gap = ours.gap(shown.balances.get(asset, Decimal(0)))
    if abs(gap - amount) >= abs(gap):
        why = f"the venue has {gap} {asset} more than the books" if gap else f"books and venue agree on {asset}"
        raise _RefusedError("transfer_refused", f"{why}: {amount} would not explain it")
    home = LedgerAccount.HOLDING if asset in bases else LedgerAccount.CASH
    reason = f"transfer by {command.requested_by}, approved by {command.approved_by}: {command.reason}"
    entries = transfer(home, LedgerAccount.TRANSFER, asset, amount)
    await page.add_transactions([Transaction(command.message_id, entries, now, reason)], now)
    log.info("transfer_booked", asset=asset, amount=str(amount))


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not amount:
        raise _RefusedError("transfer_refused", f"{text[:50]!r} is no amount")
    return amount


def _refusal(command: Command, desk: Desk, refused: _RefusedError) -> Alert:
    return Alert(
        **Alert.after(command, desk.clock.now(), part=refused.code),
        producer="order_worker",
        level=AlertLevel.WARNING,
        code=refused.code,
        subject=desk.terms.account_id,
        text=f"The transfer was not booked: {refused}."[:2000],
        values={"requested_by": command.requested_by, "command_id": str(command.message_id)},
        dedupe_key=f"{refused.code}:{command.message_id}",
    )
