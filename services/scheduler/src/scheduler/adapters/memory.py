"""The memory of the health check as JSON, for its one row in Postgres."""

from datetime import datetime
from typing import Any

from scheduler.domain.health import Memory, OpenProblem, Problem
from sigmax.schemas.types import AlertLevel


def memory_to_json(memory: Memory) -> dict[str, Any]:
    """Give the memory as plain JSON values."""
    return {
        "open": [
            {
                "code": known.problem.code,
                "subject": known.problem.subject,
                "level": known.problem.level.value,
                "text": known.problem.text,
                "values": dict(known.problem.values),
                "since": known.since.isoformat(),
                "told_at": known.told_at.isoformat(),
            }
            for known in memory.open
        ],
        "depths": {queue: list(depths) for queue, depths in memory.depths.items()},
    }


def memory_from_json(stored: dict[str, Any]) -> Memory:
    """Read what `memory_to_json` gave."""
    return Memory(
        open=tuple(
            OpenProblem(
                Problem(item["code"], item["subject"], AlertLevel(item["level"]), item["text"], item["values"]),
                since=datetime.fromisoformat(item["since"]),
                told_at=datetime.fromisoformat(item["told_at"]),
            )
            for item in stored["open"]
        ),
        depths={queue: tuple(depths) for queue, depths in stored["depths"].items()},
    )
