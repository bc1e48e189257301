"""Tells a fault that will pass, such as a server that restarts, from one that will not."""

import asyncio

import aio_pika.exceptions
import redis.exceptions
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_PASSING_SQLSTATES = ("08", "40", "53", "55P03", "57P0")
"""Connection lost, serialisation failure or deadlock, out of resources, lock not available, server going down or up."""


def is_passing(error: BaseException) -> bool:
    """Say whether trying again later may succeed. Never ask this of an order that was sent."""
    if isinstance(error, DBAPIError):
        sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
        return (
            error.connection_invalidated
            or sqlstate.startswith(_PASSING_SQLSTATES)
            or (not sqlstate and isinstance(error, InterfaceError | OperationalError))
        )
    return isinstance(
        error,
        OSError
        | asyncio.TimeoutError
        | PoolTimeoutError
        | redis.exceptions.ConnectionError
        | redis.exceptions.TimeoutError
        | redis.exceptions.BusyLoadingError
        | aio_pika.exceptions.AMQPConnectionError
        | aio_pika.exceptions.ChannelInvalidStateError,
    )
