"""The commands with which people steer a running stack: less trading at one person's word, more at two."""

import asyncio
import json
import re
import time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import RenderableType

from sigmax.schemas.types import Posture, Scope, Stage
from sigmax_local import people, steering_view
from sigmax_local.gateway import Gateway, GatewayError
from sigmax_local.stacks import AsOption, StackOption
from sigmax_local.steering_talk import console, give, outcome, settled, show, talk_with

_AUTOMATIC = "auto"
_FLAT_WITHIN_S = 60.0
_POLL_S = 0.5
_ASSET = re.compile(r"[A-Z0-9]{1,16}")

app = typer.Typer(rich_markup_mode="rich")


class Direction(StrEnum):
    """Which way money went beside the platform."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


ScopeOption = Annotated[Scope, typer.Option("--scope", help="What it is about; with all but global, say --id too.")]
IdOption = Annotated[str, typer.Option("--id", help="The account, strategy, instrument, or venue: ema-cross, paper.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit.")]
WhyOption = Annotated[
    str, typer.Option("--reason", help="Why; it is kept in the audit, and the second person reads it.")
]
AccountOption = Annotated[str, typer.Option("--account", help="The trading account.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask whether you mean it.")]


@app.command()
def halt(
    context: typer.Context,
    *,
    scope: ScopeOption = Scope.GLOBAL,
    scope_id: IdOption = "",
    reason: ReasonOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Stop all sends and take open orders off the venue. One person suffices; it survives restarts.

    Coming back takes `sigmax resume` three times, and a second person for the first.

    Examples: sigmax halt --reason "a drill"   ·   sigmax halt --scope strategy --id ema-cross
    """
    give(context, stack, login, "POST", "/risk/halt", body=_scoped(scope, scope_id, reason))


@app.command()
def resume(
    context: typer.Context,
    *,
    scope: ScopeOption = Scope.GLOBAL,
    scope_id: IdOption = "",
    reason: ReasonOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Let trading come back one step: locked, halted, reducing, caution, normal.

    Out of locked and halted it waits for a second person, see sigmax approve. The risk gate wants books that were
    compared with the venue's in the last two minutes, and agreed.

    Example: sigmax resume --reason "the drill is over", then as another person: sigmax approve --as mina
    """
    give(context, stack, login, "POST", "/risk/resume", body=_scoped(scope, scope_id, reason))


@app.command()
def flatten(
    context: typer.Context,
    *,
    scope: ScopeOption = Scope.GLOBAL,
    scope_id: IdOption = "",
    everything: Annotated[bool, typer.Option(help="Also sell what no strategy bought.")] = False,
    reason: ReasonOption = "",
    yes: YesOption = False,
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Cancel every order and sell what is held. One person suffices; it ends flat, or says what is left and why.

    Exit status 0 says that it ended flat; it is waited for a minute.

    Example: sigmax flatten --scope account --id paper --reason "leaving for the weekend"
    """
    body = _scoped(scope, scope_id, reason)
    if not yes:
        typer.confirm(f"Cancel and sell everything of {body['scope']} {body['scope_id']}?", abort=True)
    give(context, stack, login, "POST", "/risk/flatten", body={**body, "everything": everything}, told=_left)


@app.command()
def stage(
    context: typer.Context,
    *,
    to: Annotated[Stage | None, typer.Argument(help="Any stricter one, or the next less strict one.")] = None,
    scope: ScopeOption = Scope.GLOBAL,
    scope_id: IdOption = "",
    reason: ReasonOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Show how much is traded, or set it: down at once, up one step at a time.

    normal trades; caution trades half sizes and nothing new; reducing only lowers exposure; halted sends nothing;
    locked does not even cancel.

    Examples: sigmax stage   ·   sigmax stage reducing --scope account --id paper --reason "news"
    """
    if to is None:
        show(context, stack, login, "/risk/stages", steering_view.stages)
    else:
        give(context, stack, login, "PUT", "/risk/stage", body={**_scoped(scope, scope_id, reason), "stage": to.value})


@app.command()
def posture(
    context: typer.Context,
    *,
    to: Annotated[
        str | None, typer.Argument(help=f"{', '.join(Posture)}, or {_AUTOMATIC}: the market decides.")
    ] = None,
    account: AccountOption = "paper",
    reason: ReasonOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Show how boldly each account trades, or choose it; within the limits one person suffices.

    Examples: sigmax posture   ·   sigmax posture defensive --account paper   ·   sigmax posture auto
    """
    if to is None:
        show(context, stack, login, "/risk/postures", steering_view.postures)
        return
    if to not in {_AUTOMATIC, *Posture}:
        raise typer.BadParameter(f"{to} is none of {', '.join(Posture)}, {_AUTOMATIC}.")
    body = {"account_id": account, "posture": None if to == _AUTOMATIC else to, "reason": reason}
    give(context, stack, login, "PUT", "/risk/posture", body=body)


@app.command()
def limits(
    context: typer.Context,
    *,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="Values as JSON; plain text needs no quotes.")
    ] = None,
    account: AccountOption = "paper",
    reason: WhyOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Show an account's limits, or change some; every change waits for a second person.

    Examples: sigmax limits   ·   sigmax limits order_notional_max=5000 leverage_max=1 --reason "smaller for now"
    """
    if not changes:
        show(context, stack, login, "/risk/limits", lambda found: steering_view.limits(found, account))
        return
    body = {"account_id": account, "values": dict(map(_change, changes)), "reason": _given(reason)}
    give(context, stack, login, "PUT", "/risk/limits", body=body)


@app.command()
def release(
    context: typer.Context,
    *,
    scope: ScopeOption,
    scope_id: IdOption,
    reason: WhyOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Take the latches off a strategy, instrument, or account that a control locked. It waits for a second person.

    Example: sigmax release --scope strategy --id ema-cross --reason "the feed was doubled; it is mended"
    """
    give(context, stack, login, "POST", "/risk/release", body=_scoped(scope, scope_id, _given(reason)))


@app.command()
def transfer(
    context: typer.Context,
    *,
    direction: Annotated[Direction, typer.Argument()],
    amount: Annotated[str, typer.Argument(help="Above zero.")],
    asset: Annotated[str, typer.Argument(help="USDT, for example.")],
    account: AccountOption = "paper",
    reason: WhyOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Book money that came to the venue's account or went from it. It waits for a second person.

    Nothing is moved: this tells the ledger what was. Until then the books differ from the venue's, and trading stops.

    Example: sigmax transfer deposit 1000 USDT --reason "paid in on Monday"
    """
    try:
        money = Decimal(amount)
    except InvalidOperation:
        money = Decimal("NaN")
    if not money.is_finite() or money <= 0:
        raise typer.BadParameter(f"{amount} is no amount above zero.")
    signed = money if direction is Direction.DEPOSIT else -money
    if not _ASSET.fullmatch(asset.upper()):
        raise typer.BadParameter(f"{asset} is no asset: letters and digits, as USDT.")
    body = {
        "account_id": account,
        "asset": asset.upper(),
        "amount": format(signed, "f"),
        "reason": _given(reason),
    }
    give(context, stack, login, "POST", "/ledger/transfers", body=body)


@app.command()
def identify(
    context: typer.Context,
    *,
    client_order_id: Annotated[str, typer.Argument(help="Of the order; the alert submission_unclear tells it.")],
    venue_order_id: Annotated[str, typer.Argument(help="The venue's own id of it; none: it is none of them.")] = "",
    reason: WhyOption = "",
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Say which of the venue's orders one of ours is, where the venue keeps no ids of ours.

    It waits for a second person.

    Example: sigmax identify sx80de451c3dcf5363a7514e0f236dd8 0000117057 --reason "same minute, same size"
    """
    body = {"venue_order_id": venue_order_id, "reason": _given(reason)}
    give(context, stack, login, "POST", f"/orders/{quote(client_order_id, safe='')}/identify", body=body)


@app.command()
def approvals(context: typer.Context, login: AsOption = people.ADMIN, stack: StackOption = None) -> None:
    """Show what waits for a second person, with exactly what would be done.

    Example: sigmax approvals, then as another person than who asked: sigmax approve --as mina
    """
    show(context, stack, login, "/approvals", steering_view.approvals, is_awaiting="true")


@app.command()
def approve(
    context: typer.Context,
    *,
    request: Annotated[str, typer.Argument(help="The id, or how it begins; needless where only one waits.")] = "",
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no; who asked may take it back so.")] = False,
    yes: YesOption = False,
    login: AsOption = people.ADMIN,
    stack: StackOption = None,
) -> None:
    """Be the second person: see exactly what another one asked for, and approve or refuse it within ten minutes.

    Who trades alone makes a second login for this, on the first day: sigmax user add mina --role admin. It approves
    nothing of who made it before it has a password of its own (sigmax user password --as mina), and for a day.

    Examples: sigmax approve --as mina   ·   sigmax approve 8e03978e --as mina --refuse
    """
    verb = "refuse" if refuse else "approve"

    async def decide(gateway: Gateway) -> Any:
        waiting = (await gateway.get("/approvals", is_awaiting="true"))["items"]
        found = [one for one in waiting if one["approval_id"].startswith(request)]
        if len(found) != 1:
            count = "Nothing waits" if not found else f"{len(found)} requests wait"
            raise GatewayError(f"{count}{f' whose id begins with {request}' if request else ''}: sigmax approvals")
        console.print(steering_view.approvals({"items": found}))
        if not yes:
            await asyncio.to_thread(typer.confirm, f"{verb.capitalize()} exactly this?", abort=True)
        path = f"/approvals/{found[0]['approval_id']}/{verb}"
        await gateway.post(path, {"fingerprint": found[0]["fingerprint"]})
        is_command = found[0]["kind"] == "command" and not refuse
        if is_command:
            return await outcome(gateway, await settled(gateway, found[0]["status_url"]))
        return "Refused." if refuse else "Approved."

    console.print(talk_with(context, stack, login, decide), soft_wrap=True)


def _given(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter('Say why, for the second person to read: --reason "..."')
    return reason


def _scoped(scope: Scope, scope_id: str, reason: str) -> dict[str, str]:
    if (scope is Scope.GLOBAL) == bool(scope_id):
        raise typer.BadParameter("Say --id with --scope account, strategy, instrument, or venue; global has none.")
    return {"scope": scope.value, "scope_id": scope_id or scope.value, "reason": reason}


async def _left(gateway: Gateway, command: dict[str, Any]) -> RenderableType:
    """Wait for the end of a flattening and say how it ended. Raises `GatewayError` where it did not end flat."""
    deadline = time.monotonic() + _FLAT_WITHIN_S
    while True:
        listed = (await gateway.get("/risk/flattenings", limit="20"))["items"]
        found = [one for one in listed if one["flattening_id"] == command["command_id"]]
        is_flat = found[0]["is_flat"] if found else None
        if is_flat is not None or time.monotonic() >= deadline:
            break
        await asyncio.sleep(_POLL_S)
    said = steering_view.flattening(command, found)
    if not is_flat:
        raise GatewayError(said.plain)
    return said


def _change(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text} is not NAME=VALUE.")
    try:
        # Numbers stay text: what a person typed is what two people see and what is stored.
        return name, json.loads(value, parse_float=str)
    except ValueError:
        return name, value
