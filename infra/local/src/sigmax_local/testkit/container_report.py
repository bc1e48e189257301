"""What the tests on containers did to the stack, and what came of it."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """Faults with the seconds until orders were filled again, and figures of the whole run."""

    began: float = field(default_factory=time.monotonic)
    faults: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def fault(self, kind: str, target: str, trading_again_s: float) -> None:
        """Note a fault, and after how many seconds orders were filled again."""
        self.faults.append({"kind": kind, "target": target, "trading_again_s": round(trading_again_s, 1)})

    def lines(self) -> list[str]:
        """Give the table."""
        return [
            f"{'fault':<28} {'on':<18} {'trading again':>13}",
            *(f"{one['kind']:<28} {one['target']:<18} {one['trading_again_s']:>11.1f} s" for one in self.faults),
            *(f"{name:<28} {value}" for name, value in {"faults": len(self.faults), **self.figures}.items()),
        ]

    def save(self, path: Path) -> None:
        """Write all of it as JSON."""
        told = {"at": datetime.now(UTC).isoformat(), "faults": self.faults, "figures": self.figures}
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
