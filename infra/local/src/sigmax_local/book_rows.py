"""Rows of a stack's database, all of one moment, as they lie there: no service stands between, so none can lie."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sigmax.runtime.rights import DATABASE
from sigmax_local.compose import Compose
from sigmax_local.environment import repository
from sigmax_local.operations.database import InContainer, OnThisMachine, Place, reading
from sigmax_local.runs import Found, Kind
from sigmax_local.servers import Addresses

_FETCHED = 1000
"""Rows that psql holds at a time."""


@dataclass(frozen=True)
class Query:
    """A query whose one column is JSON, and the name its rows are told by."""

    name: str
    sql: str


def place_of(stack: Found) -> Place:
    """Give where the database of a running stack is. Raises `OSError` while it is just starting."""
    if stack.kind is Kind.PROCESSES:
        return OnThisMachine(Addresses.load(stack.secrets.parent / "state.json"))
    folder = repository()
    return InContainer(Compose(folder, folder / ".env"))


def read(place: Place, queries: Sequence[Query]) -> Iterator[tuple[str, Any]]:
    """Give the rows of all queries with their query's name, as of one moment. Raises `DatabaseError`.

    Numbers with a point are `Decimal`.
    """
    words = ["-d", DATABASE, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", f"FETCH_COUNT={_FETCHED}"]
    statements = ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL timezone = 'UTC'"]
    # Names are ours and JSON has no line breaks of its own: a row is a line, its name ends at the first blank.
    statements += [f"SELECT '{query.name} ' || found.row::text FROM ({query.sql}) AS found (row)" for query in queries]  # noqa: S608
    commands = [word for statement in statements for word in ("-c", statement)]
    with reading(place, "psql", *words, *commands) as lines:
        for line in lines:
            name, _, row = line.decode().partition(" ")
            if row:
                yield name, json.loads(row, parse_float=Decimal)
