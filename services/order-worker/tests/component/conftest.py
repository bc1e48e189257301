import pytest
from order_worker_world import World, a_world


@pytest.fixture
def world() -> World:
    """Give one worker whose books agree with the venue's."""
    return a_world()
