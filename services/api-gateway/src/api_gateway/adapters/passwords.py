"""Argon2id, off the event loop."""

import asyncio
import secrets

from pwdlib.hashers.argon2 import Argon2Hasher

_HASHING_AT_ONCE_MAX = 2
"""Each hash takes 19 MiB and a core: more at once would only slow each other and the orders."""


class Argon2Passwords:
    """Hashes with 19 MiB, two passes, one lane."""

    def __init__(self) -> None:
        self._hasher = Argon2Hasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._unknown = self._hasher.hash(secrets.token_urlsafe(32))
        self._room = asyncio.Semaphore(_HASHING_AT_ONCE_MAX)

    async def hash(self, password: str) -> str:
        """Give the hash to store."""
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Compare; with None it works as long and says no, so that time does not tell who exists."""
        async with self._room:
            is_same = await asyncio.to_thread(self._hasher.verify, password, stored or self._unknown)
        return is_same and stored is not None


def new_password() -> str:
    """Make a password of 160 random bits."""
    return secrets.token_urlsafe(20)
