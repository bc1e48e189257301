"""A TCP proxy that fails on command: what stands between a service and a server, or a venue, in tests.

It refuses, cuts, holds back, delays, throttles, and loses the reply to one request, which it knows by its bytes:
nothing is encrypted on the way between processes of one machine.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from sigmax_local.ports import LOOPBACK

_CHUNK = 65_536
_TAIL = 4096
"""Of what a connection sent last: a marker may lie across two reads."""


class Way(StrEnum):
    """Which way bytes go."""

    REQUESTS = "requests"
    """From the client to the server."""
    REPLIES = "replies"


class Loss(StrEnum):
    """What happens to a request that a trap waits for."""

    REQUEST = "request"
    """It does not arrive: the connection is cut before its last part is passed on."""
    REPLY = "reply"
    """It arrives, and the connection is cut when the server has answered."""
    SILENCE = "silence"
    """It arrives, and the client hears nothing on this connection, which stays open."""
    LATENESS = "lateness"
    """It arrives `late_s` later."""


@dataclass
class Trap:
    """Waits for one request: the first on a connection that has said all markers, in this order."""

    markers: tuple[bytes, ...]
    loss: Loss
    answer: bytes | None = None
    """What the client hears in place of what was lost; the connection stays open then."""
    late_s: float = 0.0
    sprung: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the request came by; with a lost reply, when the server had answered it."""


@dataclass(eq=False)
class _Line:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    said: bytes = b""
    heard_of: dict[int, int] = field(default_factory=dict)
    """How many markers of each trap it has said."""
    losing: Trap | None = None

    def cut(self) -> None:
        """End both halves at once, as a reset does."""
        for writer in (self.client, self.server):
            writer.transport.abort()


class FaultProxy:
    """Forwards one port of the loopback address to another until told otherwise. Use it from one event loop."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.accepted = 0
        """Connections so far."""
        self._server: asyncio.Server | None = None
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[Trap] = []
        self._open = {way: asyncio.Event() for way in Way}
        self._delay_s = dict.fromkeys(Way, 0.0)
        self._bytes_per_s: float | None = None
        self.restore()

    async def start(self) -> None:
        """Listen. The port is the same after each `restore`. Raises `OSError`."""
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection and listen no more."""
        await self.refuse()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refuse(self) -> None:
        """Refuse new connections; those that stand go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    async def accept(self) -> None:
        """Take new connections again."""
        if self._server is None:
            await self.start()

    def cut(self) -> None:
        """Cut every connection that stands."""
        for line in list(self._lines):
            line.cut()

    async def away(self) -> None:
        """Be gone, as a server that was stopped: cut what stands, refuse what comes."""
        await self.refuse()
        self.cut()

    def blackhole(self, *ways: Way) -> None:
        """Let nothing more through; connections stay open. After `restore` what was held back arrives late."""
        for way in ways or tuple(Way):
            self._open[way].clear()

    def delay(self, seconds: float, *ways: Way) -> None:
        """Pass everything on so much later."""
        for way in ways or tuple(Way):
            self._delay_s[way] = seconds

    def throttle(self, bytes_per_s: float | None) -> None:
        """Pass no more than so many bytes a second, on each connection and way; None for no limit."""
        self._bytes_per_s = bytes_per_s

    def trap(self, *markers: bytes, loss: Loss, answer: bytes | None = None, late_s: float = 0.0) -> Trap:
        """Lose one request, or the reply to it, or pass it on late; give what tells when it happened."""
        trap = Trap(markers, loss, answer, late_s)
        self._traps.append(trap)
        return trap

    def disarm(self, trap: Trap) -> None:
        """Take a trap away that has not sprung."""
        with contextlib.suppress(ValueError):
            self._traps.remove(trap)

    def restore(self) -> None:
        """End blackholes, delays, and limits; traps stay, and a refusal ends with `accept`."""
        for event in self._open.values():
            event.set()
        self._delay_s = dict.fromkeys(Way, 0.0)
        self._bytes_per_s = None

    def _accept(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._serve(client_reader, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            server_reader, server = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            client.transport.abort()
            return
        line = _Line(client, server)
        self._lines.add(line)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(line, client_reader))
                group.create_task(self._replies(line, server_reader))
        except* OSError:
            pass
        finally:
            line.cut()
            self._lines.discard(line)

    async def _requests(self, line: _Line, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            trap = self._caught(line, chunk)
            if trap is not None and trap.loss is Loss.REQUEST:
                trap.sprung.set()
                if trap.answer is None:
                    line.cut()
                    return
                await self._pass(trap.answer, line.client, Way.REPLIES)
                continue
            if trap is not None and trap.loss is Loss.LATENESS:
                trap.sprung.set()
                await asyncio.sleep(trap.late_s)
            else:
                line.losing = trap or line.losing
            await self._pass(chunk, line.server, Way.REQUESTS)
        if line.server.can_write_eof():
            line.server.write_eof()

    async def _replies(self, line: _Line, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_CHUNK):
            if line.losing is None:
                await self._pass(chunk, line.client, Way.REPLIES)
                continue
            trap = line.losing
            trap.sprung.set()
            if trap.loss is Loss.REPLY and trap.answer is None:
                line.cut()
                return
            if trap.loss is Loss.REPLY and trap.answer is not None:
                line.losing = None
                await self._pass(trap.answer, line.client, Way.REPLIES)
        line.cut()

    async def _pass(self, chunk: bytes, writer: asyncio.StreamWriter, way: Way) -> None:
        if pause := self._delay_s[way]:
            await asyncio.sleep(pause)
        if self._bytes_per_s:
            await asyncio.sleep(len(chunk) / self._bytes_per_s)
        await self._open[way].wait()
        writer.write(chunk)
        await writer.drain()

    def _caught(self, line: _Line, chunk: bytes) -> Trap | None:
        if not self._traps:
            line.said = chunk[-_TAIL:]
            return None
        text = line.said + chunk
        for trap in list(self._traps):
            start, count = 0, line.heard_of.get(id(trap), 0)
            while count < len(trap.markers) and (at := text.find(trap.markers[count], start)) >= 0:
                start, count = at + len(trap.markers[count]), count + 1
            line.heard_of[id(trap)] = count
            if count == len(trap.markers):
                self._traps.remove(trap)
                return trap
        line.said = text[-_TAIL:]
        return None


@asynccontextmanager
async def fault_proxy(target_port: int) -> AsyncIterator[FaultProxy]:
    """Run a proxy in front of a port for the length of the block."""
    proxy = FaultProxy(target_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
