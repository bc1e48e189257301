"""One cell of the evidence: a fault, the point at which it struck, and what became of the orders."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

INVARIANTS = {
    "I1": "each approval ends as open with a venue id, terminal, or unplaced",
    "I2": "at most one venue order per client order id, and the venue has as many as we",
    "I3": "position = sum of fills = the venue's",
    "I4": "ledger entries sum to zero, cash = the venue's",
    "I5": "no send without a valid approval",
    "I6": "no send while halted",
    "I7": "outbox empty, dead letters only planted ones",
    "I8": "the audit chain verifies",
    "I9": "reservations = open + unknown",
}
"""What must hold once everything is quiet (order-safety.md, section 2)."""


@dataclass(frozen=True)
class Cell:
    """One fault at one point, once."""

    fault: str
    """`F01`...`F26`, or the simulation's own name of a fault; several at once are joined with `+`."""
    point: str
    """Where it struck: `handlers/sending.py:54` in the simulation, a named moment on real servers."""
    where: str
    """`simulation`, `servers`, or `properties`."""
    seed: int | None
    """What repeats the run; None where nothing is drawn."""
    outcome: str
    """What came of it, in a few words: `1 order, acked`, `0 orders, unplaced`."""
    violations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By invariant, in whole sentences; empty when all is well."""
    seconds: float = 0.0
    """How long it took by the wall clock."""
    note: str = ""

    @property
    def is_red(self) -> bool:
        """Say whether an invariant was broken."""
        return any(self.violations.values())

    @property
    def key(self) -> tuple[str, str, str]:
        """Give what makes the cell distinct: the same fault at the same point, in the same kind of run, is one."""
        return self.where, self.fault, self.point

    def to_json(self) -> dict[str, Any]:
        """Give plain values."""
        return {**asdict(self), "violations": {name: list(found) for name, found in self.violations.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Cell":
        """Read what `to_json` gave. Raises `TypeError` for fields that a cell has not."""
        violations = {name: tuple(found) for name, found in values.get("violations", {}).items()}
        return cls(**{**values, "violations": violations})


@dataclass
class Coverage:
    """Cells added up by key: a hundred thousand runs are a few thousand lines."""

    runs: dict[tuple[str, str, str], int] = field(default_factory=dict)
    outcomes: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    red: list[Cell] = field(default_factory=list)

    def add(self, cells: Iterable[Cell]) -> None:
        """Count cells, and keep the red ones whole."""
        for cell in cells:
            self.runs[cell.key] = self.runs.get(cell.key, 0) + 1
            outcomes = self.outcomes.setdefault(cell.key, {})
            outcomes[cell.outcome] = outcomes.get(cell.outcome, 0) + 1
            if cell.is_red:
                self.red.append(cell)
