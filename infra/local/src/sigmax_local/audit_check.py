"""`sigmax audit verify` and `sigmax audit heads`: was the past of a stack changed, and what shows it tomorrow?"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.progress import Progress

from sigmax.domain.audit import GENESIS, Break, Head, Link, Walk, is_signed
from sigmax.schemas.control import AuditHead
from sigmax.schemas.topology import REACH, owner_of
from sigmax_local.book_rows import Query, place_of, read
from sigmax_local.operations.database import DatabaseError, Place
from sigmax_local.runs import Kind
from sigmax_local.servers import BinariesMissingError
from sigmax_local.steering_talk import Door, console

app = typer.Typer(no_args_is_help=True, help="The audit chains: sigmax audit verify, sigmax audit heads")
OWNERS = tuple(owner_of(service) for service, reach in REACH.items() if AuditHead in reach.publishes)
StackOption = Annotated[Kind | None, typer.Option("--stack", help="Which one, where both run.")]
HeadsOption = Annotated[
    Path | None, typer.Option("--heads", help="What `sigmax audit heads` printed once, and you kept.", exists=True)
]


@dataclass(frozen=True)
class Told:
    """A head that a chain had at some time."""

    owner: str
    head: Head
    at: datetime
    signature: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of one chain."""

    owner: str
    rows: int
    broken: Break | None


@app.command("verify")
def verify(context: typer.Context, *, heads: HeadsOption = None, stack: StackOption = None) -> None:
    """Recompute the audit chains, and hold them against the heads that were told.

    Reads one moment of the database, past all services. Finds a row that was edited, removed, or moved, and an end that
    was cut off; names the first bad row. Exit status 1: a chain does not hold.

    Example: sigmax audit verify --heads kept-elsewhere.jsonl
    """
    door: Door = context.obj
    found = door.running(stack)
    try:
        kept = read_heads(heads) if heads is not None else []
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("Reading the chains", total=None)
            verdicts = check(
                place_of(found),
                kept,
                keys_of(found.secrets),
                lambda total: progress.update(task, advance=1, total=total),
            )
    except (DatabaseError, BinariesMissingError, OSError, ValueError) as error:
        door.fail(str(error))
    for one in verdicts:
        said = "holds" if one.broken is None else f"DOES NOT HOLD: {one.broken.what}"
        console.print(f"{one.owner}, {one.rows} rows: {said}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(one.broken for one in verdicts) else 0)


@app.command("heads")
def heads_command(context: typer.Context, *, stack: StackOption = None) -> None:
    """Print the newest row's hash of each chain, one JSON object a line: keep them where nobody of this machine writes.

    Example: sigmax audit heads >> /media/stick/heads.jsonl
    """
    door: Door = context.obj
    found = door.running(stack)
    try:
        rows = heads_of(place_of(found))
    except (DatabaseError, BinariesMissingError, OSError) as error:
        door.fail(str(error))
    for row in rows:
        print(json.dumps(row, sort_keys=True))


def heads_of(place: Place) -> list[dict[str, Any]]:
    """Give the newest row's hash of each chain in a database. Raises `DatabaseError`."""
    return [row for _, row in read(place, [_newest(owner) for owner in OWNERS])]


def check(
    place: Place,
    kept: Iterable[Told],
    keys: Mapping[str, list[bytes]],
    on_row: Callable[[int], None] = lambda _total: None,
) -> list[Verdict]:
    """Judge each chain of a database against the heads in notifier's table and those `kept`. Raises `DatabaseError`.

    `keys` are those that may have sealed an owner's heads; without any, seals are not looked at.
    """
    told = list(kept)
    anchored: set[str] = set()
    walks: dict[str, Walk] = {}
    broken: dict[str, Break] = {}
    total = 0
    for name, row in read(place, [_COUNT, _TOLD, *(_anchor(owner) for owner in OWNERS), *map(_chain, OWNERS)]):
        if name == "rows":
            total = row
        elif name == "told":
            told.append(_told_of(row))
        elif name.startswith("anchor:"):
            if (row["position"], row["hash"]) == (0, GENESIS):
                anchored.add(name.removeprefix("anchor:"))
        else:
            on_row(total)
            if name not in broken:
                walk = walks.setdefault(name, _walk(name, told))
                if (found := walk.follow([_link(row)])) is not None:
                    broken[name] = found
    for owner in OWNERS:
        walk = walks.setdefault(owner, _walk(owner, told))
        ended = broken.get(owner) or walk.end() or _unsealed(owner, told, keys.get(owner, []))
        if ended is None and owner not in anchored:
            ended = Break(0, "the anchor of the chain is gone or was changed")
        if ended is not None:
            broken[owner] = ended
    return [Verdict(owner, walks[owner].head.position, broken.get(owner)) for owner in OWNERS]


def read_heads(path: Path) -> list[Told]:
    """Read what `sigmax audit heads` printed. Raises `ValueError` for anything else."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found.append(_told_of(json.loads(line)))
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{path}, line {number}: this is no head of an audit chain") from None
    return found


def keys_of(secrets: Path) -> dict[str, list[bytes]]:
    """Give the keys of each owner below a stack's folder of secrets: the one in use, and those before it."""
    files = {owner: secrets / owner / "audit_key" for owner in OWNERS}
    return {owner: file.read_bytes().split() for owner, file in files.items() if file.is_file()}


def _walk(owner: str, told: Iterable[Told]) -> Walk:
    return Walk(one.head for one in told if one.owner == owner)


def _unsealed(owner: str, told: Iterable[Told], keys: list[bytes]) -> Break | None:
    for one in told:
        if one.owner == owner and one.signature and keys and not any(is_signed(owner, _head(one), key) for key in keys):
            return Break(one.head.position, f"the head that was told of row {one.head.position} has a forged seal")
    return None


def _head(told: Told) -> AuditHead:
    try:
        return AuditHead(
            **AuditHead.first(told.owner, told.at),
            producer=told.owner,
            position=told.head.position,
            hash=told.head.hash,
            at=told.at,
            signature=told.signature,
        )
    except ValidationError as error:
        raise ValueError(f"a head of {told.owner} cannot be read: {error}") from None


def _told_of(row: Mapping[str, Any]) -> Told:
    head = Head(int(row["position"]), str(row["hash"]))
    return Told(row["owner"], head, datetime.fromisoformat(row["at"]), row.get("signature") or "")


def _link(row: Mapping[str, Any]) -> Link:
    correlation_id = row["correlation_id"]
    return Link(
        position=row["position"],
        at=datetime.fromisoformat(row["at"]),
        kind=row["kind"],
        subject=row["subject"],
        correlation_id=None if correlation_id is None else UUID(correlation_id),
        entry=row["entry"],
        previous=row["previous"],
        hash=row["hash"],
    )


def _chain(owner: str) -> Query:
    return Query(owner, f"SELECT to_jsonb(l) FROM {owner}.audit_log l ORDER BY position")  # noqa: S608 - names of ours


def _anchor(owner: str) -> Query:
    return Query(f"anchor:{owner}", f"SELECT to_jsonb(a) FROM {owner}.audit_anchor a")  # noqa: S608 - names of ours


def _newest(owner: str) -> Query:
    sql = (
        f"SELECT jsonb_build_object('owner', '{owner}', 'position', position, 'hash', hash, 'at', at)"  # noqa: S608
        f" FROM {owner}.audit_log ORDER BY position DESC LIMIT 1"
    )
    return Query(owner, sql)


_COUNTS = " + ".join(f"(SELECT count(*) FROM {owner}.audit_log)" for owner in OWNERS)  # noqa: S608 - names of ours
_COUNT = Query("rows", f"SELECT to_jsonb({_COUNTS})")
_TOLD = Query("told", "SELECT to_jsonb(h) FROM notifier.audit_heads h ORDER BY received_at")
