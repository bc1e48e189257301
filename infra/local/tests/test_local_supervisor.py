"""The supervisor, with tiny processes in place of services."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from sigmax_local.ports import free_ports
from sigmax_local.supervisor import GaveUpError, Program, Restarts, Supervisor, copy_and_truncate

_SERVE = """
import http.server, signal, sys
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"ready": true, "problems": []}'
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Ready)
def end(*_):
    print("stopped gracefully", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
server.serve_forever()
"""
_QUICK = Restarts(first_pause_s=0.01, pause_max_s=0.05, crashes_max=5, window_s=60)


def a_server(name: str, folder: Path) -> Program:
    port = free_ports(1)[0]
    command = [sys.executable, "-c", _SERVE, str(port)]
    return Program(name, command, dict(os.environ), folder / f"{name}.log", f"http://127.0.0.1:{port}")


async def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # gone, or gone between opening and reading
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_killed_process_is_started_again_and_counted(tmp_path: Path) -> None:
    supervisor = Supervisor([[a_server("one", tmp_path), a_server("two", tmp_path)]], _QUICK)
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: supervisor.are_all_ready)
        one, two = supervisor.watched
        first_pid, other_pid = one.pid, two.pid
        assert first_pid is not None
        os.kill(first_pid, signal.SIGKILL)
        await until(lambda: one.is_ready and one.pid not in (None, first_pid))
        assert one.restarts == 1
        assert (two.pid, two.restarts) == (other_pid, 0)
    finally:
        running.cancel()
        await supervisor.stop()


async def test_the_next_group_starts_when_the_one_before_is_ready(tmp_path: Path) -> None:
    supervisor = Supervisor([[a_server("first", tmp_path)], [a_server("second", tmp_path)]], _QUICK)
    was_ready_first = []

    def look() -> None:
        first, second = supervisor.watched
        if second.pid is not None:
            was_ready_first.append(first.was_ready)

    running = asyncio.create_task(supervisor.run(look))
    try:
        await until(lambda: supervisor.are_all_ready)
        assert all(was_ready_first)
    finally:
        running.cancel()
        await supervisor.stop()


async def test_a_process_that_will_not_stay_up_ends_the_stack_and_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no disk'); raise SystemExit(7)"]
    supervisor = Supervisor([[Program("broken", command, dict(os.environ), tmp_path / "broken.log")]], _QUICK)

    with pytest.raises(GaveUpError, match=r"broken ended 5 times .* code 7(.|\n)*no disk"):
        await asyncio.wait_for(supervisor.run(), 20)


async def test_bad_settings_are_not_tried_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('set SIGMAX_X'); raise SystemExit(2)"]
    supervisor = Supervisor(
        [[Program("broken", command, dict(os.environ), tmp_path / "broken.log", "http://x")]], _QUICK
    )

    with pytest.raises(GaveUpError, match=r"broken ended at its start(.|\n)*set SIGMAX_X"):
        await asyncio.wait_for(supervisor.run(), 20)


async def test_a_process_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    restarts = Restarts(first_pause_s=0.01, silence_max_s=3.0)
    supervisor = Supervisor([[a_server("one", tmp_path)]], restarts)
    running = asyncio.create_task(supervisor.run())
    try:
        await until(lambda: supervisor.are_all_ready)
        pid = supervisor.watched[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: supervisor.watched[0].restarts == 1 and supervisor.are_all_ready)
        assert not is_alive(pid)
    finally:
        running.cancel()
        await supervisor.stop()


async def test_stopping_asks_first_and_keeps_the_order(tmp_path: Path) -> None:
    supervisor = Supervisor([[a_server(name, tmp_path) for name in ("feed", "worker", "venue")]], _QUICK)
    running = asyncio.create_task(supervisor.run())
    await until(lambda: supervisor.are_all_ready)
    running.cancel()
    await supervisor.stop([["feed"], ["worker"]])

    logs = [tmp_path / f"{name}.log" for name in ("feed", "worker", "venue")]
    assert all("stopped gracefully" in log.read_text() for log in logs)
    assert [log.stat().st_mtime_ns for log in logs] == sorted(log.stat().st_mtime_ns for log in logs)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent death signal is Linux's")
async def test_even_a_killed_supervisor_leaves_no_process_behind(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import asyncio, os, pathlib, sys
        from sigmax_local.supervisor import Program, Supervisor
        sleeper = Program("sleeper", ["sleep", "1000"], dict(os.environ), pathlib.Path({str(tmp_path / "s.log")!r}))
        supervisor = Supervisor([[sleeper]])
        def show():
            if supervisor.watched[0].pid:
                print(supervisor.watched[0].pid, flush=True)
        asyncio.run(supervisor.run(show))
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        # Before it becomes the sleeper the child has not told the kernel yet.
        await until(lambda: Path(f"/proc/{pid}/comm").read_text(encoding="ascii") == "sleep\n")
        parent.kill()
    await until(lambda: not is_alive(pid))


def test_a_log_that_grew_large_is_put_aside_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "s.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        copy_and_truncate(log, bytes_max=50)
        writer.write(b"b")
    assert log.read_bytes() == b"b"
    assert (tmp_path / "s.log.1").read_bytes() == b"a" * 100


def test_a_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "s.log"
    log.write_bytes(b"a")
    copy_and_truncate(log)
    assert log.read_bytes() == b"a"
