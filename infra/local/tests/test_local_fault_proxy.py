"""The proxy that fails on command, over real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sigmax_local.ports import LOOPBACK
from sigmax_local.testkit.fault_proxy import FaultProxy, Loss, Way, fault_proxy

_SILENT_S = 0.2


class Echo:
    """A server that answers each line with it, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            self.heard.append(line)
            writer.write(line)
        writer.close()


@asynccontextmanager
async def a_line() -> AsyncIterator[tuple[FaultProxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, LOOPBACK, 0)
    async with fault_proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy, echo
    server.close()


async def connect(proxy: FaultProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, proxy.port)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes = b"hello\n") -> bytes:
    writer.write(line)
    async with asyncio.timeout(5):
        return await reader.readline()


async def is_silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(_SILENT_S):
            await reader.readline()
    except TimeoutError:
        return True
    return False


async def test_it_passes_on_both_ways() -> None:
    async with a_line() as (proxy, echo):
        assert await ask(*await connect(proxy)) == b"hello\n"
    assert echo.heard == [b"hello\n"]


async def test_a_refusal_stops_new_connections_and_leaves_the_others_alone() -> None:
    async with a_line() as (proxy, _):
        standing = await connect(proxy)
        await ask(*standing)
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        assert await ask(*standing) == b"hello\n"

        await proxy.accept()
        assert await ask(*await connect(proxy)) == b"hello\n"


async def test_a_cut_ends_what_stands_and_takes_new_connections() -> None:
    async with a_line() as (proxy, _):
        reader, writer = await connect(proxy)
        await ask(reader, writer)
        proxy.cut()
        with pytest.raises(ConnectionError):
            if not await ask(reader, writer):
                raise ConnectionError
        assert await ask(*await connect(proxy)) == b"hello\n"


@pytest.mark.parametrize(("way", "is_heard"), [(Way.REQUESTS, False), (Way.REPLIES, True)])
async def test_a_blackhole_holds_one_way_back_and_lets_it_arrive_late(way: Way, is_heard: bool) -> None:
    async with a_line() as (proxy, echo):
        reader, writer = await connect(proxy)
        await ask(reader, writer)
        proxy.blackhole(way)
        writer.write(b"late\n")
        assert await is_silent(reader)
        assert (b"late\n" in echo.heard) is is_heard

        proxy.restore()
        async with asyncio.timeout(5):
            assert await reader.readline() == b"late\n"
    assert echo.heard.count(b"late\n") == 1


async def test_a_delay_and_a_limit_slow_it_down() -> None:
    async with a_line() as (proxy, _):
        line = await connect(proxy)
        proxy.delay(0.1)
        started = time.monotonic()
        await ask(*line)
        assert time.monotonic() - started >= 0.2

        proxy.restore()
        proxy.throttle(60)
        started = time.monotonic()
        await ask(*line, b"twelve bytes\n"[-12:])
        assert time.monotonic() - started >= 0.4


async def test_a_lost_request_does_not_arrive() -> None:
    async with a_line() as (proxy, echo):
        trap = proxy.trap(b"order 7", b"commit", loss=Loss.REQUEST)
        reader, writer = await connect(proxy)
        assert await ask(reader, writer, b"order 7\n") == b"order 7\n"
        writer.write(b"commit\n")
        async with asyncio.timeout(5):
            await trap.sprung.wait()
    assert echo.heard == [b"order 7\n"]


async def test_a_lost_reply_leaves_the_request_done_and_the_connection_cut() -> None:
    async with a_line() as (proxy, echo):
        trap = proxy.trap(b"order 7", b"commit", loss=Loss.REPLY)
        other = await connect(proxy)
        assert await ask(*other, b"commit\n") == b"commit\n"
        reader, writer = await connect(proxy)
        await ask(reader, writer, b"order 7\n")
        with pytest.raises(ConnectionError):
            if not await ask(reader, writer, b"commit\n"):
                raise ConnectionError
        assert trap.sprung.is_set()
        assert await ask(*other, b"commit\n") == b"commit\n"
    assert echo.heard == [b"commit\n", b"order 7\n", b"commit\n", b"commit\n"]


async def test_a_reply_lost_in_silence_leaves_the_connection_open() -> None:
    async with a_line() as (proxy, echo):
        trap = proxy.trap(b"order 7", loss=Loss.SILENCE)
        reader, writer = await connect(proxy)
        writer.write(b"order 7\n")
        assert await is_silent(reader)
        assert trap.sprung.is_set()
        assert not reader.at_eof()
    assert echo.heard == [b"order 7\n"]


@pytest.mark.parametrize(("loss", "heard"), [(Loss.REQUEST, []), (Loss.REPLY, [b"order 7\n"])])
async def test_something_else_is_heard_in_place_of_what_was_lost(loss: Loss, heard: list[bytes]) -> None:
    async with a_line() as (proxy, echo):
        proxy.trap(b"order 7", loss=loss, answer=b"503\n")
        reader, writer = await connect(proxy)
        assert await ask(reader, writer, b"order 7\n") == b"503\n"
        assert await ask(reader, writer, b"order 8\n") == b"order 8\n"
    assert echo.heard == [*heard, b"order 8\n"]


async def test_a_late_request_arrives_late_and_after_its_client_has_gone() -> None:
    async with a_line() as (proxy, echo):
        trap = proxy.trap(b"order 7", loss=Loss.LATENESS, late_s=_SILENT_S)
        _, writer = await connect(proxy)
        writer.write(b"order 7\n")
        async with asyncio.timeout(5):
            await trap.sprung.wait()
        writer.close()
        assert echo.heard == []
        async with asyncio.timeout(5):
            while not echo.heard:
                await asyncio.sleep(0.01)
    assert echo.heard == [b"order 7\n"]


async def test_a_marker_in_two_parts_is_still_found() -> None:
    async with a_line() as (proxy, _):
        trap = proxy.trap(b"order 7", loss=Loss.REQUEST)
        _, writer = await connect(proxy)
        writer.write(b"ord")
        await asyncio.sleep(0.05)
        writer.write(b"er 7\n")
        async with asyncio.timeout(5):
            await trap.sprung.wait()


async def test_a_trap_that_was_taken_away_does_not_spring() -> None:
    async with a_line() as (proxy, _):
        trap = proxy.trap(b"hello", loss=Loss.REQUEST)
        proxy.disarm(trap)
        assert await ask(*await connect(proxy)) == b"hello\n"
    assert not trap.sprung.is_set()
