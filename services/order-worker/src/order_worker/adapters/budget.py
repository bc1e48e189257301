"""The venue's request budget in Redis: one bucket per kind for all replicas, one script, one round trip."""

import asyncio
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from order_worker.adapters import metrics
from order_worker.domain.budget import SLOWED_FOR_S, Bucket, Kind, Limits
from order_worker.ports import BudgetUnreadableError
from sigmax.runtime.clock import ClockPort

log = structlog.get_logger()

_ANSWER_S = 1.0
"""Longer than Redis ever takes on a busy host; whoever waited so long does without."""
_AWAY_S = 1.0
"""Between two tries of a Redis that does not answer: nobody waits for it meanwhile."""
_KEPT_MS = 600_000

# The same arithmetic as `domain.budget.Bucket`; times are milliseconds, because a script may not ask for the time.
_SCRIPT = """
local now, capacity, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local amount, reserve, close_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local state = redis.call('HMGET', KEYS[1], 'tokens', 'at', 'closed_until', 'slow_until')
local tokens, at = tonumber(state[1]) or capacity, tonumber(state[2]) or now
local closed_until, slow_until = tonumber(state[3]) or 0, tonumber(state[4]) or 0
local function keep()
    redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.0f', at),
        'closed_until', string.format('%.0f', closed_until), 'slow_until', string.format('%.0f', slow_until))
    redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[8]) + math.ceil(math.max(0, slow_until - now)))
end
if close_ms > 0 then
    closed_until = math.max(closed_until, now + close_ms)
    slow_until = closed_until + tonumber(ARGV[7])
    at, tokens = math.max(at, closed_until), 0
    keep()
    return 0
end
if now < closed_until and amount > 0 then return math.ceil(closed_until - now) end
if now < slow_until then per_ms = per_ms / 2 end
local later = math.max(at, now)
tokens = math.min(capacity, tokens + (later - at) * per_ms)
at = later
if amount > 0 and tokens - amount < reserve then return math.max(1, math.ceil((amount + reserve - tokens) / per_ms)) end
tokens = math.min(capacity, tokens - amount)
keep()
return 0
"""


class _Alone:
    """What this replica may ask when it cannot ask the others: one small bucket per kind, in memory."""

    def __init__(self, limits: Limits, clock: ClockPort) -> None:
        self.limits = limits
        self._clock = clock
        self._buckets: dict[Kind, Bucket] = {}

    def take(self, kind: Kind, amount: float) -> float:
        limit = self.limits.of(kind)
        # A question heavier than the whole bucket takes all of it: it must be asked some time.
        self._buckets[kind], wait_s = self._bucket(kind).take(limit, min(amount, limit.capacity), self._now())
        return wait_s

    def close(self, kind: Kind, for_s: float) -> None:
        self._buckets[kind] = self._bucket(kind).closed(for_s, self._now())

    def _bucket(self, kind: Kind) -> Bucket:
        return self._buckets.get(kind) or Bucket(self.limits.of(kind).capacity, self._now())

    def _now(self) -> float:
        return self._clock.now_ns() / 1e9


class RedisBudget:
    """What all replicas of one venue's workers may ask of it."""

    def __init__(self, redis: Redis, venue: str, clock: ClockPort, limits: Limits) -> None:
        self._redis = redis
        self._keys = {kind: f"rate.order_worker.{venue}.{kind}" for kind in Kind}
        self._clock = clock
        self._script: Any = redis.register_script(_SCRIPT)
        self._alone = _Alone(limits.alone, clock)
        self._limits = limits
        self._away: tuple[int, str] = (0, "")
        """Until when, in nanoseconds, Redis is not asked, and why."""

    @property
    def limits(self) -> Limits:
        """Give what the venue allows, as far as it is known."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._alone.limits = limits.alone

    async def take(self, kind: Kind, amount: float = 1, *, is_exit: bool = True) -> float:
        """Take from the budget: 0, or the seconds to wait before asking again; entries leave a part to exits.

        Raises `BudgetUnreadableError` for orders when Redis is away: nothing is sent that was not counted. Cancels and
        questions go on then, with a small allowance of this replica's own.
        """
        try:
            wait_ms = await self._run(kind, amount, 0.0 if is_exit else self._limits.of(kind).reserve)
        except BudgetUnreadableError:
            if kind is Kind.ORDERS:
                raise
            return self._alone.take(kind, amount)
        if wait_ms:
            metrics.budget_waits.labels(kind).inc()
        return wait_ms / 1000

    async def give_back(self, kind: Kind) -> None:
        """Return what was taken and not used; what Redis does not hear is lost, which harms nobody."""
        try:
            await self._run(kind, -1, 0.0)
        except BudgetUnreadableError:
            return

    async def close(self, kind: Kind, for_s: float) -> None:
        """Let no replica ask for so long, and then only slowly: the venue said "too many"."""
        log.warning("venue_budget_closed", kind=str(kind), for_s=for_s)
        metrics.too_many_requests.labels(kind).inc()
        self._alone.close(kind, for_s)
        try:
            await self._run(kind, 0, 0.0, for_s)
        except BudgetUnreadableError:
            return

    async def look(self) -> str | None:
        """Say why the common budget cannot be read, or None."""
        try:
            await self._run(Kind.ORDERS, 0, 0.0)
        except BudgetUnreadableError as error:
            return f"the venue's request budget cannot be read, so nothing is sent: {error}"
        return None

    async def _run(self, kind: Kind, amount: float, reserve: float, close_s: float = 0.0) -> int:
        limit = self._limits.of(kind)
        now_ns = self._clock.now_ns()
        away_until, why = self._away
        if now_ns < away_until:
            raise BudgetUnreadableError(why)
        numbers = (
            now_ns // 1_000_000,
            *(limit.capacity, limit.per_s / 1000, amount, reserve, close_s * 1000, SLOWED_FOR_S * 1000, _KEPT_MS),
        )
        try:
            async with asyncio.timeout(_ANSWER_S):
                return int(await self._script(keys=[self._keys[kind]], args=numbers))
        except (RedisError, OSError, TimeoutError) as error:
            self._away = (self._clock.now_ns() + int(_AWAY_S * 1e9), f"{type(error).__name__}: {error}")
            raise BudgetUnreadableError(self._away[1]) from error
