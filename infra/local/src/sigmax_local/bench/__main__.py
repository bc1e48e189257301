"""`make bench`: measure, print, and write the figures as JSON."""

import asyncio
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sigmax.runtime.migrate import migrate
from sigmax_local.bench import containers, floor, measures, scaling, stops
from sigmax_local.environment import make_secrets, repository
from sigmax_local.servers import Addresses, Servers
from sigmax_local.testkit.cleaning import Cleaner

T = TypeVar("T")
console = Console()
app = typer.Typer(add_completion=False)

P50_BUDGET = 3.0
P99_BUDGET = 6.0
TICKS_BUDGET = 20_000
ORDERS_BUDGET = 100
TRACE_RATIOS = (0.01, 1.0)
STOPS = 40


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path("bench-report.json"),
    seconds: Annotated[int, typer.Option(help="How long to trade for tick-to-order.", min=5)] = 60,
    ticks: Annotated[int, typer.Option(help="How many ticks to push through.", min=5000)] = 1_000_000,
    orders: Annotated[int, typer.Option(help="How many orders to send at once.", min=10)] = 2000,
) -> None:
    """Measure tick-to-order beside the bare floor of the same hops, the cost of tracing, ticks/s, orders/s, and memory.

    The servers are private ones with durable settings; ratios taken in one run hold on any machine.
    """
    with (
        private_servers() as (addresses, folder),
        Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress,
    ):
        report = _of_processes(Bench(addresses, folder, progress), seconds, ticks, orders)
    report["containers"] = _in_containers(seconds, orders)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    console.print(_table(report))
    console.print(f"Written to {out}.")


@dataclass(frozen=True)
class Bench:
    """The servers that are measured on, and what shows how far it is."""

    addresses: Addresses
    folder: Path
    progress: Progress

    def step(self, description: str, work: Callable[[Addresses, Path], Coroutine[Any, Any, T]]) -> T:
        """Measure one thing on emptied servers."""
        Cleaner(self.addresses).reset(repository() / "services")
        return self.shown(description, lambda: asyncio.run(work(self.addresses, self.folder)))

    def shown(self, description: str, work: Callable[[], T]) -> T:
        """Do something under its own line of the progress."""
        task = self.progress.add_task(description, total=1)
        result = work()
        self.progress.update(task, completed=1)
        return result


def _of_processes(bench: Bench, seconds: int, ticks: int, orders: int) -> dict[str, Any]:
    """Measure the services as processes of this machine."""
    urls = bench.addresses.admin_urls
    bare = bench.shown("the bare floor", lambda: floor.measure(urls, count=300, per_second=10))
    latencies, memory = bench.step("tick to order", partial(measures.tick_to_order, seconds=seconds))
    traced = {
        ratio: bench.step(
            f"tick to order, {ratio:.0%} traced", partial(measures.tick_to_order, seconds=seconds, trace_ratio=ratio)
        )[0]
        for ratio in TRACE_RATIOS
    }
    rate, arrived = bench.step("ticks per second", partial(measures.ticks_per_second, ticks=ticks))
    order_rate = bench.step("orders per second", partial(measures.orders_per_second, orders=orders))
    scales = [
        bench.step(
            f"orders per second, {workers} order-workers",
            partial(scaling.scale, workers=workers, orders=orders // 2),
        )
        for workers in scaling.WORKERS
    ]
    exits = {
        rests: bench.step("tick to stop", partial(stops.stop_latency, stops=STOPS, rests=rests))
        for rests in (False, True)
    }
    naked = bench.step("naked at the venue", partial(stops.naked_time, count=STOPS))
    return {
        "version": version("sigmax"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "floor_ms": _quantiles(bare),
        "tick_to_order_ms": _quantiles(latencies),
        "tick_to_order_over_floor": _over(_quantiles(latencies), _quantiles(bare)),
        "tick_to_order_traced_over_untraced": {
            str(ratio): _over(_quantiles(times), _quantiles(latencies)) for ratio, times in traced.items()
        },
        "ticks_per_second": round(rate),
        "ticks_arrived": round(arrived, 6),
        "orders_per_second": round(order_rate, 1),
        "orders_at_a_venue_of_50_ms": [asdict(each) for each in scales],
        "tick_to_stop_ms": _quantiles(exits[False]),
        "tick_to_stop_after_a_resting_one_ms": _quantiles(exits[True]),
        "naked_while_a_resting_stop_is_replaced": asdict(naked),
        "rss_mb": memory,
    }


def _in_containers(seconds: int, orders: int) -> dict[str, Any]:
    """Measure the same through the containers; where that cannot be done, give the reason."""
    if why := containers.problem():
        return {"skipped": why}
    console.print("The same in containers: tick to order, orders per second")
    latencies, rate = asyncio.run(containers.measure(seconds, orders))
    return {"tick_to_order_ms": _quantiles(latencies), "orders_per_second": round(rate, 1)}


@contextmanager
def private_servers() -> "Iterator[tuple[Addresses, Path]]":
    """Run durable servers in a temporary folder, migrated, for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="sigmax-bench-"))
    folder.chmod(0o711)  # the user that runs Postgres passes through
    servers = Servers(folder, durable=True)
    try:
        addresses = servers.start()
        make_secrets(addresses.secrets)
        migrate(addresses.migrator_url, repository() / "services")
        yield addresses, folder
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _quantiles(seconds: list[float]) -> dict[str, float]:
    """Give p50, p99 in milliseconds, and how many there were."""
    ordered = sorted(seconds)
    if not ordered:
        raise typer.BadParameter("no order was sent, so there is no latency to tell; see the services' logs")
    last = len(ordered) - 1
    return {
        "p50": round(ordered[last // 2] * 1000, 2),
        "p99": round(ordered[round(last * 0.99)] * 1000, 2),
        "count": len(ordered),
    }


def _over(measured: dict[str, float], base: dict[str, float]) -> dict[str, float]:
    return {name: round(measured[name] / base[name], 2) for name in ("p50", "p99")}


def _table(report: dict[str, Any]) -> Table:
    table = Table("measure", "figure", "budget", title="Sigma-X bench")
    ratio, slow, bare = report["tick_to_order_over_floor"], report["tick_to_order_ms"], report["floor_ms"]
    table.add_row("tick to order, p50", f"{slow['p50']} ms = {ratio['p50']} x {bare['p50']} ms", f"<= {P50_BUDGET} x")
    table.add_row("tick to order, p99", f"{slow['p99']} ms = {ratio['p99']} x {bare['p99']} ms", f"<= {P99_BUDGET} x")
    for share, cost in report["tick_to_order_traced_over_untraced"].items():
        name = f"tracing, {float(share):.0%} of chains"
        table.add_row(name, f"p50 {cost['p50']} x, p99 {cost['p99']} x of none", "")
    table.add_row("ticks/s, 1,000 instruments", f"{report['ticks_per_second']:,}", f">= {TICKS_BUDGET:,}")
    table.add_row("ticks that arrived", f"{report['ticks_arrived']:.4%}", "100 %")
    table.add_row("orders/s, one order-worker", f"{report['orders_per_second']}", f">= {ORDERS_BUDGET}")
    for each in report["orders_at_a_venue_of_50_ms"]:
        pace = f"{each['orders_per_s']} orders/s; accepted after p50 {each['p50_ms']}, p99 {each['p99_ms']} ms"
        table.add_row(f"venue of 50 ms, order-workers: {each['workers']}", pace, "")
    for name, key in (
        ("tick to stop, no strategy and no model alive", "tick_to_stop_ms"),
        ("the same, a resting stop canceled first", "tick_to_stop_after_a_resting_one_ms"),
    ):
        stopped = report[key]
        table.add_row(name, f"p50 {stopped['p50']} ms, p99 {stopped['p99']} ms of {stopped['count']}", "")
    naked = report["naked_while_a_resting_stop_is_replaced"]
    table.add_row(
        "naked at the venue while a resting stop is replaced",
        f"{naked['mean_s'] * 1000:.0f} ms in the mean of {naked['count']}, none over {naked['within_s']:g} s",
        "told after 5 s",
    )
    inside = report["containers"]
    if "skipped" in inside:
        table.add_row("the same in containers", f"skipped: {inside['skipped']}", "")
    else:
        there = inside["tick_to_order_ms"]
        table.add_row("in containers: tick to order, p50", f"{there['p50']} ms, as processes {slow['p50']} ms", "")
        table.add_row("in containers: tick to order, p99", f"{there['p99']} ms, as processes {slow['p99']} ms", "")
        rates = f"{inside['orders_per_second']}, as processes {report['orders_per_second']}"
        table.add_row("in containers: orders/s, one order-worker", rates, "")
    for service, megabytes in report["rss_mb"].items():
        table.add_row(f"memory of {service}", f"{megabytes} MB", "")
    return table


if __name__ == "__main__":
    app()
