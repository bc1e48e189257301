"""Which shards a replica should hold."""

from collections.abc import Sequence

from sigmax.schemas.market import SHARDS


def share_of(replica: str, present: Sequence[str]) -> set[int]:
    """Give the shards of one replica among those present: each shard has one taker, and the counts differ by one."""
    ranked = sorted({replica, *present})
    return set(range(ranked.index(replica), SHARDS, len(ranked)))
