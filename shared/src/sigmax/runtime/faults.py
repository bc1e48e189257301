"""Tells a fault that will pass, such as a server that restarts, from one that will not."""

import asyncio

import aio_pika.exceptions
import redis.exceptions
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

_PASSING_SQLSTATES = ("08", "25P03", "40", "53", "55P03", "57014", "57P0")
"""Connection lost, idle for too long in a transaction, serialisation failure or deadlock, out of resources, lock not
available, statement timeout, server going down or up.

The two timeouts are what a process meets that stood still with a transaction open, and whoever waited for its locks.
"""


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
