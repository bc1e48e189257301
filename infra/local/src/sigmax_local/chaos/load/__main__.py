"""`python -m sigmax_local.chaos.load`: the platform under load, while its services are killed at random."""

import asyncio
import json
import random
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sigmax.runtime.migrate import migrate
from sigmax_local import people
from sigmax_local.bench.recordings import swings
from sigmax_local.chaos.load.judging import Verdict, judge
from sigmax_local.chaos.load.platform import Platform, build
from sigmax_local.environment import make_secrets, repository
from sigmax_local.figures import FiguresReader
from sigmax_local.gateway import Gateway
from sigmax_local.servers import Addresses, Servers

console = Console()
app = typer.Typer(add_completion=False)

INSTRUMENTS = 10
SPARE = 0.7
"""Swings come so much faster than the wanted orders: some meet a service that is just starting."""
_READY_S = 90.0
_TAIL_S = 30
"""Of ticks beyond the time asked for: the start takes some."""
_SHOWN_S = 10.0
_HEARD_S = 3.5


@app.command()
def load(
    minutes: Annotated[float, typer.Option(help="How long to trade.", min=0.2)] = 10,
    orders_per_minute: Annotated[int, typer.Option(help="How many orders shall reach the venue.", min=1)] = 200,
    events_per_s: Annotated[int, typer.Option(help="How many ticks a second.", min=10)] = 50,
    *,
    kill_every_s: Annotated[float, typer.Option(help="Between two kills; 0 for none.", min=0)] = 5,
    seed: Annotated[int, typer.Option(help="Which services are killed, in which order.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path("chaos-load-report.json"),
) -> None:
    """Trade over a recording of swings, kill -9 a random service every few seconds, and check every book in the end."""
    folder = Path(tempfile.mkdtemp(prefix="sigmax-load-"))
    folder.chmod(0o711)  # the user that runs Postgres passes through
    servers = Servers(folder / "servers", durable=True)
    is_green = False
    try:
        addresses = servers.start()
        make_secrets(addresses.secrets)
        addresses.secrets.get("api_gateway", "first_admin_password")
        migrate(addresses.migrator_url, repository() / "services")
        seconds = minutes * 60
        period_s = INSTRUMENTS * 2 * 60 / orders_per_minute * SPARE
        recording = folder / "swings.parquet"
        swings(
            recording,
            instruments=INSTRUMENTS,
            ticks_per_s=events_per_s,
            seconds=int(seconds) + _TAIL_S,
            period_s=period_s,
        )
        platform = build(addresses, recording, folder / "logs")
        verdict, traded_s = asyncio.run(_run(platform, addresses, seconds, kill_every_s, random.Random(seed)))  # noqa: S311
        report = _report(platform, verdict, traded_s, orders_per_minute, events_per_s)
        is_green = not report["failures"]
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        console.print_json(data=report)
        console.print(f"Written to {out}." if is_green else f"Logs are in {folder / 'logs'}.")
    finally:
        servers.stop()
        if is_green:
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if is_green else 1)


async def _run(
    platform: Platform, addresses: Addresses, seconds: float, kill_every_s: float, chance: random.Random
) -> tuple[Verdict, float]:
    supervising = asyncio.create_task(platform.supervisor.run())
    trading = asyncio.create_task(_trade(platform, addresses, seconds, kill_every_s, chance))
    try:
        await asyncio.wait({supervising, trading}, return_when=asyncio.FIRST_COMPLETED)
        if supervising.done():
            supervising.result()
        return trading.result()
    finally:
        for task in (supervising, trading):
            task.cancel()
        await asyncio.gather(supervising, trading, return_exceptions=True)
        platform.supervisor.kill()


async def _trade(
    platform: Platform, addresses: Addresses, seconds: float, kill_every_s: float, chance: random.Random
) -> tuple[Verdict, float]:
    since = datetime.now(UTC)
    async with asyncio.timeout(_READY_S):
        while not platform.supervisor.are_all_ready:  # noqa: ASYNC110 - they are other processes
            await asyncio.sleep(0.2)
    started = shown_at = time.monotonic()
    next_kill = started + kill_every_s
    while (now := time.monotonic()) < started + seconds:
        if kill_every_s and now >= next_kill:
            next_kill = now + kill_every_s * chance.uniform(0.5, 1.5)
            platform.kill_one(chance)
        if now >= shown_at + _SHOWN_S:
            shown_at = now
            killed = sum(platform.kills.values())
            console.print(f"{now - started:5.0f} s of {seconds:.0f} s, {killed} kills, {len(platform.running)} ready")
        await asyncio.sleep(0.1)
    await platform.supervisor.retire("collector")
    async with asyncio.timeout(_READY_S):
        while not all(one.is_ready or one.is_retired for one in platform.supervisor.watched):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    traded_s = time.monotonic() - started
    await asyncio.sleep(_HEARD_S)
    async with Gateway(platform.gateway_url) as gateway:
        await people.sign_in(gateway, addresses.secrets.folder)
        return await judge(addresses, FiguresReader(gateway, since)), traded_s


def _report(
    platform: Platform, verdict: Verdict, traded_s: float, orders_per_minute: int, events_per_s: int
) -> dict[str, Any]:
    rate = verdict.orders / traded_s * 60
    failures = verdict.failures
    if rate < orders_per_minute:
        failures.append(f"{rate:.0f} orders a minute reached the venue, {orders_per_minute} were asked for")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(traded_s),
        "events_per_s": events_per_s,
        "orders": verdict.orders,
        "orders_per_minute": round(rate),
        "approved": verdict.approved,
        "denied": verdict.denials,
        "kills": dict(sorted(platform.kills.items())),
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "books": {each.invariant: each.holds for each in verdict.findings},
        "tick_to_order_ms": verdict.tick_to_order_ms,
        "event_to_decision_ms": verdict.event_to_decision_ms,
        "failures": failures,
    }


if __name__ == "__main__":
    app()
