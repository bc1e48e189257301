"""What people ask the platform to do. Each is written down, sent as a message, and answered with where to look."""

from decimal import Decimal
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api_gateway.domain.commands import Wish
from api_gateway.domain.problems import Problem, ProblemKind, not_found
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import CommandView
from api_gateway.handlers.context import CallerDep, GatewayDep
from api_gateway.handlers.desk import DeskDep, Reason
from api_gateway.handlers.parameters import Id, PageDep
from sigmax.schemas.control import CommandName
from sigmax.schemas.types import Scope

router = APIRouter(tags=["commands"])

ParamText = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
ParamNumber = Annotated[Decimal, Field(max_digits=38, allow_inf_nan=False)]
ParamName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class ReasonBody(BaseModel):
    """Why it is asked for; it is kept in the audit."""

    reason: Reason = ""


class IdentityBody(BaseModel):
    """Which of the venue's orders it is."""

    venue_order_id: str = Field(max_length=100, pattern=r"^[A-Za-z0-9_.:/-]*$", examples=["0000117057"])
    """Empty: none of them."""
    reason: Reason = ""


class ParamsBody(BaseModel):
    """New parameters by name; null takes one back to its default, those left out stay."""

    params: dict[ParamName, bool | ParamNumber | ParamText | None] = Field(
        min_length=1, max_length=100, examples=[{"fast": 10, "slow": 30}]
    )
    reason: Reason = ""

    def values(self) -> dict[str, str]:
        """Give the parameters as the message carries them: text."""
        return {name: _text(value) for name, value in self.params.items()}


def _text(value: bool | Decimal | str | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@router.post("/strategies/{strategy_id}/activate", status_code=202)
async def activate_strategy(
    strategy_id: Id,
    desk: DeskDep,
    body: ReasonBody | None = None,
) -> CommandView:
    """Let a strategy make signals, from the next bar on."""
    await desk.own_strategy(strategy_id)
    wish = Wish(CommandName.ACTIVATE_STRATEGY, strategy_id, Scope.STRATEGY, reason=body.reason if body else "")
    return await desk.submit(wish)


@router.post("/strategies/{strategy_id}/stop", status_code=202)
async def stop_strategy(
    strategy_id: Id,
    desk: DeskDep,
    body: ReasonBody | None = None,
) -> CommandView:
    """Let a strategy make no more signals. What it holds stays."""
    await desk.own_strategy(strategy_id)
    wish = Wish(CommandName.STOP_STRATEGY, strategy_id, Scope.STRATEGY, reason=body.reason if body else "")
    return await desk.submit(wish)


@router.put("/strategies/{strategy_id}/params", status_code=202)
async def set_strategy_params(
    strategy_id: Id,
    body: ParamsBody,
    desk: DeskDep,
) -> CommandView:
    """Change parameters while the strategy runs; they take effect on the next bar, as a new version."""
    strategy = await desk.own_strategy(strategy_id)
    unknown = sorted(set(body.params) - set(strategy.params))
    if unknown:
        known = ", ".join(sorted(strategy.params))
        errors = [(f"body.params.{name}", f"the strategy has no such parameter; it has {known}") for name in unknown]
        raise Problem(ProblemKind.INVALID, "Some parameters are not known.", errors=errors)
    wish = Wish(CommandName.SET_PARAMS, strategy_id, Scope.STRATEGY, body.values(), body.reason)
    return await desk.submit(wish)


@router.post("/orders/{client_order_id}/cancel", status_code=202)
async def cancel_order(
    client_order_id: Id,
    desk: DeskDep,
    body: ReasonBody | None = None,
) -> CommandView:
    """Take an order off the venue. It may still fill on the way."""
    order = await desk.gateway.trading.order(client_order_id)
    if order is None:
        raise not_found("order")
    desk.caller.check_account(order.account_id)
    if order.status.is_terminal:
        raise Problem(ProblemKind.CONFLICT, f"The order is over: {order.status}.")
    wish = Wish(CommandName.CANCEL_ORDER, client_order_id, Scope.ACCOUNT, reason=body.reason if body else "")
    return await desk.submit(wish)


@router.post("/orders/{client_order_id}/identify", status_code=202)
async def identify_order(client_order_id: Id, body: IdentityBody, desk: DeskDep) -> CommandView:
    """Say which of the venue's orders an order is of which nobody knows; it takes two people.

    For venues that keep no ids of ours, where several of their orders may be the one.
    """
    order = await desk.gateway.trading.order(client_order_id)
    if order is None:
        raise not_found("order")
    desk.caller.check_account(order.account_id)
    values = {"client_order_id": client_order_id, "venue_order_id": body.venue_order_id}
    wish = Wish(CommandName.IDENTIFY_ORDER, order.account_id, Scope.ACCOUNT, values, body.reason)
    return await desk.submit(wish, account_id=order.account_id)


@router.get("/commands")
async def list_commands(_caller: CallerDep, gateway: GatewayDep, page: PageDep) -> Page[CommandView]:
    """List what people asked for, newest first."""
    return await gateway.commands.commands(page)


@router.get("/commands/{command_id}")
async def get_command(command_id: UUID, _caller: CallerDep, gateway: GatewayDep) -> CommandView:
    """Say how far a command has come."""
    command = await gateway.commands.command(command_id)
    if command is None:
        raise not_found("command")
    return command
