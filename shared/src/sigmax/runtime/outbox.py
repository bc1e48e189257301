"""Sends what has been committed to the outbox: at least once, with a confirm, never before the commit."""

import asyncio

import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy import text

from sigmax.runtime.database import Database, Letter
from sigmax.runtime.rabbitmq import Publisher
from sigmax.runtime.tracing import failed

log = structlog.get_logger()

SWEEP_S = 1.0
_OLD_ENOUGH_S = 2.0
"""A row younger than this is most likely just being sent by the process that committed it."""
_BATCH_MAX = 200

_pending = Gauge("sigmax_outbox_pending", "Messages committed and not yet confirmed by the broker")
_age = Gauge("sigmax_outbox_age_seconds", "Age of the oldest message not yet confirmed")
_failed = Counter("sigmax_outbox_failures_total", "Publishes that the broker did not confirm")

_DONE = text("DELETE FROM outbox WHERE message_id = ANY(CAST(:ids AS uuid[]))")
_LEFT_OVER = text(
    "SELECT message_id, topic, body, headers FROM outbox WHERE created_at < now() - make_interval(secs => :age_s)"
    " ORDER BY sequence LIMIT :count FOR UPDATE SKIP LOCKED"
)
_BACKLOG = text("SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox")


class OutboxRelay:
    """Publishes committed messages.

    The process that commits a message sends it at once, from memory. A sweep sends what is left over after a crash or
    while the broker was away, under row locks so that replicas share the work. A message may go out twice; the inbox of
    its readers drops the second.
    """

    def __init__(self, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher
        self._queue: asyncio.Queue[Letter] = asyncio.Queue()
        self._sending: asyncio.Task[None] | None = None
        database.on_commit = self._offer

    def _offer(self, letters: list[Letter]) -> None:
        for letter in letters:
            self._queue.put_nowait(letter)

    async def run(self) -> None:
        """Send messages as they are committed, until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < _BATCH_MAX:
                batch.append(self._queue.get_nowait())
            self._sending = asyncio.create_task(self._send(batch))
            # What is on its way when this is cancelled is confirmed and marked all the same: `drain` waits for it.
            await asyncio.shield(self._sending)

    async def drain(self) -> None:
        """Send what this process has committed and not yet sent; what fails is left to the sweep."""
        if self._sending is not None:
            await self._sending
        batch = []
        while not self._queue.empty():
            batch.append(self._queue.get_nowait())
        if batch:
            await self._send(batch)

    async def _send(self, batch: list[Letter]) -> None:
        outcomes = await asyncio.gather(
            *(
                self._publisher.publish(
                    letter.topic, letter.body, letter.message_id, {"traceparent": letter.traceparent}
                )
                for letter in batch
            ),
            return_exceptions=True,
        )
        sent = []
        for letter, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                _failed.inc()
                log.warning("publish_failed", topic=letter.topic, message_id=str(letter.message_id), error=str(outcome))
                failed(letter.span, type(outcome).__name__)
            else:
                sent.append(letter.message_id)
            letter.span.end()
        if sent:
            try:
                async with self._database.reading() as session:
                    await session.execute(_DONE, {"ids": sent})
            except Exception as error:  # the rows stay, so the sweep sends them once more
                log.warning("outbox_mark_failed", error=str(error))

    async def sweep(self) -> None:
        """Send what is left over: called every second by each replica."""
        async with self._database.transaction() as unit:
            rows = (await unit.session.execute(_LEFT_OVER, {"age_s": _OLD_ENOUGH_S, "count": _BATCH_MAX})).all()
            sent = []
            for row in rows:
                try:
                    await self._publisher.publish(row.topic, row.body, row.message_id, {"traceparent": row.headers})
                except Exception as error:
                    _failed.inc()
                    log.warning("publish_failed", topic=row.topic, message_id=str(row.message_id), error=str(error))
                    break  # the rest must not overtake it
                sent.append(row.message_id)
            if sent:
                await unit.session.execute(_DONE, {"ids": sent})
        async with self._database.reading() as session:
            count, age_s = (await session.execute(_BACKLOG)).one()
        _pending.set(count)
        _age.set(float(age_s))
