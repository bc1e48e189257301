"""What the docstrings of the schemas say about readers is what the broker allows."""

import re
from types import ModuleType

import pytest

from sigmax.schemas import control, orders, signals
from sigmax.schemas.topology import MESSAGES, REACH, SERVICES

LINE = re.compile(r"^(\S+\.v\d+) +-> (.+)$", re.MULTILINE)


def told(module: ModuleType) -> dict[str, set[str]]:
    """Give the readers of each topic as the module's docstring names them."""
    return {topic: set(readers.split(", ")) for topic, readers in LINE.findall(module.__doc__ or "")}


@pytest.mark.parametrize("module", [signals, orders, control], ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_the_readers_in_the_docstring_are_those_of_the_topology(module: ModuleType) -> None:
    assert told(module) == {
        message.TOPIC: {service for service in SERVICES if message in REACH[service].consumes}
        for message in MESSAGES
        if message.__module__ == module.__name__
    }
