"""When a queue counts as lost, and its reader as standing still."""

import pytest

from sigmax.runtime.consumer_watch import BACK_WITHIN_S, STILL_S, ConsumersLostError, ConsumerWatch


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.consumers = 1
        self.fault: Exception | None = None
        self.watch = ConsumerWatch(["orders"], self.depth, lambda: self.now)

    async def depth(self, queue: str) -> tuple[int, int]:
        assert queue == "orders"
        if self.fault is not None:
            raise self.fault
        return 3, self.consumers

    async def look_after(self, seconds: float) -> None:
        self.now += seconds
        await self.watch.look()


async def test_a_queue_without_a_consumer_is_lost_after_its_time_and_not_before() -> None:
    world = World()
    world.consumers = 0
    await world.look_after(0)
    await world.look_after(BACK_WITHIN_S - 0.1)

    with pytest.raises(ConsumersLostError, match="orders"):
        await world.look_after(0.1)


async def test_a_consumer_that_comes_back_in_time_begins_the_count_anew() -> None:
    world = World()
    world.consumers = 0
    await world.look_after(0)
    world.consumers = 1
    await world.look_after(BACK_WITHIN_S)
    world.consumers = 0
    await world.look_after(0)
    await world.look_after(BACK_WITHIN_S - 0.1)


async def test_a_broker_that_is_away_is_waited_for_and_the_time_runs_from_its_return() -> None:
    world = World()
    world.consumers = 0
    await world.look_after(0)
    world.fault = ConnectionError("away")
    await world.look_after(10 * BACK_WITHIN_S)
    world.fault = None
    await world.look_after(0)
    await world.look_after(BACK_WITHIN_S - 0.1)

    with pytest.raises(ConsumersLostError):
        await world.look_after(0.1)


@pytest.mark.parametrize(("seconds", "is_still"), [(STILL_S - 0.1, False), (STILL_S, False), (STILL_S + 0.1, True)])
def test_messages_that_wait_while_none_is_handled_are_a_problem_after_a_time(seconds: float, is_still: bool) -> None:
    world = World()
    assert world.watch.stillness("orders", 0) is None
    world.now += seconds

    assert (world.watch.stillness("orders", 2) is not None) is is_still


def test_each_handled_message_and_each_empty_look_is_a_sign_of_life() -> None:
    world = World()
    assert world.watch.stillness("orders", 2) is None
    world.now += STILL_S
    world.watch.handled("orders")
    world.now += STILL_S
    assert world.watch.stillness("orders", 2) is None
    assert world.watch.stillness("orders", 0) is None
    world.now += STILL_S
    assert world.watch.stillness("orders", 2) is None
