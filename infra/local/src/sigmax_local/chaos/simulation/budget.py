"""The venue's request budget, shared by all replicas: the product's own buckets, kept where Redis would keep them."""

from order_worker.domain.budget import Bucket, Kind, Limits, Told, limits_of
from order_worker.ports import BudgetUnreadableError
from sigmax_local.chaos.simulation.process import Process

_ANSWER_S = 0.001
_AWAY_S = 0.5


class MemoryBudget:
    """The budget, as one process reaches it."""

    def __init__(self, buckets: dict[Kind, Bucket], process: Process) -> None:
        self._buckets = buckets
        self._process = process
        self._limits: Limits = limits_of(None, None, None, Told())

    async def take(self, kind: Kind, amount: float = 1, *, is_exit: bool = True) -> float:
        """Take from the budget: 0, or the seconds to wait before asking again."""
        if not await self._reached("take from the budget"):
            if kind is Kind.ORDERS:
                raise BudgetUnreadableError("Redis is away")
            return 0.0
        limit = self._limits.of(kind)
        self._buckets[kind], wait_s = self._bucket(kind).take(
            limit, amount, self._now(), reserve=0.0 if is_exit else limit.reserve
        )
        return wait_s

    async def give_back(self, kind: Kind) -> None:
        """Return what was taken and not used."""
        if await self._reached("give back to the budget"):
            self._buckets[kind], _ = self._bucket(kind).take(self._limits.of(kind), -1, self._now())

    async def close(self, kind: Kind, for_s: float) -> None:
        """Let no replica ask for so long."""
        if await self._reached("close the budget"):
            self._buckets[kind] = self._bucket(kind).closed(for_s, self._now())

    def _bucket(self, kind: Kind) -> Bucket:
        return self._buckets.get(kind) or Bucket(self._limits.of(kind).capacity, self._now())

    def _now(self) -> float:
        return self._process.now_ns() / 1e9

    async def _reached(self, doing: str) -> bool:
        if self._process.reaches("redis"):
            await self._process.hop(doing, _ANSWER_S)
        if not self._process.reaches("redis"):
            await self._process.hop(f"{doing}: cut off", _AWAY_S)
            return False
        return True
