"""Orders that work at the venue: cancels that are repeated, and what polls find."""

from order_worker_builders import ETH, a_cancel
from order_worker_world import World

from order_worker.handlers.approvals import on_cancel_requested
from order_worker.handlers.working import poll
from sigmax.schemas.types import OrderStatus


async def test_f22_cancels_are_repeated_also_while_no_question_is_answered(world: World) -> None:
    world.venue.script = ["rest", "rest"]
    await world.approve(1)
    await world.approve(2, instrument_id=ETH)
    world.venue.is_down = True
    for number in (1, 2):
        await on_cancel_requested(a_cancel(number), world.desk)
    assert {world.order(number).status for number in (1, 2)} == {OrderStatus.PENDING_CANCEL}

    world.venue.is_down, world.venue.is_mute = False, True
    world.clock.pass_by(5)
    await poll(world.desk)

    assert {world.order(number).status for number in (1, 2)} == {OrderStatus.CANCELED}
