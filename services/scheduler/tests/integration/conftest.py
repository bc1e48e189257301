"""The service inside the tests' own process, on the real servers of `world`."""

from functools import partial
from typing import Any

import pytest

from scheduler.app import wire
from scheduler.settings import Settings


@pytest.fixture
def start(run_here: Any) -> Any:
    """Give what starts the service: `async with start(replica="1") as service`."""
    return partial(run_here, Settings, wire)
