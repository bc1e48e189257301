"""Redis streams: market data and heartbeats, worthless when old.

There are no consumer groups here. A reader owns its position, so nothing is ever pending, claimed, or poisoned: after a
restart it goes on from where it stored that it was, or from now.
"""

from redis.asyncio import Redis

from sigmax.schemas.market import FIELD


async def add(redis: Redis, stream: str, body: bytes, *, maxlen: int) -> str:
    """Append one entry, trimming the stream to about `maxlen` entries; give the entry's id."""
    return _text(await redis.xadd(stream, {FIELD: body}, maxlen=maxlen, approximate=True))


class Tail:
    """Reads several streams onwards from known positions.

    `positions` maps a stream to the id of the last entry taken: `0` for everything there is, `$` for what comes from
    now on. `read` moves them.
    """

    def __init__(self, redis: Redis, positions: dict[str, str], *, count: int = 500, block_ms: int = 1000) -> None:
        self.positions = dict(positions)
        self._redis = redis
        self._count = count
        # Well under the client's socket timeout: a longer wait would end in an error instead of an empty answer.
        self._block_ms = min(block_ms, 2000)

    async def read(self) -> list[tuple[str, str, bytes]]:
        """Wait up to `block_ms` for new entries; give (stream, entry id, body) in stream order, or nothing."""
        await self._settle()
        if not self.positions:
            return []
        answer = await self._redis.xread(dict(self.positions), count=self._count, block=self._block_ms)  # type: ignore[arg-type]
        entries: list[tuple[str, str, bytes]] = []
        for stream, items in _pairs(answer):
            name = stream.decode()
            for entry_id, fields in items:
                self.positions[name] = entry_id.decode()
                if FIELD in fields:
                    entries.append((name, entry_id.decode(), fields[FIELD]))
        return entries

    async def _settle(self) -> None:
        # `$` means "after the newest" anew at each call: between two calls entries would be missed.
        for stream, position in self.positions.items():
            if position == "$":
                newest = await self._redis.xrevrange(stream, count=1)
                self.positions[stream] = _text(newest[0][0]) if newest else "0-0"


def _text(entry_id: object) -> str:
    return entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)


def _pairs(answer: object) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Give the answer of XREAD as (stream, entries), whichever protocol the server speaks."""
    if not answer:
        return []
    if isinstance(answer, dict):
        return [(stream, [entry for part in parts for entry in part]) for stream, parts in answer.items()]
    return list(answer)  # type: ignore[call-overload,no-any-return]
