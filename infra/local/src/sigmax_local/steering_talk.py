"""How a command of a person comes to a running stack, and what it says of how far that has come."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console, RenderableType

from sigmax_local import people, steering_view
from sigmax_local.gateway import Gateway, GatewayError
from sigmax_local.runs import Found, Kind

T = TypeVar("T")

_SEEN_WITHIN_S = 10.0
_POLL_S = 0.3
_UNDER_WAY = frozenset({"requested"})

console = Console()


Told = Callable[[Gateway, dict[str, Any]], Awaitable[RenderableType]]
"""Says what became of a command."""


async def outcome(_gateway: Gateway, command: dict[str, Any]) -> RenderableType:
    """Say how far a command has come."""
    _end_unseen(command)
    return steering_view.outcome(command)


def _end_unseen(command: dict[str, Any]) -> None:
    """End the program with what is known where no effect of a command was seen. Raises `GatewayError`."""
    if command["status"] != "done":
        raise GatewayError(steering_view.outcome(command).plain)


@dataclass(frozen=True)
class Door:
    """How a command comes to a running stack; `cli` opens it for all commands."""

    running: Callable[[Kind | None], Found]
    fail: Callable[[str], NoReturn]
    """Ends the program with what went wrong."""
    ask: people.Ask


def talk_with(context: typer.Context, kind: Kind | None, login: str, talk: Callable[[Gateway], Awaitable[T]]) -> T:
    """Sign in as a person and have a talk with the gateway; what goes wrong is told, and ends the program."""
    door: Door = context.obj
    found = door.running(kind)

    async def signed_in() -> T:
        async with Gateway(found.gateway_url) as gateway:
            await people.sign_in(gateway, found.secrets, login, door.ask)
            return await talk(gateway)

    try:
        return asyncio.run(signed_in())
    except GatewayError as error:
        door.fail(str(error))


def show(
    context: typer.Context, kind: Kind | None, login: str, path: str, view: Callable[[Any], Any], **params: str
) -> None:
    """Read something as a person, and print it."""

    async def read(gateway: Gateway) -> Any:
        return view(await gateway.get(path, **params))

    console.print(talk_with(context, kind, login, read))


def give(
    context: typer.Context,
    kind: Kind | None,
    login: str,
    method: str,
    path: str,
    *,
    body: dict[str, Any],
    told: Told = outcome,
) -> None:
    """Give a command, wait a little for its effect, and say how far it has come and what is to be done."""

    async def hand_in(gateway: Gateway) -> RenderableType:
        given = await gateway.command(method, path, body, secrets.token_hex(16))
        if given["approval_url"]:
            return steering_view.waits(await gateway.get(given["approval_url"].removeprefix("/api/v1")))
        return await told(gateway, await settled(gateway, given["status_url"]))

    console.print(talk_with(context, kind, login, hand_in), soft_wrap=True)


async def settled(gateway: Gateway, status_url: str) -> Any:
    """Give a command's status once its effect is seen, or after ten seconds as it then is."""
    deadline = time.monotonic() + _SEEN_WITHIN_S
    while True:
        seen = await gateway.get(status_url.removeprefix("/api/v1"))
        if seen["status"] not in _UNDER_WAY or time.monotonic() >= deadline:
            return seen
        await asyncio.sleep(_POLL_S)
