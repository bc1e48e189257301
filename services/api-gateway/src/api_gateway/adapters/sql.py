"""Reading pages of other services' tables."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.domain.paging import Cursor, PageRequest
from api_gateway.domain.problems import Problem, ProblemKind
from api_gateway.domain.views.base import Page

V = TypeVar("V")
Row = Mapping[str, Any]
_BIGINT_MAX = 2**63 - 1


@dataclass(frozen=True)
class Listing:
    """A list that can be paged: its columns, where they come from, and what orders them."""

    columns: str
    source: str
    time: str
    """The column it is ordered by, newest first."""
    row_id: str
    """The column that tells rows of the same time apart."""
    id_type: str
    """`bigint`, `uuid`, or `text`."""


@dataclass
class Conditions:
    """Conditions of one query and their values."""

    parts: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, part: str, **values: Any) -> None:
        """Add a condition with its values."""
        self.parts.append(part)
        self.values.update(values)

    def equal(self, **columns: Any) -> None:
        """Add `column = value` for every value that is not None."""
        for column, value in columns.items():
            if value is not None:
                self.add(f"{column} = :{column}", **{column: value})

    def between(self, column: str, since: Any, until: Any) -> None:
        """Narrow a time to [since, until)."""
        if since is not None:
            self.add(f"{column} >= :since", since=since)
        if until is not None:
            self.add(f"{column} < :until", until=until)

    @property
    def clause(self) -> str:
        """Give the WHERE clause, or nothing."""
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


async def rows(session: AsyncSession, query: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]:
    """Give all rows of a query."""
    found = await session.execute(text(query), dict(values or {}))
    return [dict(row) for row in found.mappings()]


async def page_of(
    session: AsyncSession, listing: Listing, conditions: Conditions, request: PageRequest, view: Callable[[Row], V]
) -> Page[V]:
    """Give one page, newest first. Raises `Problem` for a cursor of another list."""
    is_serial = listing.id_type == "bigint"
    if request.after is not None:
        after_id = _typed(request.after.row_id, listing.id_type)
        if is_serial:
            conditions.add(f"{listing.row_id} < :after_id", after_id=after_id)
        else:
            conditions.add(
                f"({listing.time}, {listing.row_id}) < (:after_at, CAST(:after_id AS {listing.id_type}))",
                after_at=request.after.at,
                after_id=after_id,
            )
    # A serial id rises with time and is the primary key: ordering by it alone reads no more rows than it shows.
    order = f"{listing.row_id} DESC" if is_serial else f"{listing.time} DESC, {listing.row_id} DESC"
    # Every name in the text is a constant of this package; callers' values travel as parameters alone.
    found = await rows(
        session,
        f"SELECT {listing.columns}, {listing.time} AS page_at, {listing.row_id} AS page_id"  # noqa: S608
        f" FROM {listing.source}{conditions.clause}"
        f" ORDER BY {order} LIMIT :page_rows",
        {**conditions.values, "page_rows": request.limit + 1},
    )
    shown = found[: request.limit]
    more = len(found) > request.limit
    cursor = Cursor(shown[-1]["page_at"], str(shown[-1]["page_id"])).encode() if more else None
    return Page(items=[view(row) for row in shown], next_cursor=cursor)


def _typed(row_id: str, id_type: str) -> int | UUID | str:
    try:
        if id_type == "bigint":
            number = int(row_id)
            if not 0 <= number <= _BIGINT_MAX:
                raise ValueError(row_id)
            return number
        return UUID(row_id) if id_type == "uuid" else row_id
    except ValueError:
        raise Problem(
            ProblemKind.INVALID, "The cursor belongs to another list.", errors=[("query.cursor", "not of this list")]
        ) from None


def parsed(value: Any) -> Any:
    """Give a jsonb column as Python values: the driver hands it over as text."""
    return json.loads(value) if isinstance(value, str | bytes) else value


def without(row: Row, *names: str) -> dict[str, Any]:
    """Give a row without some of its columns."""
    return {name: value for name, value in row.items() if name not in names and not name.startswith("page_")}
