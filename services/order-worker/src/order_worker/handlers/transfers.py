"""Deposits and withdrawals made beside the platform: booked because two people say so, then held against the venue."""

from decimal import Decimal, InvalidOperation

import structlog

from order_worker.domain.booking import Transaction
from order_worker.domain.reconciling import NOTHING
from order_worker.handlers.desk import Desk
from order_worker.handlers.reconciling import reconcile
from order_worker.ports import PagePort, VenueError
from sigmax.domain.ledger import LedgerAccount, transfer
from sigmax.domain.two_people import second_person_problem
from sigmax.schemas.control import Alert, Command, CommandName
from sigmax.schemas.market import base_of
from sigmax.schemas.types import AlertLevel, Scope

log = structlog.get_logger()


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
    bases = {base_of(each) for each in (*await desk.books.instruments(), *await desk.instruments.all())}
    async with desk.books.open() as page:
        if not await page.first_time(command):
            return
        try:
            await _enter(page, desk, command, bases)
        except _RefusedError as refused:
            log.warning("transfer_refused", reason=str(refused), requested_by=command.requested_by)
            page.publish(_refusal(command, desk, refused))
            return
    try:
        await reconcile(desk)
    except VenueError as error:
        log.warning("transfer_not_compared_yet", error=str(error))  # the next comparison is a minute away


async def _enter(page: PagePort, desk: Desk, command: Command, bases: set[str]) -> None:
    now = desk.clock.now()
    if (alone := second_person_problem(command, now)) is not None:
        raise _RefusedError("second_person_missing", alone)
    asset, amount = command.values.get("asset", ""), _amount(command.values.get("amount", ""))
    await page.lock_account()
    if asset not in await page.met_assets():
        raise _RefusedError("transfer_refused", f"the books have not met {asset}: what is there is taken in by itself")
    held = (await page.balances(now)).get(asset, NOTHING).total
    if held + amount < 0:
        raise _RefusedError("transfer_refused", f"{-amount} {asset} cannot have gone: the books have {held}")
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
