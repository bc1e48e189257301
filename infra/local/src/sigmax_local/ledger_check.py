"""`sigmax ledger verify`: do the books of a running stack hold?"""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.progress import Progress

from sigmax.domain.ledger_check import RULES, Broken, LedgerCheck
from sigmax_local.book_rows import Query, place_of, read
from sigmax_local.operations.database import DatabaseError, Place
from sigmax_local.runs import Kind
from sigmax_local.servers import BinariesMissingError
from sigmax_local.steering_talk import Door, console

app = typer.Typer(no_args_is_help=True, help="The double-entry ledger: sigmax ledger verify")
StackOption = Annotated[Kind | None, typer.Option("--stack", help="Which one, where both run.")]

_COUNT = """
SELECT to_jsonb((SELECT count(*) FROM order_worker.fills) + (SELECT count(*) FROM order_worker.ledger_entries))
"""
_SMALL = (
    Query("rows", _COUNT),
    Query("position", "SELECT to_jsonb(p) FROM order_worker.positions p ORDER BY account_id, instrument_id"),
    Query("checkpoint", "SELECT to_jsonb(c) FROM order_worker.ledger_checkpoints c ORDER BY 1"),
    Query(
        "reconciliation",
        "SELECT DISTINCT ON (account_id) to_jsonb(r) FROM order_worker.reconciliations r"
        " WHERE balances IS NOT NULL ORDER BY account_id, reconciliation_id DESC",
    ),
)
_FILLS = """
SELECT to_jsonb(f) || jsonb_build_object('entries', (
    SELECT jsonb_agg(to_jsonb(e) ORDER BY e.entry_id) FROM order_worker.ledger_entries e
    WHERE e.execution_id = f.execution_id AND e.account_id = f.account_id))
FROM order_worker.fills f ORDER BY f.account_id, f.instrument_id, f.executed_at, f.execution_id COLLATE "C"
"""
_ENTRIES = """
SELECT to_jsonb(e) || jsonb_build_object(
    'moved_at', coalesce(e.executed_at, e.settles_at),
    'has_fill', EXISTS (SELECT FROM order_worker.fills f
                        WHERE f.execution_id = e.execution_id AND f.account_id = e.account_id))
FROM order_worker.ledger_entries e ORDER BY e.account_id, e.transaction_id, e.entry_id
"""


@app.callback()
def _group() -> None:
    """Keep `verify` a word of its own."""


@app.command("verify")
def verify(context: typer.Context, *, stack: StackOption = None) -> None:
    """Hold positions against fills, fills against the ledger, and the ledger against itself and the venue.

    Reads one moment of the database, past all services. Exit status 1: something does not hold; its first row is named.

    Example: sigmax ledger verify || sigmax halt --reason "the books do not hold"
    """
    door: Door = context.obj
    found = door.running(stack)
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("Reading the ledger", total=None)
            broken = check(place_of(found), lambda total: progress.update(task, advance=1, total=total))
    except (DatabaseError, BinariesMissingError, OSError) as error:
        door.fail(str(error))
    wrong = {one.rule: one.what for one in broken}
    for rule in RULES:
        console.print(f"{'NO ' if rule in wrong else 'yes'}  {rule}", markup=False, highlight=False)
        if rule in wrong:
            console.print(f"     {wrong[rule]}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if broken else 0)


def check(place: Place, on_row: Callable[[int], None] = lambda _total: None) -> list[Broken]:
    """Judge the books in a database. Raises `DatabaseError`. `on_row` is told of each row how many there are."""
    rows = read(place, [*_SMALL, Query("fill", _FILLS), Query("entry", _ENTRIES)])
    small: dict[str, list[Any]] = {query.name: [] for query in _SMALL}
    checking: LedgerCheck | None = None
    for name, row in rows:
        if name in small:
            small[name].append(row)
            continue
        checking = checking or _begun(small)
        (checking.fill if name == "fill" else checking.entry)(row)
        on_row(small["rows"][0])
    return (checking or _begun(small)).end()


def _begun(small: dict[str, list[Any]]) -> LedgerCheck:
    return LedgerCheck(small["position"], small["checkpoint"], small["reconciliation"])
