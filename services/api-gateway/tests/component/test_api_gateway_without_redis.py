"""What still works, and how soon the rest says no, while Redis is away."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from api_gateway.adapters.market import RedisMarket
from api_gateway.adapters.rates import RedisRates
from api_gateway.adapters.tickets import RedisTickets
from api_gateway.domain.sessions import AccessClaims

_SOON_S = 30


@pytest.fixture
def nowhere() -> Any:
    """Give a client of a server that is not there."""
    return Redis.from_url("redis://127.0.0.1:1/0")


async def test_requests_go_uncounted_so_that_a_halt_gets_through(nowhere: Any, clock: Any) -> None:
    async with asyncio.timeout(_SOON_S):
        assert await RedisRates(nowhere, clock).wait_s("requests", "mina", 1) == 0


async def test_prices_and_tickets_fail_instead_of_waiting(nowhere: Any) -> None:
    async with asyncio.timeout(_SOON_S):
        for read in (
            RedisMarket(nowhere).latest,
            RedisMarket(nowhere).heartbeats,
            lambda: RedisTickets(nowhere).issue(AccessClaims(UUID(int=1), UUID(int=2), 1)),
        ):
            with pytest.raises((TimeoutError, RedisError)):
                await read()
