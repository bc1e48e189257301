"""The invariants of the books: nothing lost, nothing doubled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from api_gateway.domain.health import is_alive, newest_of
from api_gateway.domain.views.system import BooksView, FindingView
from sigmax.schemas.market import Heartbeat
from sigmax.schemas.topology import REACH, SERVICES, dead_letter_queue_of

SHOWN_MAX = 3
"""How much of what breaks an invariant is told."""
GIVEN_UP = "no message was given up"


@dataclass(frozen=True)
class Finding:
    """One invariant, and what breaks it; nothing does when it holds."""

    invariant: str
    broken_by: Sequence[str]


def dead_letters(beats: Iterable[Heartbeat], now: datetime) -> Finding:
    """Look for messages that were given up. A service that is not heard of may have some: that is no yes."""
    alive = [beat for beat in newest_of(beats) if is_alive(beat, now)]
    broken = []
    for service in SERVICES:
        if not REACH[service].consumes:
            continue
        queue = dead_letter_queue_of(service)
        told = [beat.queues[queue] for beat in alive if beat.service == service and queue in beat.queues]
        if not told:
            broken.append(f"{queue}: not known, {service} is not heard of")
        elif max(told):
            broken.append(f"{queue}: {max(told)}")
    return Finding(GIVEN_UP, broken)


def books_of(findings: Iterable[Finding], now: datetime) -> BooksView:
    """Judge the books by what was found."""
    views = [
        FindingView(
            invariant=finding.invariant,
            holds=not finding.broken_by,
            broken_by=list(finding.broken_by[:SHOWN_MAX]),
        )
        for finding in findings
    ]
    return BooksView(are_right=all(view.holds for view in views), findings=views, as_of=now)
