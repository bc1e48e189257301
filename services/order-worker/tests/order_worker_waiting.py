"""Waits for effects: a wait polls, and never sleeps for a time it hopes is enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(check: Callable[[], Awaitable[Any]], timeout_s: float = 60) -> Any:
    """Poll for an effect; give what the check gave, and fail when it stays away."""
    give_up_at = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at:
        if found := await check():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen in time")


async def reach(platform: Any, approved: Any, status: str, timeout_s: float = 60) -> Any:
    """Wait until an order has a status, and give its row; fail with the row as it is."""

    async def check() -> Any:
        row = await platform.order(approved)
        return row if row is not None and row["status"] == status else None

    try:
        return await until(check, timeout_s)
    except AssertionError:
        row = await platform.order(approved)
        raise AssertionError(f"not {status} but {dict(row) if row else None}") from None
