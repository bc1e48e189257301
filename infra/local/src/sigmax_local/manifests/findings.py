"""What a check has to say: which check, where, what is wrong, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sigmax_local.manifests.objects import Manifest, Objects


@dataclass(frozen=True)
class Problem:
    """Something in one object that is wrong."""

    manifest: Manifest
    field: str
    text: str


@dataclass(frozen=True)
class Finding:
    """A problem as people read it."""

    check: str
    file: str
    item: str
    """Kind and name, or nothing for a file that could not be read."""
    field: str
    text: str

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.item, self.field) if part)
        return f"{where}: {self.text} [{self.check}]"


Check = Callable[[Objects], Iterator[Problem]]


def found(check: str, problem: Problem) -> Finding:
    """Make a finding of a problem."""
    one = problem.manifest
    return Finding(check, one.file, f"{one.kind}/{one.name}", problem.field, problem.text)
