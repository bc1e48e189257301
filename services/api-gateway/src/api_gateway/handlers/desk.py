"""Where one caller hands in one command: at once, or to wait for a second person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel, Field, model_validator

from api_gateway.domain.commands import Wish
from api_gateway.domain.problems import Problem, ProblemKind, not_found
from api_gateway.domain.rights import ROUTES, Right, Role
from api_gateway.domain.second_person import Ask
from api_gateway.domain.views.judgement import StrategyView
from api_gateway.domain.views.people import CommandView
from api_gateway.handlers.context import AddressDep, Caller, CallerDep, Gateway, GatewayDep
from api_gateway.handlers.parameters import IdempotencyKey
from sigmax.domain.two_people import needs_second_person
from sigmax.schemas.types import Scope, Stage

GLOBAL = "global"
Reason = Annotated[str, Field(max_length=500, pattern=r"^[^\x00]*$")]


class ScopeBody(BaseModel):
    """What a command is about: everything, or one account, strategy, instrument, or venue."""

    scope: Scope = Scope.GLOBAL
    scope_id: str = Field(default=GLOBAL, pattern=r"^[!-~]{1,64}$")
    """The account, strategy, instrument, or venue; `global` with the scope `global`."""
    reason: Reason = ""

    @model_validator(mode="after")
    def _global_is_global(self) -> "ScopeBody":
        if (self.scope is Scope.GLOBAL) != (self.scope_id == GLOBAL):
            raise ValueError("scope_id is `global` with the scope `global`, and names something with any other")
        return self


@dataclass(frozen=True)
class Desk:
    """Where one caller hands in one command."""

    gateway: Gateway
    caller: Caller
    right: Right
    """What the route asked for."""
    key: str
    address: str
    response: Response

    async def submit(
        self,
        wish: Wish,
        *,
        right: Right | None = None,
        account_id: str | None = None,
        before: Mapping[str, Any] | None = None,
        from_stage: Stage | None = None,
    ) -> CommandView:
        """Write the command down and send it, once per key; or have it wait for a second person.

        `right`, where it is more than the route's, and `account_id` say who may be the second person; `before` is
        what that person is shown beside the values. Raises `Problem` for a key of another command.
        """
        ask = None
        if needs_second_person(wish.command, wish.values, from_stage):
            ask = Ask(right or self.right, account_id, before or {})
        view, is_same = await self.gateway.commands.submit(wish, self.caller.user, self.key, self.address, ask)
        if not is_same:
            raise Problem(ProblemKind.KEY_REUSED, "You used this key for another command.")
        self.response.headers["Location"] = view.status_url
        return view

    async def own_strategy(self, strategy_id: str) -> StrategyView:
        """Give a strategy that the caller may steer. Raises `Problem`."""
        strategy = await self.gateway.judgement.strategy(strategy_id)
        if strategy is None:
            raise not_found("strategy")
        self.caller.check_account(strategy.account_id)
        return strategy

    async def check_scope(self, body: ScopeBody) -> None:
        """Let a trader act on own accounts and strategies, and on what is nobody's: a venue, an instrument, all.

        What does not exist is refused: who mistypes a name must not believe that it is halted. Raises `Problem`.
        """
        if self.caller.user.role is Role.TRADER:
            if body.scope is Scope.ACCOUNT:
                self.caller.check_account(body.scope_id)
            elif body.scope is Scope.STRATEGY:
                await self.own_strategy(body.scope_id)
        await self.check_known(body.scope, body.scope_id)

    async def check_known(self, scope: Scope, scope_id: str) -> None:
        """Refuse what is about nothing that there is. Raises `Problem`."""
        if scope is not Scope.GLOBAL and not await self.gateway.risk.known(scope, scope_id):
            raise not_found(scope.value)

    async def stage(self, body: ScopeBody) -> Stage | None:
        """Give the stage in which a scope stands; None where it is not known, NORMAL where nobody ever changed it."""
        for row in await self.gateway.risk.stages():
            if (row.scope, row.scope_id) == (body.scope, body.scope_id):
                return row.stage
        return None if body.scope in {Scope.GLOBAL, Scope.ACCOUNT} else Stage.NORMAL


def desk_of(
    *,
    request: Request,
    key: IdempotencyKey,
    caller: CallerDep,
    gateway: GatewayDep,
    address: AddressDep,
    response: Response,
) -> Desk:
    """Open the desk for one request."""
    return Desk(gateway, caller, ROUTES[request.scope["route"].name], key, address, response)


DeskDep = Annotated[Desk, Depends(desk_of)]
