"""What is made and looked at when the service starts."""

from sqlalchemy import text

from risk_gate.adapters.rows import read_limits
from risk_gate.domain.limits import RiskLimits
from risk_gate.domain.situation import Account
from risk_gate.domain.stages import GLOBAL
from sigmax.runtime.database import Database
from sigmax.runtime.settings import SettingsError
from sigmax.schemas.types import Scope, Stage

_ACCOUNT = text(
    "INSERT INTO accounts (account_id, venue, mode, currency) VALUES (:account_id, :venue, :mode, :currency)"
    " ON CONFLICT DO NOTHING"
)
_STORED = text("SELECT venue, mode, currency FROM accounts WHERE account_id = :account_id")
_LIMITS = text(
    'INSERT INTO limits (account_id, version, "values", changed_by)'
    " SELECT :account_id, 1, CAST(:values AS jsonb), 'first start'"
    " WHERE NOT EXISTS (SELECT 1 FROM limits WHERE account_id = :account_id) ON CONFLICT DO NOTHING"
)
_STAGE = text(
    "INSERT INTO stages (scope, scope_id, stage, version, reason, changed_by, changed_at)"
    " VALUES (:scope, :scope_id, :stage, 1, 'first start', 'risk-gate', now()) ON CONFLICT DO NOTHING"
)
_HEALTH = text(
    "SELECT (SELECT jsonb_build_object('version', version, 'values', \"values\")::text FROM limits"
    " WHERE account_id = :account_id ORDER BY version DESC LIMIT 1) AS limits,"
    " (SELECT count(*) FROM stages WHERE (scope, scope_id) IN (('global', 'global'), ('account', :account_id)))"
    " AS stages"
)
_STAGES_EXPECTED = 2


async def open_account(database: Database, account: Account, limits: RiskLimits) -> None:
    """Make the account with its limits and stages, if it is not there; any number of replicas may do so.

    Raises `SettingsError` when the account exists and trades elsewhere: paper and live must not be mixed up.
    """
    wanted = {"venue": account.venue, "mode": str(account.mode), "currency": account.currency}
    values = limits.model_dump_json(exclude={"version"})
    async with database.transaction() as unit:
        await unit.session.execute(_ACCOUNT, {"account_id": account.account_id, **wanted})
        stored = (await unit.session.execute(_STORED, {"account_id": account.account_id})).one()
        for name, value in wanted.items():
            if getattr(stored, name) != value:
                raise SettingsError(
                    f"account {account.account_id} is stored with {name} {getattr(stored, name)}, and the settings"
                    f" say {value}; correct the setting, or name another account with SIGMAX_ACCOUNT_ID"
                )
        await unit.session.execute(_LIMITS, {"account_id": account.account_id, "values": values})
        for scope, scope_id in ((Scope.GLOBAL, GLOBAL), (Scope.ACCOUNT, account.account_id)):
            await unit.session.execute(_STAGE, {"scope": scope, "scope_id": scope_id, "stage": Stage.NORMAL})


async def not_ready(database: Database, account_id: str) -> str | None:
    """Say what keeps every order from passing, as far as this service's own tables go."""
    async with database.reading() as session:
        row = (await session.execute(_HEALTH, {"account_id": account_id})).one()
    if row.stages != _STAGES_EXPECTED:
        return "the stage of the platform or of the account is missing: trading is halted"
    return "the account has no limits" if read_limits(row.limits) is None else None
