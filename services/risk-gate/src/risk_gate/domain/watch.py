"""What this replica holds each tick against: the live protections by instrument, in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from risk_gate.domain.exits import Seen, exit_kind, is_news
from risk_gate.domain.protection import Protection
from sigmax.schemas.market import TickBatch, moment


@dataclass(frozen=True, slots=True)
class Hit:
    """A tick that reached a level of a protection."""

    protection: Protection
    price: Decimal
    received_ns: int
    """When the collector had the tick."""
    ts_ns: int


class Watch:
    """The copy in memory; the rows in Postgres decide. Of two copies of a protection the later version counts."""

    def __init__(self) -> None:
        self._protections: dict[str, dict[UUID, Protection]] = {}
        self._seen: dict[str, Seen] = {}
        self._kept_at: dict[UUID, int] = {}
        self._read: dict[UUID, Decimal] = {}
        self._turn = 0

    @property
    def protections(self) -> list[Protection]:
        """Give all that are watched."""
        return [each for group in self._protections.values() for each in group.values()]

    def risen(self) -> list[Protection]:
        """Give those whose best price is above the one that was read last, and must not be lost with this replica."""
        return [
            each for each in self.protections if each.best_price > self._read.get(each.protection_id, each.best_price)
        ]

    def mark(self) -> int:
        """Give a mark to read all protections under: what is kept after it stands against what was read."""
        self._turn += 1
        return self._turn

    def keep(self, protection: Protection) -> None:
        """Watch a protection that was just made or changed; a closed one no longer."""
        self._kept_at[protection.protection_id] = self._turn + 1
        self._put(protection)

    def replace(self, protections: Iterable[Protection], mark: int) -> None:
        """Watch what was read after `mark`, and nothing else but what was kept since."""
        found = {each.protection_id: each for each in protections}
        self._read = {each.protection_id: each.best_price for each in found.values()}
        for known in self.protections:
            is_newer = self._kept_at.get(known.protection_id, 0) > mark
            if known.protection_id not in found and not is_newer:
                self._drop(known)
        for each in found.values():
            if self._kept_at.get(each.protection_id, 0) <= mark:
                self._put(each)

    def lift(self, protection: Protection, price: Decimal) -> Protection:
        """Note a price that came by another way than the ticks; give the protection with its best price now."""
        known = self._protections.get(protection.instrument_id, {}).get(protection.protection_id)
        best = max(price, protection.best_price, known.best_price if known else price)
        if known is not None:
            self._protections[protection.instrument_id][protection.protection_id] = replace(known, best_price=best)
        return replace(protection, best_price=best)

    def hold(self, batch: TickBatch, now_ns: int) -> list[Hit]:
        """Hold a batch against the levels; give each protection at most once, with the tick that reached it."""
        watched = {index: name for index, name in enumerate(batch.instruments) if name in self._protections}
        if not watched:
            return []
        hits: dict[UUID, Hit] = {}
        now = moment(now_ns)
        for i, index in enumerate(batch.instrument_index):
            name = watched.get(index)
            if name is None or not is_news(self._seen.get(name), batch.received_ns[i], batch.sequences[i], now_ns):
                continue
            price = batch.price(i)
            if price <= 0:
                continue
            self._seen[name] = Seen(batch.received_ns[i], batch.sequences[i], price)
            for known in list(self._protections[name].values()):
                risen = known
                if price > known.best_price:
                    risen = replace(known, best_price=price)
                    self._protections[name][known.protection_id] = risen
                if risen.protection_id not in hits and exit_kind(risen, price, now) is not None:
                    hits[risen.protection_id] = Hit(risen, price, batch.received_ns[i], batch.ts_ns[i])
        return list(hits.values())

    def _put(self, protection: Protection) -> None:
        group = self._protections.setdefault(protection.instrument_id, {})
        known = group.get(protection.protection_id)
        if known is not None and known.version > protection.version:
            return
        if not protection.is_live:
            self._drop(protection)
            return
        best = protection.best_price if known is None else max(known.best_price, protection.best_price)
        group[protection.protection_id] = replace(protection, best_price=best)

    def _drop(self, protection: Protection) -> None:
        group = self._protections.get(protection.instrument_id, {})
        group.pop(protection.protection_id, None)
        self._kept_at.pop(protection.protection_id, None)
        if not group:
            self._protections.pop(protection.instrument_id, None)
