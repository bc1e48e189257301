"""Reads what risk-gate keeps, and what order-worker booked at two people's word."""

from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.risk import (
    LadderEventView,
    LimitsView,
    PostureView,
    StageChangeView,
    StageView,
    TransferView,
)
from api_gateway.ports.books import Filters
from sigmax.runtime.database import Database
from sigmax.schemas.types import Scope

_STAGES = (
    "SELECT scope, scope_id, stage, version, coalesce(reason, '') AS reason, changed_by, changed_at"
    " FROM risk_gate.stages ORDER BY scope, scope_id"
)
_STAGE_CHANGES = Listing(
    "scope, scope_id, version, from_stage, to_stage, reason, changed_by, changed_at",
    "risk_gate.stage_changes",
    "changed_at",
    "scope || ':' || scope_id || ':' || lpad(version::text, 9, '0')",
    "text",
)
NEWEST_LIMITS = (
    'SELECT DISTINCT ON (account_id) account_id, version, "values", changed_by, created_at FROM risk_gate.limits'
    " ORDER BY account_id, version DESC"
)
_LIMIT_VERSIONS = Listing(
    'account_id, version, "values", changed_by, created_at',
    "risk_gate.limits",
    "created_at",
    "account_id || ':' || lpad(version::text, 9, '0')",
    "text",
)
POSTURES = "account_id, posture, is_manual, cause, reason, changed_by, changed_at, evaluate_at"
NEWEST_POSTURES = (
    f"SELECT DISTINCT ON (account_id) {POSTURES} FROM risk_gate.postures ORDER BY account_id, posture_id DESC"  # noqa: S608
)
_POSTURE_CHANGES = Listing(f"posture_id, {POSTURES}", "risk_gate.postures", "changed_at", "posture_id", "bigint")
_LADDER = Listing(
    "event_id, fault, scope, scope_id, step, text, snapshot, at", "risk_gate.ladder_events", "at", "event_id", "bigint"
)
_TRANSFERS = Listing(
    "entry_id, transaction_id, account_id, asset, -amount AS amount, reason, created_at",
    "order_worker.ledger_entries",
    "created_at",
    "entry_id",
    "bigint",
)

_KNOWN = {
    Scope.ACCOUNT: "SELECT account_id FROM risk_gate.accounts",
    Scope.VENUE: "SELECT venue FROM risk_gate.accounts",
    Scope.STRATEGY: "SELECT strategy_id FROM strategy_engine.strategies",
    Scope.INSTRUMENT: "SELECT instrument_id FROM collector.instruments",
}


class RiskBooks:
    """Reads stages, limits, postures, protections, and what else the risk gate keeps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, scope: Scope, scope_id: str) -> bool:
        """Say whether there is such an account, venue, strategy, or instrument, or ever was a stage of it."""
        stage = "SELECT scope_id FROM risk_gate.stages WHERE scope = :scope"
        ids = f"{_KNOWN[scope]} UNION {stage}" if scope in _KNOWN else stage
        query = f"SELECT 1 FROM ({ids}) AS known (id) WHERE id = :scope_id"  # noqa: S608 - of words of ours
        async with self._database.reading() as session:
            return bool(await rows(session, query, {"scope": scope.value, "scope_id": scope_id}))

    async def stages(self) -> list[StageView]:
        """Give the stage of every scope that has one."""
        async with self._database.reading() as session:
            return [StageView(**row) for row in await rows(session, _STAGES)]

    async def stage_changes(self, page: PageRequest) -> Page[StageChangeView]:
        """Give the changes of all stages, newest first."""
        async with self._database.reading() as session:
            return await page_of(
                session, _STAGE_CHANGES, Conditions(), page, lambda row: StageChangeView(**without(row))
            )

    async def limits(self) -> list[LimitsView]:
        """Give the newest limits of each account."""
        async with self._database.reading() as session:
            return [limits_view(row) for row in await rows(session, NEWEST_LIMITS)]

    async def limit_versions(self, filters: Filters, page: PageRequest) -> Page[LimitsView]:
        """Give every version of limits, newest first."""
        conditions = Conditions()
        conditions.equal(account_id=filters.account_id)
        async with self._database.reading() as session:
            return await page_of(session, _LIMIT_VERSIONS, conditions, page, limits_view)

    async def postures(self) -> list[PostureView]:
        """Give the posture of every account that ever had one but that of its limits."""
        async with self._database.reading() as session:
            return [PostureView(**row) for row in await rows(session, NEWEST_POSTURES)]

    async def posture_changes(self, filters: Filters, page: PageRequest) -> Page[PostureView]:
        """Give the changes of postures, newest first."""
        conditions = Conditions()
        conditions.equal(account_id=filters.account_id)
        async with self._database.reading() as session:
            return await page_of(
                session, _POSTURE_CHANGES, conditions, page, lambda row: PostureView(**without(row, "posture_id"))
            )

    async def ladder_events(self, page: PageRequest) -> Page[LadderEventView]:
        """Give the steps of the failure ladder, newest first."""
        async with self._database.reading() as session:
            return await page_of(session, _LADDER, Conditions(), page, _ladder_event)

    async def transfers(self, filters: Filters, page: PageRequest) -> Page[TransferView]:
        """Give the transfers that were booked, newest first."""
        conditions = Conditions()
        conditions.add("ledger_account = 'transfer'")
        conditions.equal(account_id=filters.account_id, asset=filters.asset)
        conditions.between("created_at", filters.since, filters.until)
        async with self._database.reading() as session:
            return await page_of(
                session, _TRANSFERS, conditions, page, lambda row: TransferView(**without(row, "entry_id"))
            )


def _ladder_event(row: Row) -> LadderEventView:
    return LadderEventView(**without(row, "snapshot"), snapshot=parsed(row["snapshot"]))


def limits_view(row: Row) -> LimitsView:
    """Give one version of limits."""
    return LimitsView(**without(row, "values"), values=parsed(row["values"]))
