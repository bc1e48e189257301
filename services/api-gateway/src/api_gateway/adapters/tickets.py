"""Tickets for live connections, in Redis: used once, gone after 30 s."""

import asyncio
import hashlib
import json
import secrets
from uuid import UUID

from redis.asyncio import Redis

from api_gateway.domain.sessions import AccessClaims

LIFE_S = 30
_PATIENCE_S = 3.0


class RedisTickets:
    """Issues and redeems tickets; Redis holds hashes alone."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def issue(self, claims: AccessClaims) -> str:
        """Give a ticket that lives for 30 s."""
        ticket = secrets.token_urlsafe(32)
        body = json.dumps([str(claims.user_id), str(claims.family_id), claims.token_version])
        async with asyncio.timeout(_PATIENCE_S):
            await self._redis.set(_key(ticket), body, ex=LIFE_S)
        return ticket

    async def redeem(self, ticket: str) -> AccessClaims | None:
        """Take a ticket: the first who brings it gets its claims, nobody after."""
        async with asyncio.timeout(_PATIENCE_S), self._redis.pipeline(transaction=True) as pipe:
            pipe.get(_key(ticket))
            pipe.delete(_key(ticket))
            body, _ = await pipe.execute()
        if body is None:
            return None
        user_id, family_id, version = json.loads(body)
        return AccessClaims(UUID(user_id), UUID(family_id), version)


def _key(ticket: str) -> str:
    return f"gateway.ticket.{hashlib.sha256(ticket.encode()).hexdigest()}"
