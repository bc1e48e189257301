"""More replicas share the work and lose nothing; fewer end what they have begun."""

import asyncio
from collections.abc import Sequence

import pytest

from sigmax_local.container_list import Container
from sigmax_local.testkit.container_stack import ContainerStack

_SUBMITS = "sigmax_order_submits_total"
_SHARDS = "sigmax_strategy_engine_shards_held"


@pytest.fixture(scope="module")
async def scaled(stack: ContainerStack) -> None:
    scale = ("--scale", "order-worker=4", "--scale", "strategy-engine=2")
    await stack.up("--no-deps", "--no-recreate", *scale, "order-worker", "strategy-engine")


@pytest.mark.usefixtures("scaled")
async def test_each_of_four_workers_sends_orders(stack: ContainerStack) -> None:
    workers = await stack.containers("order-worker")
    assert len(workers) == 4

    async def all_sent() -> bool:
        return all(count > 0 for count in await _metrics(stack, workers, _SUBMITS))

    await stack.until(all_sent, "each of the four workers has sent an order", within_s=300)


@pytest.mark.usefixtures("scaled")
async def test_two_engines_hold_half_of_the_market_each(stack: ContainerStack) -> None:
    engines = await stack.containers("strategy-engine")
    assert len(engines) == 2

    async def shared() -> bool:
        return await _metrics(stack, engines, _SHARDS) == [2, 2]

    await stack.until(shared, "each engine holds two of the four shards")
    await stack.trades_again()


@pytest.mark.usefixtures("scaled")
async def test_every_replica_is_heard_of_under_a_name_of_its_own(stack: ContainerStack) -> None:
    expected = {one.id[:12] for one in await stack.containers("order-worker", "strategy-engine")}

    async def heard() -> bool:
        services = (await stack.get("/system/health"))["services"]
        alive = {one["replica"] for service in services for one in service["replicas"] if one["is_alive"]}
        return expected <= alive

    await stack.until(heard, "a heartbeat of each replica")


@pytest.mark.usefixtures("scaled")
async def test_scaling_down_lets_each_replica_end_what_it_has_begun(stack: ContainerStack) -> None:
    gone = [*(await stack.containers("order-worker"))[1:], *(await stack.containers("strategy-engine"))[1:]]

    await asyncio.gather(*(stack.engine("stop", "--time", "30", one.id) for one in gone))

    ended = {one.id: one.exit_code for one in await stack.containers()}
    assert [ended[one.id] for one in gone] == [0] * len(gone)
    await stack.engine("rm", *(one.id for one in gone))
    await stack.trades_again()
    unknown = [one for one in (await stack.get("/orders", limit="200"))["items"] if one["submission"] == "unknown"]
    assert unknown == []


async def _metrics(stack: ContainerStack, containers: Sequence[Container], name: str) -> list[float]:
    return list(await asyncio.gather(*(stack.metric(one.id, name) for one in containers)))
