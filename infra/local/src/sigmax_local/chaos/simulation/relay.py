"""The outbox, as `sigmax.runtime.outbox` empties it: at once from memory, and what is left over by a sweep."""

import asyncio

from sigmax.schemas.base import Message
from sigmax_local.chaos.simulation.broker import Broker, BrokerAwayError
from sigmax_local.chaos.simulation.process import Process
from sigmax_local.chaos.simulation.server import Server, StoreAwayError, Transaction

_OLD_ENOUGH_S = 2.0


class Relay:
    """Publishes what one process committed; a message may go out twice, and never before its commit."""

    def __init__(self, server: Server, broker: Broker, process: Process) -> None:
        self._server = server
        self._broker = broker
        self._process = process
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

    def offer(self, letters: list[Message]) -> None:
        """Send these soon."""
        for letter in letters:
            self._queue.put_nowait(letter)

    async def run(self) -> None:
        """Send messages as they are committed."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            outcomes = await asyncio.gather(*(self._publish(each) for each in batch), return_exceptions=True)
            sent = [letter for letter, outcome in zip(batch, outcomes, strict=True) if outcome is None]
            try:
                await self._forget(sent)
            except StoreAwayError:
                continue  # the rows stay, and the sweep sends them once more

    async def sweep(self) -> None:
        """Send what is left over."""
        if not self._server.tables.of("outbox"):
            return  # saves a statement that would find nothing
        transaction = Transaction(self._server, self._process)
        try:
            await transaction.statement("outbox left over")
            for key, (letter, written_at) in transaction.all("outbox"):
                if self._server.loop.time() - written_at < _OLD_ENOUGH_S or not transaction.is_free("outbox", key):
                    continue
                await transaction.hold("outbox", key)
                try:
                    await self._publish(letter)
                except BrokerAwayError:
                    break  # the rest must not overtake it
                transaction.put("outbox", key, None)
            await transaction.commit()
        finally:
            transaction.leave()

    async def _publish(self, letter: Message) -> None:
        await self._broker.publish(self._process, letter)

    async def _forget(self, sent: list[Message]) -> None:
        if not sent:
            return
        transaction = Transaction(self._server, self._process)
        try:
            await transaction.statement("outbox sent")
            for letter in sent:
                await transaction.hold("outbox", letter.message_id)
                transaction.put("outbox", letter.message_id, None)
            await transaction.commit()
        finally:
            transaction.leave()
