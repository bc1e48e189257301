"""Reads what guards positions: protections, flattenings, latches, the venue's health, and equity by the minute."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.money import trailing_price
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.risk import (
    EquityMarkView,
    FlatteningView,
    LatchView,
    ProtectionView,
    RestingStopView,
    VenueHealthView,
)
from api_gateway.ports.books import Filters
from sigmax.runtime.database import Database
from sigmax.schemas.types import Scope

PROTECTIONS = Listing(
    "protection_id, account_id, strategy_id, instrument_id, quantity, entry_price, stop_price, target_price,"
    " best_price, trailing_pct, closes_at, state, exit_kind, exit_price, attempts, refusal, opened_at,"
    " naked_since, updated_at",
    "risk_gate.protections",
    "opened_at",
    "protection_id",
    "uuid",
)
FLATTENINGS = Listing(
    "flattening_id, scope, scope_id, requested_by, reason, everything, started_at, ended_at, is_flat, remaining",
    "risk_gate.flattenings",
    "started_at",
    "flattening_id",
    "uuid",
)
_LATCHES = Listing(
    "latch_id, account_id, scope, scope_id, code, reason, latched_at, expires_at, released_at, released_by",
    "risk_gate.latches",
    "latched_at",
    "latch_id",
    "bigint",
)
_LATCHED = (
    f"SELECT {_LATCHES.columns} FROM {_LATCHES.source} WHERE released_at IS NULL"  # noqa: S608
    " AND scope = :scope AND scope_id = :scope_id ORDER BY latch_id"
)
_VENUES = (
    "SELECT account_id, venue, is_answering, failing_since, clock_gap_ms, orders_unknown, as_of"
    " FROM risk_gate.venue_health ORDER BY account_id"
)
_MARKS = Listing("account_id, minute, equity, peak", "risk_gate.equity_marks", "minute", "account_id", "text")
_RESTING = (
    "SELECT protection_id, client_order_id, trigger_price, created_at, cancel_asked_at FROM risk_gate.exit_orders"
    " WHERE is_resting AND ended_at IS NULL AND protection_id = ANY(CAST(:ids AS uuid[])) ORDER BY created_at"
)


class GuardBooks:
    """Reads what guards positions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def protections(self, filters: Filters, page: PageRequest) -> Page[ProtectionView]:
        """Give protections, newest first, with the stops that rest at the venue."""
        conditions = Conditions()
        conditions.equal(
            account_id=filters.account_id, strategy_id=filters.strategy_id, instrument_id=filters.instrument_id
        )
        if filters.is_open is not None:
            conditions.add(f"state {'<>' if filters.is_open else '='} 'closed'")
        async with self._database.reading() as session:
            found = await page_of(session, PROTECTIONS, conditions, page, without)
            return Page(items=await protection_views(session, found.items), next_cursor=found.next_cursor)

    async def flattenings(self, page: PageRequest) -> Page[FlatteningView]:
        """Give flattenings, newest first."""
        async with self._database.reading() as session:
            return await page_of(session, FLATTENINGS, Conditions(), page, flattening_view)

    async def latches(self, page: PageRequest, *, is_on: bool | None) -> Page[LatchView]:
        """Give latches, newest first; those that are on, those that are not, or all."""
        conditions = Conditions()
        if is_on is not None:
            conditions.add(f"{'' if is_on else 'NOT '}(released_at IS NULL AND coalesce(expires_at > now(), true))")
        async with self._database.reading() as session:
            return await page_of(session, _LATCHES, conditions, page, lambda row: LatchView(**without(row)))

    async def latched(self, scope: Scope, scope_id: str) -> list[LatchView]:
        """Give the latches that nobody took off a scope."""
        async with self._database.reading() as session:
            found = await rows(session, _LATCHED, {"scope": scope.value, "scope_id": scope_id})
        return [LatchView(**row) for row in found]

    async def venues(self) -> list[VenueHealthView]:
        """Give what order-worker told last of each account's venue."""
        async with self._database.reading() as session:
            return [VenueHealthView(**row) for row in await rows(session, _VENUES)]

    async def equity_marks(self, filters: Filters, page: PageRequest) -> Page[EquityMarkView]:
        """Give equity by the minute, newest first."""
        conditions = Conditions()
        conditions.equal(account_id=filters.account_id)
        conditions.between("minute", filters.since, filters.until)
        async with self._database.reading() as session:
            return await page_of(session, _MARKS, conditions, page, lambda row: EquityMarkView(**without(row)))


async def protection_views(session: AsyncSession, found: Sequence[Row]) -> list[ProtectionView]:
    """Give protections with the stops that rest at the venue for them."""
    resting = await rows(session, _RESTING, {"ids": [row["protection_id"] for row in found]}) if found else []
    stops: dict[Any, list[RestingStopView]] = {}
    for row in resting:
        stops.setdefault(row["protection_id"], []).append(RestingStopView(**without(row, "protection_id")))
    return [
        ProtectionView(
            **row,
            trailing_price=trailing_price(row["best_price"], row["trailing_pct"]),
            resting=stops.get(row["protection_id"], []),
        )
        for row in found
    ]


def flattening_view(row: Row) -> FlatteningView:
    """Give one flattening."""
    return FlatteningView(**without(row, "remaining"), remaining=parsed(row["remaining"]))
