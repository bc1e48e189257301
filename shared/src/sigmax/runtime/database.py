"""One transaction per message or request: the data, what was read, and what is to be told commit together."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from opentelemetry.trace import Span
from sqlalchemy import URL, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from sigmax.runtime.tracing import posted
from sigmax.schemas.base import Message

_STATEMENT_TIMEOUT_MS = 15_000
_IDLE_TIMEOUT_MS = 30_000

_INBOX = text(
    "INSERT INTO inbox (message_id, topic) VALUES (:message_id, :topic) ON CONFLICT DO NOTHING RETURNING message_id"
)
_OUTBOX = text(
    "INSERT INTO outbox (message_id, topic, body, headers)"
    " SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:topics AS text[]), CAST(:bodies AS bytea[]),"
    " CAST(:headers AS text[])) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it lies in the outbox and goes over the wire."""

    message_id: UUID
    topic: str
    body: bytes
    traceparent: str
    """Of the work that published it: whoever sends it is not part of that trace."""
    span: Span
    """Until the broker confirms, when its sender ends it. Where the transaction fails nobody does: it was not sent."""


class Unit:
    """One open transaction. `session` has the service's own schema as its search path."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.outgoing: list[Letter] = []

    async def first_time(self, message: Message) -> bool:
        """Enter the message in the inbox; False means that this service has handled it already."""
        row = await self.session.execute(_INBOX, {"message_id": message.message_id, "topic": message.topic})
        return row.first() is not None

    def publish(self, message: Message) -> None:
        """Put the message into the outbox: it leaves once, and only if, this transaction commits."""
        self.outgoing.append(Letter(message.message_id, message.topic, message.encode(), *posted(message)))

    async def copy(self, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Append many rows with COPY, the fastest way in; a row that breaks a constraint fails them all."""
        connection = await (await self.session.connection()).get_raw_connection()
        driver: Any = connection.driver_connection
        if not driver.is_in_transaction():
            # The session begins its transaction with its first statement, and COPY goes past the session.
            await self.session.execute(text("SELECT 1"))
        await driver.copy_records_to_table(table, columns=list(columns), records=rows)

    async def flush_outbox(self) -> None:
        """Write the outbox rows; called once, just before the commit."""
        if self.outgoing:
            await self.session.execute(
                _OUTBOX,
                {
                    "ids": [letter.message_id for letter in self.outgoing],
                    "topics": [letter.topic for letter in self.outgoing],
                    "bodies": [letter.body for letter in self.outgoing],
                    "headers": [letter.traceparent for letter in self.outgoing],
                },
            )


class Database:
    """The service's own schema in Postgres, under its own login."""

    def __init__(self, url: URL, *, owner: str, application: str, pool_max: int = 10) -> None:
        server_settings = {
            "search_path": owner,
            "application_name": application,
            "statement_timeout": str(_STATEMENT_TIMEOUT_MS),
            "idle_in_transaction_session_timeout": str(_IDLE_TIMEOUT_MS),
            "timezone": "UTC",
            # Short statements by the thousand: compiling them would cost more than running them.
            "jit": "off",
        }
        self.url = url
        self.engine = create_async_engine(
            url,
            pool_size=pool_max,
            max_overflow=0,
            pool_timeout=10,
            pool_recycle=1800,
            connect_args={"server_settings": server_settings, "timeout": 5, "command_timeout": 20},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self._autocommit = async_sessionmaker(
            self.engine.execution_options(isolation_level="AUTOCOMMIT"), expire_on_commit=False
        )
        self.on_commit: Callable[[list[Letter]], None] = lambda _letters: None
        """Told of every message whose transaction has committed: the relay sends it at once."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        """Open a transaction; it commits on leaving, and rolls back when the block raises."""
        async with self._sessions() as session, session.begin():
            unit = Unit(session)
            yield unit
            await unit.flush_outbox()
        if unit.outgoing:
            self.on_commit(unit.outgoing)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncSession]:
        """Open a session for reads: every statement sees the newest committed data."""
        async with self._autocommit() as session:
            yield session

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def asyncpg_url(url: str, user: str, password: str) -> URL:
    """Turn `postgresql://host:port/database` into the driver's URL with a login."""
    parts = urlsplit(url)
    return URL.create(
        "postgresql+asyncpg", user, password, parts.hostname, parts.port or 5432, parts.path.lstrip("/") or "sigmax"
    )
