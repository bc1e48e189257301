"""The audit chain: each entry's hash covers the one before, so that no entry can be changed or taken out unseen."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

GENESIS = "0" * 64
"""What the first entry follows."""


@dataclass(frozen=True)
class AuditEntry:
    """One thing that somebody did, or tried to do."""

    at: datetime
    actor: str
    """The login, or `system`."""
    action: str
    subject: str
    detail: dict[str, str]
    """Numbers and names; never a secret."""
    address: str

    def canonical(self) -> bytes:
        """Give the one byte form of the entry that is hashed."""
        parts = {
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": self.actor,
            "action": self.action,
            "subject": self.subject,
            "detail": self.detail,
            "address": self.address,
        }
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def chain_hash(previous: str, entry: AuditEntry) -> str:
    """Give the hash of an entry that follows `previous`, hex."""
    return hashlib.sha256(previous.encode() + b"\n" + entry.canonical()).hexdigest()


def first_break(entries: Iterable[tuple[int, AuditEntry, str, str]], previous: str = GENESIS) -> int | None:
    """Give the id of the first entry (id, entry, previous hash, hash) that does not fit its chain, or None."""
    for entry_id, entry, stated_previous, stated_hash in entries:
        if stated_previous != previous or chain_hash(previous, entry) != stated_hash:
            return entry_id
        previous = stated_hash
    return None
