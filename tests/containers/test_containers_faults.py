"""Whatever is killed, frozen, or cut off while the platform trades: it comes back by itself, and trading goes on.

Whether anything was lost or doubled is asked once, over all faults, in `test_containers_books`.
"""

import asyncio
import time

import pytest

from sigmax.schemas.topology import SERVICES
from sigmax_local.compose import SERVERS
from sigmax_local.testkit.container_report import Report
from sigmax_local.testkit.container_stack import ContainerStack

_FAULT_S = 3.0
"""Long enough for requests under way to meet it, shorter than the leases and timeouts that would hide it."""


@pytest.mark.parametrize("name", [*SERVICES, *SERVERS])
async def test_a_killed_process_is_started_again(stack: ContainerStack, report: Report, name: str) -> None:
    container = await stack.only(name)
    restarts = (await stack.inspect(container.id))["RestartCount"]
    began = time.monotonic()

    # Everything in the container but its init: what `docker kill` ends counts as stopped by a person.
    await stack.inside(container.id, "sh", "-c", "kill -9 -1", is_checked=False)

    async def is_restarted() -> bool:
        known = await stack.inspect(container.id)
        return known["RestartCount"] > restarts and known["State"]["Running"]

    await stack.until(is_restarted, f"{name} was started again")
    await stack.trades_again()
    report.fault("kill -9", name, time.monotonic() - began)


@pytest.mark.parametrize("name", ["strategy-engine", "risk-gate", "order-worker", "paper-venue", *SERVERS])
async def test_a_frozen_process_goes_on_where_it_was(stack: ContainerStack, report: Report, name: str) -> None:
    container = await stack.only(name)
    await _freeze(stack, container.id)
    try:
        await asyncio.sleep(_FAULT_S)
    finally:
        began = time.monotonic()
        await stack.engine("unpause", container.id)
    await stack.trades_again()
    report.fault(f"frozen for {_FAULT_S:.0f} s", name, time.monotonic() - began)


async def _freeze(stack: ContainerStack, container: str) -> None:
    """Pause a container. A kernel may not freeze one whose processes start others meanwhile; it is asked again."""

    async def is_frozen() -> bool:
        await stack.engine("pause", container)
        return True

    await stack.until(is_frozen, "the container is frozen")


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("collector", "collector"),
        ("strategy-engine", "strategy-engine"),
        ("risk-gate", "risk-gate"),
        ("order-worker", "order-worker"),
        ("order-worker", "paper"),
        ("api-gateway", "api-gateway"),
    ],
)
async def test_a_service_that_was_cut_off_is_back(
    stack: ContainerStack, report: Report, name: str, network: str
) -> None:
    container = await stack.only(name)
    full = f"{stack.compose.project}_{network}"
    aliases = [word for alias in (name, container.id[:12]) for word in ("--alias", alias)]
    await stack.engine("network", "disconnect", full, container.id)
    try:
        await asyncio.sleep(_FAULT_S)
    finally:
        began = time.monotonic()
        await stack.engine("network", "connect", *aliases, full, container.id)
    await stack.trades_again()
    what = "the venue" if network == "paper" else "the servers"
    report.fault(f"cut off from {what}", name, time.monotonic() - began)


@pytest.mark.parametrize("name", SERVERS)
async def test_a_restarted_server_is_found_again(stack: ContainerStack, report: Report, name: str) -> None:
    began = time.monotonic()
    await stack.on_host("restart", name)
    await stack.trades_again()
    report.fault("restarted", name, time.monotonic() - began)


async def test_a_process_with_a_dead_part_ends_itself_and_is_started_again(
    stack: ContainerStack, report: Report
) -> None:
    container = await stack.only("strategy-engine")
    restarts = (await stack.inspect(container.id))["RestartCount"]
    began = time.monotonic()
    # What no code of ours does, and no reader can mend: a stream that is none. The loop that reads it dies.
    await _redis(stack, "RENAME", "md.bars.0", "md.bars.0.aside")
    await _redis(stack, "SET", "md.bars.0", "no stream")
    try:

        async def is_restarted() -> bool:
            return bool((await stack.inspect(container.id))["RestartCount"] > restarts)

        await stack.until(is_restarted, "strategy-engine was started again")
    finally:
        await _redis(stack, "DEL", "md.bars.0")
        await _redis(stack, "RENAME", "md.bars.0.aside", "md.bars.0")
    log = await stack.engine("logs", container.id)
    assert "background_task_ended" in log
    await stack.trades_again()
    report.fault("a part of it died", "strategy-engine", time.monotonic() - began)


async def _redis(stack: ContainerStack, *command: str) -> str:
    script = 'REDISCLI_AUTH="$(cat /etc/sigmax/password)" exec redis-cli --user sigmax_admin "$@"'
    return await stack.on_host("exec", "-T", "redis", "sh", "-c", script, "redis-cli", *command)
