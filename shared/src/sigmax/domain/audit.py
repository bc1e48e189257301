"""The audit chain: each entry's hash covers the one before, so that none is changed, removed, or moved unseen.

`hash = sha256(previous hash, hex + newline + entry text)`. The entry is JSON, kept as the text that was hashed; the
columns beside it are there to be searched, and must say the same. A chain that was cut at its end, or written anew
whole, shows in its heads: newest hashes that were kept elsewhere.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sigmax.schemas.control import AuditHead

GENESIS = "0" * 64
"""What the first entry follows."""
KEY_BYTES_MIN = 32


@dataclass(frozen=True, slots=True)
class Head:
    """A place in a chain, and what stands there."""

    position: int
    hash: str


START = Head(0, GENESIS)


@dataclass(frozen=True, slots=True)
class Link:
    """One row of `audit_log`."""

    position: int
    at: datetime
    kind: str
    subject: str
    correlation_id: UUID | None
    entry: str
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        """Give the chain's head as of this row."""
        return Head(self.position, self.hash)


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain does not hold."""

    position: int
    """Of the first row that is bad, or missing."""
    what: str


def chain_hash(previous: str, entry: str) -> str:
    """Give the hash of an entry that follows `previous`, hex."""
    return hashlib.sha256(f"{previous}\n{entry}".encode()).hexdigest()


class Walk:
    """Follows a chain row by row, in the order of positions, until the first that does not fit."""

    def __init__(self, heads: Iterable[Head] = (), start: Head = START) -> None:
        """Begin after `start`. `heads` are what was told of this chain before, in any order."""
        self.head = start
        self._told: dict[int, set[str]] = {}
        for head in heads:
            self._told.setdefault(head.position, set()).add(head.hash)

    def follow(self, links: Iterable[Link]) -> Break | None:
        """Go on over rows; give the first that is bad. After a break, go no further."""
        for link in links:
            if (what := self._wrong(link)) is not None:
                missing = link.position > self.head.position + 1
                return Break(self.head.position + 1 if missing else link.position, what)
            self.head = link.head
        return None

    def end(self) -> Break | None:
        """Say, after the last row, whether heads were told that the chain does not reach."""
        beyond = [position for position in self._told if position > self.head.position]
        if not beyond:
            return None
        return Break(
            self.head.position + 1,
            f"the chain ends at row {self.head.position}, but its head was told to be at row {max(beyond)}: its end was"
            " cut off",
        )

    def _wrong(self, link: Link) -> str | None:
        expected, number = self.head.position + 1, link.position
        column = _differing(link)
        rules = (
            (number > expected, f"row {expected} is missing: row {number} comes after row {self.head.position}"),
            (number < expected, f"row {number} comes after row {self.head.position}"),
            (
                link.previous != self.head.hash,
                f"row {number} does not follow row {self.head.position}: one of them was changed or moved",
            ),
            (
                chain_hash(link.previous, link.entry) != link.hash,
                f"row {number} was edited: its entry and its hash do not belong together",
            ),
            (column is not None, f"row {number} was edited: its column {column} is not what its entry says"),
            (
                self._told.get(number, {link.hash}) != {link.hash},
                f"row {number} is not the head that was told of it: the chain was written anew",
            ),
        )
        return next((what for is_wrong, what in rules if is_wrong), None)


def _differing(link: Link) -> str | None:
    try:
        said: Mapping[str, Any] = json.loads(link.entry)
        columns = {
            "position": said["position"] == link.position,
            "at": datetime.fromisoformat(said["at"]) == link.at,
            "kind": said["kind"] == link.kind,
            "subject": said["subject"] == link.subject,
            "correlation_id": (None if said["correlation_id"] is None else UUID(said["correlation_id"]))
            == link.correlation_id,
        }
    except (ValueError, KeyError, TypeError):
        return "entry"
    return next((name for name, is_same in columns.items() if not is_same), None)


def sign(owner: str, head: AuditHead, key: bytes) -> AuditHead:
    """Give the head with its signature. Raises `ValueError` for a key shorter than 32 bytes."""
    return head.model_copy(update={"signature": _signature(owner, head, key)})


def is_signed(owner: str, head: AuditHead, key: bytes) -> bool:
    """Say whether a head is what the service with this key told of its own chain."""
    return hmac.compare_digest(head.signature, _signature(owner, head, key))


def _signature(owner: str, head: AuditHead, key: bytes) -> str:
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"the audit key has {len(key)} bytes; it needs at least {KEY_BYTES_MIN}")
    at = head.at.astimezone(UTC).isoformat(timespec="microseconds")
    return hmac.new(key, f"{owner}\n{head.position}\n{head.hash}\n{at}".encode(), hashlib.sha256).hexdigest()
