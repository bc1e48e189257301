"""`python -m sigmax_local.chaos.load`: the platform under load, while its services are killed at random."""

import asyncio
import json
import random
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from sigmax.runtime.migrate import migrate
from sigmax_local.bench.recordings import swings
from sigmax_local.chaos.load.judging import Verdict
from sigmax_local.chaos.load.people import People
from sigmax_local.chaos.load.platform import build
from sigmax_local.chaos.load.run import LoadRun
from sigmax_local.environment import make_secrets, repository
from sigmax_local.servers import Servers

console = Console()
app = typer.Typer(add_completion=False)

INSTRUMENTS = 20
SPARE = 0.42
"""Swings come so much faster than the wanted orders: some meet a service that is just starting."""
SWING = 0.004
"""Less than the half percent by which a price may differ from our venue's last fill."""
_TAIL_S = 60
"""Of ticks beyond the time asked for: the start takes some."""


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
        recording = folder / "swings.parquet"
        swings(
            recording,
            instruments=INSTRUMENTS,
            ticks_per_s=events_per_s,
            seconds=int(minutes * 60) + _TAIL_S,
            period_s=INSTRUMENTS * 2 * 60 / orders_per_minute * SPARE,
            swing=SWING,
        )
        run = LoadRun(
            build(addresses, recording, folder / "logs"),
            People(addresses),
            addresses,
            minutes * 60,
            kill_every_s,
            random.Random(seed),  # noqa: S311 - it chooses what is killed, no secret
            console.print,
        )
        verdict = asyncio.run(run.run())
        report = _report(run, verdict, orders_per_minute, events_per_s)
        is_green = not report["failures"]
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        console.print_json(data=report)
        console.print(f"Written to {out}." if is_green else f"Written to {out}; the logs are in {folder / 'logs'}.")
    finally:
        servers.stop()
        if is_green:
            shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(0 if is_green else 1)


def _report(run: LoadRun, verdict: Verdict, orders_per_minute: int, events_per_s: int) -> dict[str, Any]:
    rate = verdict.orders / run.traded_s * 60
    failures = verdict.failures
    if rate < orders_per_minute:
        failures.append(f"{rate:.0f} orders a minute reached the venue, {orders_per_minute} were asked for")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(run.traded_s),
        "events_per_s": events_per_s,
        "orders": verdict.orders,
        "orders_per_minute": round(rate),
        "approved": verdict.approved,
        "denied": verdict.denials,
        "kills": dict(sorted(run.platform.kills.items())),
        "trading_fell": dict(run.operators.falls.most_common()),
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "books": {each.invariant: each.holds for each in verdict.findings},
        "tick_to_order_ms": verdict.tick_to_order_ms,
        "event_to_decision_ms": verdict.event_to_decision_ms,
        "failures": failures,
    }


if __name__ == "__main__":
    app()
