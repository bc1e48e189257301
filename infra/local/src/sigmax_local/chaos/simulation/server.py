"""A database in memory: READ COMMITTED, row locks, deadlocks, and commits whose answer gets lost.

It follows PostgreSQL in what the handlers can notice. Every statement sees what is committed and what its own
transaction wrote; a row, or the entry of a unique index, belongs to one transaction until that ends; who waits for it
then sees what became of it. A commit is carried out once its bytes have left, whatever happens to who asked for it.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.process import Process

STATEMENT_S = (0.0005, 0.003)
STATEMENT_TIMEOUT_S = 5.0
"""Of a statement that waits for a lock; shorter than in production, as all else here."""
IDLE_TIMEOUT_S = 6.0
"""After which the server ends a transaction whose process does nothing."""
_REFUSED_S = 0.3
"""Until a process that is cut off gives up on one statement."""

Key = tuple[str, Any]
"""A row: its table, and its key in it."""


class StoreAwayError(OSError):
    """The server was not reached, or ended the transaction: a fault that passes."""


@dataclass
class Tables:
    """What is committed: rows by table and key, in the order in which they were added."""

    rows: dict[str, dict[Any, Any]] = field(default_factory=dict)

    def of(self, table: str) -> dict[Any, Any]:
        """Give the rows of one table."""
        return self.rows.setdefault(table, {})


class Transaction:
    """One connection's open transaction."""

    def __init__(self, server: "Server", process: Process) -> None:
        self.server = server
        self.process = process
        self.writes: dict[Key, Any] = {}
        """None is a deleted row."""
        self.is_open = True
        self.waits_for: Transaction | None = None
        self._held: list[Key] = []
        self._ended: list[asyncio.Future[None]] = []
        self._used_at = server.loop.time()
        self._watch: asyncio.TimerHandle | None = None
        process.at_death.append(self.abort)

    async def statement(self, doing: str) -> None:
        """Wait until the server takes the statement."""
        process = self.process
        if process.reaches("store"):
            await process.hop(doing, self.server.chance.uniform(*STATEMENT_S))
        if not process.reaches("store"):
            await process.hop(f"{doing}: cut off", _REFUSED_S)
            raise StoreAwayError("the server does not answer")
        if self.server.faults.pop(process.name, None):
            self.abort()
            raise StoreAwayError("could not serialize access, or the server went away")
        self._check()
        self._used_at = self.server.loop.time()
        if self._watch is None:
            self._watch = self.server.loop.call_later(IDLE_TIMEOUT_S, self._look)

    def get(self, table: str, key: Any) -> Any:
        """Give a row as this transaction sees it, or None."""
        if (table, key) in self.writes:
            return self.writes[table, key]
        return self.server.tables.of(table).get(key)

    def all(self, table: str) -> Iterator[tuple[Any, Any]]:
        """Give the rows of a table as this transaction sees them, oldest first."""
        committed = self.server.tables.of(table)
        for key, value in list(committed.items()):
            seen = self.writes.get((table, key), value)
            if seen is not None:
                yield key, seen
        for (of, key), value in list(self.writes.items()):
            if of == table and value is not None and key not in committed:
                yield key, value

    def put(self, table: str, key: Any, value: Any) -> None:
        """Write a row that this transaction holds."""
        self._check()
        self.writes[table, key] = value

    async def hold(self, table: str, key: Any) -> None:
        """Take a row, or wait for whoever has it."""
        row = (table, key)
        loop = self.server.loop
        until = loop.time() + STATEMENT_TIMEOUT_S
        while True:
            self._check()
            owner = self.server.owners.get(row)
            if owner is self:
                return
            if owner is None:
                self.server.owners[row] = self
                self._held.append(row)
                return
            if owner.waits_on(self):
                self.abort()
                raise StoreAwayError(f"deadlock over {table}")
            self.waits_for = owner
            ended = owner.ended()
            self.process.doing = f"lock of {table}"
            timer = loop.call_later(max(until - loop.time(), 0.0), _expire, ended)
            try:
                await ended
            except TimeoutError:
                self.abort()
                raise StoreAwayError(f"statement timeout over {table}") from None
            finally:
                self.waits_for = None
                timer.cancel()
                self._used_at = loop.time()

    def is_free(self, table: str, key: Any) -> bool:
        """Say whether a row can be taken without waiting."""
        return self.server.owners.get((table, key)) in (None, self)

    def waits_on(self, other: "Transaction") -> bool:
        """Say whether this transaction waits, through whomever, for another."""
        waiting: Transaction | None = self
        while waiting is not None:
            if waiting is other:
                return True
            waiting = waiting.waits_for
        return False

    async def commit(self) -> None:
        """Make it so. Raises `StoreAwayError` when that failed, and also when only the answer got lost."""
        self._check()
        if not self.writes:
            self.finish()
            return
        await self.statement("commit asked")
        server, process = self.server, self.process
        fault = server.commit_faults.pop(process.name, "")
        if fault == "before":
            self.abort()
            raise StoreAwayError("the connection died before the commit")
        done = server.loop.create_future()
        server.loop.call_later(server.chance.uniform(*STATEMENT_S), self._carry_out, done)
        process.doing = "commit on its way"
        await done
        await process.hop("commit done", server.chance.uniform(*STATEMENT_S))
        if fault or not process.reaches("store"):
            raise StoreAwayError("the connection died during the commit")

    def _carry_out(self, done: "asyncio.Future[None]") -> None:
        if self.is_open:
            self.server.apply(self.writes)
            self.finish()
            if not done.done():
                done.set_result(None)
        elif not done.done():
            done.set_exception(StoreAwayError("the server ended the transaction"))

    def abort(self) -> None:
        """Roll back, unless it has ended."""
        if self.is_open:
            self.writes.clear()
            self.finish()

    def leave(self) -> None:
        """Close the connection from the client's side: the server sees that at once only if a byte gets through."""
        if self.is_open and self.process.reaches("store"):
            self.abort()
        elif self.is_open:
            self.server.loop.call_later(IDLE_TIMEOUT_S, self.abort)

    def finish(self) -> None:
        """Give back all rows."""
        self.is_open = False
        if self._watch is not None:
            self._watch.cancel()
        for row in self._held:
            del self.server.owners[row]
        waiting, self._ended = self._ended, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self.process.at_death.remove(self.abort)

    def ended(self) -> "asyncio.Future[None]":
        """Give what is done when this transaction ends."""
        future = self.server.loop.create_future()
        self._ended.append(future)
        return future

    def _check(self) -> None:
        if not self.is_open:
            raise StoreAwayError("the server ended the transaction")

    def _look(self) -> None:
        self._watch = None
        idle_s = self.server.loop.time() - self._used_at
        if self.is_open and self.waits_for is None and idle_s >= IDLE_TIMEOUT_S:
            self.abort()
        elif self.is_open:
            self._watch = self.server.loop.call_later(max(IDLE_TIMEOUT_S - idle_s, 0.1), self._look)


class Server:
    """The one database of all replicas."""

    def __init__(self, loop: VirtualLoop, chance: Random) -> None:
        self.loop = loop
        self.chance = chance
        self.tables = Tables()
        self.owners: dict[Key, Transaction] = {}
        self.faults: dict[str, str] = {}
        """By process: its next statement fails."""
        self.commit_faults: dict[str, str] = {}
        """By process: its next commit is lost `before` the server has it, or `after` the server did it."""
        self.claims: dict[tuple[str, int], tuple[Any, ...]] = {}
        """By client order id and fence: the stages as a claim found them. Kept for the checks alone."""
        self.stages: list[tuple[float, Any, Any]] = []
        """When each stage was committed: scope, and row. Kept for the checks alone."""
        self._numbers: dict[str, int] = {}

    def apply(self, writes: dict[Key, Any]) -> None:
        """Commit rows."""
        for (table, key), value in writes.items():
            rows = self.tables.of(table)
            if table == "stages":
                self.stages.append((self.loop.time(), key, value))
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value

    def next(self, sequence: str) -> int:
        """Give the next number of a sequence: it is never given again, whatever becomes of the transaction."""
        self._numbers[sequence] = self._numbers.get(sequence, 0) + 1
        return self._numbers[sequence]

    def restart(self) -> None:
        """End every open transaction."""
        for transaction in list(dict.fromkeys(self.owners.values())):
            transaction.abort()


def _expire(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
