"""The commands that look at what runs, or ran: how each service fares, and what it wrote."""

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from sigmax.schemas.topology import SERVICES
from sigmax_local import people, stacks, view
from sigmax_local.container_found import FoundContainers
from sigmax_local.gateway import Gateway, GatewayError
from sigmax_local.runs import Found, Kind
from sigmax_local.stack import Home, log_lines, newest_logs
from sigmax_local.stacks import StackOption, console, errors

app = typer.Typer(rich_markup_mode="rich")


@app.command()
def status(
    stack: StackOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each service's health and restarts, and the orders of the last day.

    Exit status 0 says that all is ready.

    Example: sigmax status || sigmax logs order-worker
    """
    found = stacks.found(stack)
    if not found and not as_json:
        errors.print("Nothing runs. Start it with: sigmax up")
    orders = [_orders(one) for one in found]
    if as_json:
        shown = [_plain(one, counts) for one, counts in zip(found, orders, strict=True)]
        print(json.dumps({"stacks": shown}, indent=1))
    else:
        for one, counts in zip(found, orders, strict=True):
            console.print(view.status(one))
            if isinstance(counts, str):
                console.print(f"Orders: {counts}", markup=False)
            else:
                said = ", ".join(f"{count} {name}" for name, count in counts.items())
                console.print(f"Orders of the last day: {said or 'none'}")
            if one.gateway_url:
                console.print(f"Dashboard and API: {one.gateway_url}")
    if not found:
        raise typer.Exit(3)
    raise typer.Exit(0 if all(one.is_ready for one in found) else 1)


def _orders(stack: Found) -> dict[str, int] | str:
    """Count the orders by status, or say why that cannot be."""

    async def ask() -> dict[str, int]:
        async with Gateway(stack.gateway_url) as gateway:
            await people.sign_in(gateway, stack.secrets)
            figures: dict[str, Any] = await gateway.get("/system/figures")
        return dict(figures["orders"])

    if not stack.gateway_url:
        return "not known yet"
    try:
        return asyncio.run(ask())
    except GatewayError as error:
        return f"not known. {error}"


def _plain(stack: Found, orders: dict[str, int] | str) -> dict[str, Any]:
    return {
        "stack": stack.kind,
        "ready": stack.is_ready,
        "prices": stack.prices,
        "gateway_url": stack.gateway_url,
        "services": [
            {
                "service": part.name,
                "health": part.health,
                "restarts": part.restarts,
                view.PLACES[stack.kind]: part.place,
                "problems": list(part.problems),
            }
            for part in stack.parts
        ],
        "orders": orders if isinstance(orders, dict) else None,
    }


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, postgres, redis, rabbitmq.")],
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.", min=1)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until Ctrl-C.")] = False,
    stack: StackOption = None,
) -> None:
    """Show what a service wrote, also after the stack has ended.

    Examples: sigmax logs risk-gate   ·   sigmax logs order-worker -f
    """
    with stacks.told_errors(status=2):
        for line in _log(stack, service, lines, follow=follow):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def _log(kind: Kind | None, service: str, lines: int, *, follow: bool) -> Iterator[str]:
    """Give the log of what runs, else of what was started last. Raises `StackError`."""
    found = stacks.found(kind)
    if found:
        return stacks.only(found).log_lines(service, lines, follow=follow)
    home = Home(stacks.the_repository())
    folder = None if kind is Kind.CONTAINERS else newest_logs(home)
    project = FoundContainers(home.repository)
    started_at = None if kind is Kind.PROCESSES else project.started_at()
    if started_at is not None and (folder is None or started_at > folder.stat().st_mtime):
        project.look()
        return project.log_lines(service, lines, follow=follow)
    if folder is not None:
        return log_lines(folder, service, lines, follow=follow)
    errors.print("Nothing has run here yet. Start it with: sigmax up")
    raise typer.Exit(3)
