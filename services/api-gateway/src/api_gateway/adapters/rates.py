"""Request budgets, counted in Redis over all replicas."""

import asyncio

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sigmax.runtime.clock import ClockPort

log = structlog.get_logger()

_PREFIX = "gateway.rate"
_PATIENCE_S = 0.5


class RedisRates:
    """Fixed windows of a minute."""

    def __init__(self, redis: Redis, clock: ClockPort) -> None:
        storage = RedisStorage(
            "async+redis://", implementation="redispy", key_prefix=_PREFIX, connection_pool=redis.connection_pool
        )
        self._limiter = FixedWindowRateLimiter(storage)
        self._clock = clock

    async def wait_s(self, bucket: str, key: str, per_minute: int) -> int:
        """Count one request; give the seconds to wait when the minute's budget is spent, else 0.

        Without Redis nothing is counted: a halt must get through. Logins do not depend on this; Postgres counts them.
        """
        item = RateLimitItemPerMinute(per_minute)
        try:
            # Redis's own client would try for much longer than a halt may take.
            async with asyncio.timeout(_PATIENCE_S):
                if await self._limiter.hit(item, bucket, key):
                    return 0
                reset_at = (await self._limiter.get_window_stats(item, bucket, key)).reset_time
        except (RedisError, OSError) as error:
            log.warning("rates_not_counted", error=str(error))
            return 0
        return max(1, int(reset_at - self._clock.now().timestamp()) + 1)
