"""The stacks of this clone that run, as the commands find them, and how a command ends that cannot go on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from sigmax_local.container_found import FoundContainers
from sigmax_local.environment import repository
from sigmax_local.gateway import GatewayError
from sigmax_local.runs import Found, Kind, StackError
from sigmax_local.stack import FoundProcesses, Home

AsOption = Annotated[str, typer.Option("--as", help="Your login; you are asked for its password.")]
StackOption = Annotated[Kind | None, typer.Option("--stack", help="Which one, where both run.")]

console = Console()
errors = Console(stderr=True)


def found(kind: Kind | None) -> list[Found]:
    """Give the stacks of this clone that run: of the kind that is asked for, else all."""
    clone = the_repository()
    candidates: list[Found | None] = []
    if kind is not Kind.CONTAINERS:
        candidates.append(FoundProcesses.find(Home(clone)))
    if kind is not Kind.PROCESSES:
        with told_errors():
            candidates.append(FoundContainers.find(clone))
    return [one for one in candidates if one is not None]


def only(those: list[Found]) -> Found:
    """Give the one that was found; where two were, the command ends with what to say."""
    if len(those) > 1:
        errors.print("Processes and containers run: say which with --stack.")
        raise typer.Exit(2)
    return those[0]


def running(kind: Kind | None) -> Found:
    """Give the one stack that runs and can be spoken to; where there is none, the command ends."""
    those = found(kind)
    if not those:
        errors.print("Nothing runs. Start it with: sigmax up")
        raise typer.Exit(3)
    stack = only(those)
    if not stack.gateway_url:
        errors.print("It is just starting: try again in a moment.")
        raise typer.Exit(3)
    return stack


def the_repository() -> Path:
    """Give the clone that the command is run in; elsewhere the command ends."""
    try:
        return repository()
    except RuntimeError as error:
        errors.print(str(error), markup=False)
        raise typer.Exit(2) from None


def ask(login: str) -> str:
    """Have a person type a password."""
    return str(typer.prompt(f"Password of {login}", hide_input=True, err=True))


@contextmanager
def told_errors(status: int = 1) -> Iterator[None]:
    """End the command with what went wrong."""
    try:
        yield
    except (GatewayError, StackError) as error:
        fail(str(error), status)


def fail(text: str, status: int = 1) -> NoReturn:
    """End the command."""
    errors.print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(status) from None
