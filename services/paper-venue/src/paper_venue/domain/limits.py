"""How much a client has asked for lately."""

from collections import defaultdict
from dataclasses import dataclass, field

_MINUTE_NS = 60_000_000_000
_TEN_SECONDS_NS = 10_000_000_000
_DAY_NS = 86_400_000_000_000


@dataclass(slots=True)
class _Window:
    length_ns: int
    started: int = -1
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, who: str, amount: int, now_ns: int) -> int:
        window = now_ns // self.length_ns
        if window != self.started:
            self.started = window
            self.counts.clear()
        self.counts[who] += amount
        return self.counts[who]

    def left_s(self, now_ns: int) -> int:
        return 1 + (self.length_ns - now_ns % self.length_ns) // 1_000_000_000


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The most that one address or account may ask for."""

    weight_1m: int
    orders_10s: int
    orders_1d: int


class RateCounters:
    """Counts request weight per address and placed orders per account, in fixed windows."""

    def __init__(self, limits: RateLimits) -> None:
        self.limits = limits
        self._weight = _Window(_MINUTE_NS)
        self._orders_10s = _Window(_TEN_SECONDS_NS)
        self._orders_1d = _Window(_DAY_NS)

    def add_weight(self, address: str, weight: int, now_ns: int) -> int:
        """Count a request; give what the address has used in this minute."""
        return self._weight.add(address, weight, now_ns)

    def add_order(self, account_id: str, now_ns: int) -> tuple[int, int]:
        """Count a placed order; give the counts of ten seconds and of the day."""
        return self._orders_10s.add(account_id, 1, now_ns), self._orders_1d.add(account_id, 1, now_ns)

    def order_counts(self, account_id: str, now_ns: int) -> tuple[int, int]:
        """Give the counts of placed orders without adding to them."""
        return self._orders_10s.add(account_id, 0, now_ns), self._orders_1d.add(account_id, 0, now_ns)

    def may_order(self, account_id: str, now_ns: int) -> bool:
        """Say whether one more order fits."""
        in_10s, in_1d = self.order_counts(account_id, now_ns)
        return in_10s < self.limits.orders_10s and in_1d < self.limits.orders_1d

    def weight_left_s(self, now_ns: int) -> int:
        """Give the seconds until the weight window ends."""
        return self._weight.left_s(now_ns)
