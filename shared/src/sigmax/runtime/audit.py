"""A service's own look at its audit chain: is it whole, and where does it stand? The second answer leaves the host.

A chain that does not hold is told to people at once, and the service is not ready from then on: nothing may be sent
that cannot be shown to have been recorded.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from prometheus_client import Gauge
from pydantic import Field, SecretStr, field_validator
from sqlalchemy import text

from sigmax.domain.audit import KEY_BYTES_MIN, START, Break, Head, Link, Walk, sign
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database
from sigmax.runtime.service import Service
from sigmax.runtime.settings import ServiceSettings
from sigmax.schemas.control import Alert, AuditHead
from sigmax.schemas.types import AlertLevel

log = structlog.get_logger()

RECENT = 1000
"""Rows that a start looks at: a whole chain would keep a service from starting for longer each year."""
_BATCH = 100
"""So few that nothing else in the process waits for longer than a moment."""
_PAUSE_S = 0.01
_FIRST_WHOLE_S = 600.0
_WHOLE_S = 86_400.0

_whole = Gauge("sigmax_audit_whole", "1 while the service's audit chain holds, 0 once it is broken")
_position = Gauge("sigmax_audit_position", "The newest row of the service's audit chain, as last looked at")

_ROWS = text(
    "SELECT position, at, kind, subject, correlation_id, entry, previous, hash FROM audit_log"
    " WHERE position > :after ORDER BY position LIMIT :count"
)
_NEWEST = text("SELECT position, hash, at FROM audit_log ORDER BY position DESC LIMIT 1")
_AT = text("SELECT position, hash FROM audit_log WHERE position = :position")


class AuditedSettings(ServiceSettings):
    """What a service with an audit chain is told beside the rest."""

    audit_key: SecretStr
    """Signs the heads of the chain; each service has its own. A new key goes before the old ones, a line each: the
    first one signs, and what the others signed can still be told from a forgery."""
    audit_interval_s: float = Field(default=3600.0, gt=0)
    """Between two heads, and two looks at what was added."""

    @field_validator("audit_key")
    @classmethod
    def _key_is_long(cls, key: SecretStr) -> SecretStr:
        if min((len(one.encode()) for one in key.get_secret_value().split()), default=0) < KEY_BYTES_MIN:
            raise ValueError(f"audit_key needs at least {KEY_BYTES_MIN} bytes")
        return key


class AuditWatch:
    """Verifies one service's chain and tells its heads."""

    def __init__(self, database: Database, clock: ClockPort, owner: str, key: bytes) -> None:
        self._database = database
        self._clock = clock
        self._owner = owner
        self._key = key
        self._seen = START
        """Up to here the chain was found whole by this process."""
        self.broken: Break | None = None

    @property
    def is_whole(self) -> bool:
        """Say whether the chain held at every look."""
        return self.broken is None

    async def check(self) -> str | None:
        """Say for the readiness what is wrong."""
        return None if self.broken is None else self.broken.what

    async def look_at_recent(self) -> None:
        """Verify the last rows: at the start."""
        async with self._database.reading() as session:
            newest = (await session.execute(_NEWEST)).first()
            before = max(0, newest.position - RECENT) if newest else 0
            first = (await session.execute(_AT, {"position": before})).first() if before else None
        # A row that is missing here is missing in the walk as well.
        await self._verify(Head(first.position, first.hash) if first else START)

    async def look_at_new(self) -> None:
        """Verify what was added since the last look, and that what was seen then still stands."""
        seen = self._seen
        if seen.position:
            async with self._database.reading() as session:
                row = (await session.execute(_AT, {"position": seen.position})).first()
            if row is None or row.hash != seen.hash:
                what = f"row {seen.position} is not what it was at the last look: the chain was cut, or written anew"
                await self._conclude(Break(seen.position, what))
                return
        await self._verify(seen)

    async def look_at_all(self) -> None:
        """Verify the chain from its first row on."""
        await self._verify(START, until=self._seen)

    async def tell(self) -> None:
        """Publish the newest head; the same head told again is one message."""
        async with self._database.transaction() as unit:
            newest = (await unit.session.execute(_NEWEST)).first()
            if newest is None:
                return
            _position.set(newest.position)
            head = AuditHead(
                **AuditHead.first(f"{self._owner}:{newest.position}:{newest.hash}", self._clock.now()),
                producer=self._owner,
                position=newest.position,
                hash=newest.hash,
                at=newest.at,
            )
            unit.publish(sign(self._owner, head, self._key))

    async def _verify(self, start: Head, until: Head = START) -> None:
        walk = Walk([until] if until.position else [], start)
        broken = None
        while broken is None:
            async with self._database.reading() as session:
                rows = (await session.execute(_ROWS, {"after": walk.head.position, "count": _BATCH})).all()
            if not rows:
                broken = walk.end()
                break
            broken = walk.follow(Link(*row) for row in rows)
            await asyncio.sleep(_PAUSE_S)
        if broken is None:
            self._seen = walk.head
        await self._conclude(broken)

    async def _conclude(self, broken: Break | None) -> None:
        if broken is not None:
            self.broken = broken
        _whole.set(self.is_whole)
        if broken is None:
            return
        log.critical("audit_broken", position=broken.position, what=broken.what)
        now = self._clock.now()
        async with self._database.transaction() as unit:
            unit.publish(
                Alert(
                    **Alert.first(f"audit:{self._owner}:{broken.position}:{now.isoformat()}", now),
                    producer=self._owner,
                    level=AlertLevel.CRITICAL,
                    code="audit_broken",
                    subject=self._owner,
                    text=f"The audit chain of {self._owner} does not hold: {broken.what}.",
                    values={"position": str(broken.position)},
                    dedupe_key=f"audit_broken:{self._owner}",
                )
            )


@asynccontextmanager
async def watched_audit(service: Service) -> AsyncIterator[AuditWatch]:
    """Look after a service's chain for as long as the context lasts: part of the `wire` of its app.

    Heads leave at the start, at each interval, and at the end.
    """
    settings = service.settings
    assert isinstance(settings, AuditedSettings)
    key = settings.audit_key.get_secret_value().split()[0].encode()
    watch = AuditWatch(service.database, service.clock, settings.owner, key)
    await watch.look_at_recent()
    await watch.tell()

    async def look_at_all_daily() -> None:
        await asyncio.sleep(_FIRST_WHOLE_S)
        while True:
            await watch.look_at_all()
            await asyncio.sleep(_WHOLE_S)

    service.ready_when("audit", watch.check)
    service.every(settings.audit_interval_s, watch.look_at_new, name="audit_new")
    service.every(settings.audit_interval_s, watch.tell, name="audit_heads", singleton=True)
    service.background(look_at_all_daily, name="audit_whole")
    try:
        yield watch
    finally:
        with suppress(Exception):  # the end is told where that is possible; what comes next starts with a head
            await watch.tell()
