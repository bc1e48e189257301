"""What a person sees of a running stack: a live page on a terminal, lines elsewhere, a summary in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sigmax_local.figures import Account, Figures, Finding
from sigmax_local.runs import Kind, Part, Stack

_DENIALS_SHOWN = 5
PLACES = {Kind.PROCESSES: "pid", Kind.CONTAINERS: "container"}
"""What tells one part from another on the machine."""
_COLORS = {"ready": "green", "starting": "yellow", "not ready": "yellow", "down": "red", "stopped": "dim"}


@dataclass(frozen=True)
class Signs:
    """What stands above the figures: where prices come from, where to look, how to sign in."""

    prices: str
    gateway_url: str
    login: str


def page(signs: Signs, kind: Kind, parts: Sequence[Part], figures: Figures, clock: str) -> RenderableType:
    """Lay out the live view."""
    head = Text.assemble(("Sigma-X", "bold"), f"  {signs.prices}  ", (clock, "dim"), "\nDashboard  ")
    head.append_text(Text.assemble((signs.gateway_url, "bold cyan"), f"   {signs.login}"))
    bodies = [_services(kind, parts), _path(figures), _books(figures)]
    return Group(Panel(head, border_style="cyan"), Columns(bodies, padding=(0, 2)))


def line(figures: Figures, parts: Sequence[Part], elapsed_s: float) -> str:
    """Put the same on one line, for logs."""
    unwell = [f"{part.name} {part.health}" for part in parts if not part.is_ready]
    orders = ", ".join(f"{count} {status}" for status, count in figures.orders.items()) or "none"
    return (
        f"{elapsed_s:5.0f} s  ticks/s {figures.ticks_per_s:,.0f}  signals {figures.signals}"
        f"  decisions {figures.decisions}  approved {figures.approved}  denied {figures.denied}"
        f"  orders: {orders}  fills {figures.fills}"
        f"  equity {worth(figures.accounts)}  tick-to-order p50 {millis(figures.p50_ms)} p99 {millis(figures.p99_ms)}"
        + (f"  [{'; '.join(unwell)}]" if unwell else "")
    )


def money(amount: Decimal | None) -> str:
    """Show an amount with two decimals; a dash where it is not known."""
    return "-" if amount is None else f"{amount:,.2f}"


def worth(accounts: Sequence[Account]) -> str:
    """Show what each account is worth, by name where there are several."""
    shown = [
        f"{account.account_id} {money(account.equity)} {account.currency}"
        if len(accounts) > 1
        else f"{money(account.equity)} {account.currency}"
        for account in accounts
    ]
    return ", ".join(shown) or "-"


def millis(value: Decimal | None) -> str:
    """Show milliseconds."""
    return "-" if value is None else f"{value:,.0f} ms"


def plain(number: Decimal) -> str:
    """Show a quantity without trailing zeros or an exponent."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def status(stack: Stack) -> RenderableType:
    """Lay out how each part of a stack fares."""
    title = Text.assemble(("Sigma-X", "bold"), f" in {stack.kind}: {stack.prices}")
    table = Table()
    for column in ("service", "health", "restarts", PLACES[stack.kind], "problems"):
        table.add_column(column)
    for part in stack.parts:
        table.add_row(part.name, _health(part), str(part.restarts), part.place, "; ".join(part.problems))
    return Group(title, table)


def _services(kind: Kind, parts: Sequence[Part]) -> Table:
    table = Table(title="Services", title_justify="left", box=None, padding=(0, 1))
    for column in ("service", "health", "restarts"):
        table.add_column(column)
    table.add_column(PLACES[kind], style="dim")
    for part in parts:
        table.add_row(part.name, _health(part), str(part.restarts or ""), part.place)
    return table


def _health(part: Part) -> Text:
    return Text(part.health, _COLORS[part.health])


def _path(figures: Figures) -> Table:
    table = Table(title="From tick to fill", title_justify="left", box=None, padding=(0, 1), show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rows: dict[str, str] = {
        "ticks/s": f"{figures.ticks_per_s:,.0f}",
        "ticks": f"{figures.ticks:,}",
        "signals": f"{figures.signals:,}",
        "decisions": f"{figures.decisions:,}",
        "approved": f"{figures.approved:,}",
        "denied": f"{figures.denied:,}",
        **{f"orders {status}": f"{count:,}" for status, count in figures.orders.items()},
        "fills": f"{figures.fills:,}",
        "alerts": f"{figures.alerts:,}",
        "tick to order p50": millis(figures.p50_ms),
        "tick to order p99": millis(figures.p99_ms),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _books(figures: Figures) -> RenderableType:
    table = Table(title="Positions", title_justify="left", box=None, padding=(0, 1))
    for column in ("instrument", "held", "paid", "last", "realized"):
        table.add_column(column, justify="left" if column == "instrument" else "right")
    for one in figures.holdings:
        last = plain(one.last) if one.last is not None else "-"
        paid = plain(round(one.average_price, 4))
        table.add_row(one.instrument_id, plain(one.quantity), paid, last, money(one.realized_pnl))
    lines = [Text(f"{asset}  {plain(amount)}") for asset, amount in figures.balances.items()]
    denials = [Text(f"{count} x {code}", "dim") for code, count in list(figures.denials.items())[:_DENIALS_SHOWN]]
    equity = Text.assemble("Equity  ", (worth(figures.accounts), "bold"))
    return Group(table, Text(""), equity, *lines, *([Text("\nDenied", "bold"), *denials] if denials else []))


def summarize(
    console: Console,
    figures: Figures,
    findings: Sequence[Finding],
    restarts: Mapping[str, int],
    problems: Sequence[str],
) -> None:
    """Print what the run did, and whether the books are right."""
    table = Table(title="Summary", title_justify="left")
    table.add_column("what")
    table.add_column("value", justify="right")
    rows = {
        "ticks": f"{figures.ticks:,}",
        "signals": str(figures.signals),
        "decisions": str(figures.decisions),
        "orders approved": str(figures.approved),
        "orders denied": str(figures.denied),
        **{f"  {code}": str(count) for code, count in list(figures.denials.items())[:_DENIALS_SHOWN]},
        **{f"orders {status}": str(count) for status, count in figures.orders.items()},
        "fills": str(figures.fills),
        "equity": worth(figures.accounts),
        "tick to order p50 / p99": f"{millis(figures.p50_ms)} / {millis(figures.p99_ms)}",
        "alerts": str(figures.alerts),
        "restarts": ", ".join(f"{name} {count}" for name, count in restarts.items() if count) or "none",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    table.add_section()
    for holding in figures.holdings:
        table.add_row(f"held {holding.instrument_id}", plain(holding.quantity))
    table.add_section()
    for finding in findings:
        table.add_row(finding.invariant, Text("yes", "green") if finding.holds else Text("NO", "bold red"))
    console.print(table)
    for finding in findings:
        for broken in finding.broken_by:
            console.print(Text(f"  {finding.invariant}: {broken}", "red"))
    for problem in problems:
        console.print(Text(problem, "bold red"))
