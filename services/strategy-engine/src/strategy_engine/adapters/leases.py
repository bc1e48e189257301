"""Shards by lease in Redis: who holds which, and how far it was processed.

A lease that ran out without its holder's notice does no harm: the ids of signals derive from the market event, the
claim in Postgres lets one of two equal or competing signals through, and the stored cursor is fenced.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from redis.asyncio import Redis

from sigmax.runtime.clock import ClockPort
from sigmax.schemas.market import SHARDS
from strategy_engine.domain.shares import share_of

log = structlog.get_logger()

_REPLICAS = "lease.strategy_engine.replicas"
_LEASE = "lease.strategy_engine.{shard}"
_CURSOR = "cursor.strategy_engine.{shard}"
_FENCE = "fence"
_NS_PER_S = 1_000_000_000

# Each takes the lease's key and the holder's token; what they answer is 0 for "not yours".
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and (ARGV[3] == '' or string.sub(holder, 1, #ARGV[3]) ~= ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('HINCRBY', KEYS[2], 'fence', 1)"""
_RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])"""
_LEAVE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"""
_STORE = """
if tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') ~= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'fence', unpack(ARGV))
return 1"""


class RedisLeases:
    """The shards of one replica.

    Each life of a replica is another holder. One that has just started takes over at once from its former life, which
    surely ended; it does so only once, so that two replicas that were given one name by mistake share like any two.
    """

    def __init__(self, redis: Redis, replica: str, ttl_s: float, clock: ClockPort) -> None:
        self._redis = redis
        self._prefix = f"{replica}#"
        self._token = f"{self._prefix}{clock.now_ns()}"
        self._inherits_from = self._prefix
        self._ttl_s = ttl_s
        self._clock = clock
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._leave = redis.register_script(_LEAVE)
        self._store = redis.register_script(_STORE)
        self._fences: dict[int, int] = {}
        self._until_ns: dict[int, int] = {}
        self._unwanted: set[int] = set()

    async def renew(self) -> None:
        """Say that this replica is here, renew what it holds, and take what is free of its share.

        What it holds beyond its share is first told as not held, so that the engine can let go of it in good order.
        """
        now_ns = self._clock.now_ns()
        self._unwanted = set(range(SHARDS)) - share_of(self._token, await self._present(now_ns))
        ttl_ms = int(self._ttl_s * 1000)
        for shard in range(SHARDS):
            key = _LEASE.format(shard=shard)
            if shard in self._fences:
                # Counted from before the request: on the server the lease ends later than here, never earlier.
                is_ours = await self._renew(keys=[key], args=[self._token, ttl_ms])
                if shard not in self._fences:
                    continue  # left while we asked
                if is_ours:
                    self._until_ns[shard] = now_ns + int(self._ttl_s * _NS_PER_S)
                else:
                    log.warning("lease_lost", shard=shard)
                    self._forget(shard)
            elif shard not in self._unwanted:
                keys = [key, _CURSOR.format(shard=shard)]
                fence = await self._take(keys=keys, args=[self._token, ttl_ms, self._inherits_from])
                if fence:
                    self._fences[shard] = int(fence)
                    self._until_ns[shard] = now_ns + int(self._ttl_s * _NS_PER_S)
                    log.info("lease_taken", shard=shard, fence=int(fence))
        self._inherits_from = ""

    def held(self) -> set[int]:
        """Give the shards whose lease is surely not over yet."""
        now_ns = self._clock.now_ns()
        return {shard for shard, until_ns in self._until_ns.items() if now_ns < until_ns} - self._unwanted

    async def all_held(self) -> bool:
        """Say whether every shard is held by some replica."""
        return await self._redis.exists(*(_LEASE.format(shard=shard) for shard in range(SHARDS))) == SHARDS

    async def leave(self, shard: int) -> None:
        """Give a lease back."""
        if shard in self._fences:
            self._forget(shard)
            await self._leave(keys=[_LEASE.format(shard=shard)], args=[self._token])
            log.info("lease_left", shard=shard)

    async def depart(self) -> None:
        """Give all leases back and count no longer as present."""
        for shard in list(self._fences):
            await self.leave(shard)
        await self._redis.zrem(_REPLICAS, self._token)

    async def cursors(self, shard: int) -> dict[str, str]:
        """Give the id of the last entry processed, per stream, by whoever held the shard."""
        stored: Any = await self._redis.hgetall(_CURSOR.format(shard=shard))
        return {name.decode(): value.decode() for name, value in stored.items() if name.decode() != _FENCE}

    async def store_cursors(self, shard: int, positions: Mapping[str, str]) -> bool:
        """Store how far a shard was processed; False when another replica took it meanwhile."""
        fence = self._fences.get(shard)
        if fence is None or not positions:
            return False
        pairs = [part for pair in positions.items() for part in pair]
        return bool(await self._store(keys=[_CURSOR.format(shard=shard)], args=[fence, *pairs]))

    async def _present(self, now_ns: int) -> list[str]:
        gone_before_ms = now_ns // 1_000_000 - int(self._ttl_s * 1000)
        await self._redis.zadd(_REPLICAS, {self._token: now_ns // 1_000_000})
        await self._redis.zremrangebyscore(_REPLICAS, "-inf", gone_before_ms)
        members: Any = await self._redis.zrange(_REPLICAS, 0, -1)
        present = [member.decode() for member in members]
        former = [token for token in present if token.startswith(self._prefix) and token != self._token]
        if former and self._inherits_from:
            await self._redis.zrem(_REPLICAS, *former)
            return [token for token in present if token not in former]
        return present

    def _forget(self, shard: int) -> None:
        self._fences.pop(shard, None)
        self._until_ns.pop(shard, None)
