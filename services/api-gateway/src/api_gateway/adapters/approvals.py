"""What waits for a second person, in Postgres: a decision, what it sets going, and its audit entry commit together."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.audit import append
from api_gateway.adapters.circle import Circle, circle, cooldown
from api_gateway.adapters.sql import Conditions, Listing, Row, page_of, parsed, rows, without
from api_gateway.adapters.users import change_user, new_id, user_by_id
from api_gateway.domain.audit import AuditEntry
from api_gateway.domain.commands import Wish
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.rights import Right
from api_gateway.domain.second_person import (
    ApprovalKind,
    ApprovalStatus,
    Ask,
    Decision,
    Refusal,
    Refused,
    Request,
    UserChange,
    approvers,
    fingerprint_of,
    next_approver,
    refusal_to_decide,
    refused,
    status_of,
)
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import ApprovalView
from api_gateway.ports.people import User
from sigmax.domain.two_people import APPROVAL_AGE_MAX
from sigmax.runtime.clock import ClockPort
from sigmax.runtime.database import Database, Unit
from sigmax.schemas.control import Alert, CommandName
from sigmax.schemas.types import AlertLevel, Scope

CHANGE_USER = "change_user"
_SYSTEM = "system"
_COLUMNS = (
    'approval_id, kind, action, subject, scope, "values", before, reason, fingerprint, needed_right, account_id,'
    " requested_by_id, requested_by, requested_at, expires_at, outcome, decided_by, decided_at"
)
_LISTING = Listing(_COLUMNS, "approvals", "requested_at", "approval_id", "uuid")
_INSERT = text(
    'INSERT INTO approvals (approval_id, kind, action, subject, scope, "values", before, reason, fingerprint,'
    " needed_right, account_id, requested_by_id, requested_by, requested_at, expires_at)"
    " VALUES (:approval_id, :kind, :action, :subject, :scope, CAST(:values AS jsonb), CAST(:before AS jsonb), :reason,"
    " :fingerprint, :needed_right, :account_id, :requested_by_id, :requested_by, :requested_at, :expires_at)"
)
_DECIDE = text("UPDATE approvals SET outcome = :outcome, decided_by = :by, decided_at = :now WHERE approval_id = :id")
_EXPIRE = text(
    "UPDATE approvals SET outcome = 'expired', decided_by = :by, decided_at = :now"
    " WHERE outcome IS NULL AND expires_at <= :now RETURNING approval_id, action, subject"
)


@dataclass(frozen=True)
class Pending:
    """One request as it is written down."""

    approval_id: UUID
    kind: ApprovalKind
    action: str
    subject: str
    fingerprint: str
    ask: Ask
    scope: Scope = Scope.GLOBAL
    values: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


async def enter(unit: Unit, pending: Pending, user: User, now: datetime) -> None:
    """Write a request down and tell people that it waits, in the caller's transaction."""
    expires_at = now + APPROVAL_AGE_MAX
    await unit.session.execute(
        _INSERT,
        {
            "approval_id": pending.approval_id,
            "kind": pending.kind.value,
            "action": pending.action,
            "subject": pending.subject,
            "scope": pending.scope.value,
            "values": json.dumps(dict(pending.values)),
            "before": json.dumps(dict(pending.ask.before)),
            "reason": pending.reason,
            "fingerprint": pending.fingerprint,
            "needed_right": pending.ask.needed_right.value,
            "account_id": pending.ask.account_id,
            "requested_by_id": user.user_id,
            "requested_by": user.login,
            "requested_at": now,
            "expires_at": expires_at,
        },
    )
    unit.publish(
        Alert(
            **Alert.first(f"approval:{pending.approval_id}", now),
            producer="api_gateway",
            level=AlertLevel.WARNING,
            code="second_person_awaited",
            subject=pending.subject,
            text=(
                f"{user.login} asks for {pending.action} of {pending.subject}: it waits for another person's approval"
                f" until {expires_at:%H:%M:%S} UTC."
            ),
            values={"approval_id": str(pending.approval_id), "action": pending.action},
            dedupe_key=f"second_person:{pending.approval_id}",
        )
    )


class PostgresApprovals:
    """Lists what waits for a second person, and takes that person's decision."""

    def __init__(self, database: Database, clock: ClockPort, cooldown: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._cooldown = cooldown

    async def cooldown(self) -> timedelta:
        """Give how long a login counts as held by who set it as well."""
        async with self._database.reading() as session:
            return await cooldown(session, self._cooldown)

    async def approvals(self, page: PageRequest, *, is_awaiting: bool | None) -> Page[ApprovalView]:
        """Give requests, newest first; those that still wait, those that do not, or all."""
        now, conditions = self._clock.now(), Conditions()
        if is_awaiting is not None:
            conditions.add(f"{'' if is_awaiting else 'NOT '}(outcome IS NULL AND expires_at > :now)", now=now)
        async with self._database.reading() as session:
            everybody = await circle(session, now, self._cooldown)
            return await page_of(session, _LISTING, conditions, page, lambda row: _view(row, everybody))

    async def approval(self, approval_id: UUID) -> ApprovalView | None:
        """Give one request."""
        async with self._database.reading() as session:
            row = await _row(session, approval_id)
            return _view(row, await circle(session, self._clock.now(), self._cooldown)) if row else None

    async def ask_user_change(self, target: User, change: UserChange, user: User, address: str) -> ApprovalView:
        """Write down that a user is to be changed; the same wish of the same person waits once."""
        now = self._clock.now()
        values = change.values(target.user_id)
        fingerprint = _fingerprint(ApprovalKind.USER_CHANGE, CHANGE_USER, target.login, values)
        before = {
            "role": target.role.value,
            "accounts": ",".join(sorted(target.accounts)),
            "is_active": target.is_active,
        }
        async with self._database.transaction() as unit:
            waiting = await rows(
                unit.session,
                f"SELECT {_COLUMNS} FROM approvals WHERE outcome IS NULL AND expires_at > :now"  # noqa: S608
                " AND fingerprint = :fingerprint AND requested_by_id = :user_id",
                {"now": now, "fingerprint": fingerprint, "user_id": user.user_id},
            )
            if waiting:
                return _view(waiting[0], await circle(unit.session, now, self._cooldown))
            ask = Ask(Right.ADMINISTER, before=before)
            pending = Pending(
                new_id(), ApprovalKind.USER_CHANGE, CHANGE_USER, target.login, fingerprint, ask, values=values
            )
            await enter(unit, pending, user, now)
            detail = {"approval_id": str(pending.approval_id), "second_person": "awaited", **values}
            await append(unit.session, AuditEntry(now, user.login, CHANGE_USER, target.login, detail, address))
            row = await _row(unit.session, pending.approval_id)
            assert row is not None
            return _view(row, await circle(unit.session, now, self._cooldown))

    async def decide(
        self, approval_id: UUID, decision: Decision, user: User, fingerprint: str, address: str
    ) -> ApprovalView | Refused | None:
        """Approve a request and set going what it asks for, or refuse it. None: there is no such request.

        A decision that does not count is in the audit too.
        """
        now = self._clock.now()
        async with self._database.transaction() as unit:
            row = await _row(unit.session, approval_id, locked=True)
            if row is None:
                return None
            asker = await user_by_id(unit.session, row["requested_by_id"])
            assert asker is not None, "users are never removed"
            everybody = await circle(unit.session, now, self._cooldown)
            wait = everybody.logins.wait(asker.user_id, user.user_id)
            request = _request(row, now)
            refusal = refusal_to_decide(decision, request, asker.person, user.person, fingerprint, wait=wait)
            if refusal is None and decision is Decision.APPROVE:
                refusal = await _carry_out(unit, row, (asker, user), address, now)
            detail = {"approval_id": str(approval_id), "action": row["action"], "requested_by": row["requested_by"]}
            if refusal is not None:
                detail["refused_because"] = refusal.value
                action = "approval_denied" if decision is Decision.APPROVE else "refusal_denied"
                await append(unit.session, AuditEntry(now, user.login, action, row["subject"], detail, address))
                return refused(refusal, wait, everybody.people)
            outcome = ApprovalStatus.APPROVED if decision is Decision.APPROVE else ApprovalStatus.REFUSED
            await unit.session.execute(
                _DECIDE, {"outcome": outcome.value, "by": user.login, "now": now, "id": approval_id}
            )
            detail |= {"fingerprint": fingerprint, **parsed(row["values"])}
            action = f"approval_{outcome.value}"
            await append(unit.session, AuditEntry(now, user.login, action, row["subject"], detail, address))
            decided = await _row(unit.session, approval_id)
            assert decided is not None
            return _view(decided, everybody)

    async def expire(self) -> None:
        """Write down what nobody decided in time."""
        now = self._clock.now()
        async with self._database.transaction() as unit:
            over = (await unit.session.execute(_EXPIRE, {"now": now, "by": _SYSTEM})).mappings().all()
            for row in over:
                detail = {"approval_id": str(row["approval_id"]), "action": row["action"]}
                await append(unit.session, AuditEntry(now, _SYSTEM, "approval_expired", row["subject"], detail, ""))


async def _carry_out(unit: Unit, row: Row, both: tuple[User, User], address: str, now: datetime) -> Refusal | None:
    """Set going what was asked for, with both people's logins."""
    if row["kind"] == ApprovalKind.COMMAND:
        unit.publish(_wish(row).message(row["approval_id"], row["requested_by"], now, approved_by=both[1].login))
        return None
    values = parsed(row["values"])
    changed = await change_user(
        unit, UUID(values["user_id"]), UserChange.of_values(values), by=both, address=address, now=now
    )
    return Refusal.LAST_ADMIN if changed is None else None


def _wish(row: Row) -> Wish:
    return Wish(CommandName(row["action"]), row["subject"], Scope(row["scope"]), parsed(row["values"]), row["reason"])


def _fingerprint(kind: ApprovalKind, action: str, subject: str, values: Mapping[str, str]) -> str:
    return fingerprint_of(kind, action, subject, sorted(values.items()))


def _request(row: Row, now: datetime) -> Request:
    # Of the values that will be carried out, not of what was noted beside them.
    fingerprint = (
        _wish(row).fingerprint()
        if row["kind"] == ApprovalKind.COMMAND
        else _fingerprint(ApprovalKind.USER_CHANGE, row["action"], row["subject"], parsed(row["values"]))
    )
    return Request(
        needed_right=Right(row["needed_right"]),
        account_id=row["account_id"],
        fingerprint=fingerprint,
        status=status_of(row["outcome"], row["expires_at"], now),
        requested_at=row["requested_at"],
    )


async def _row(session: AsyncSession, approval_id: UUID, *, locked: bool = False) -> Row | None:
    query = f"SELECT {_COLUMNS} FROM approvals WHERE approval_id = :id{' FOR UPDATE' if locked else ''}"  # noqa: S608
    found = await rows(session, query, {"id": approval_id})
    return found[0] if found else None


def _view(row: Row, everybody: Circle) -> ApprovalView:
    now, people = everybody.logins.now, everybody.people.values()
    request = _request(row, now)
    following = next_approver(request, row["requested_by_id"], people, everybody.logins)
    plain: dict[str, Any] = without(row, "values", "before", "outcome", "requested_by_id")
    is_command = row["kind"] == ApprovalKind.COMMAND
    return ApprovalView(
        **plain,
        values=parsed(row["values"]),
        before=parsed(row["before"]),
        status=status_of(row["outcome"], row["expires_at"], now),
        approvers=approvers(request, row["requested_by_id"], people, everybody.logins),
        next_approver=following.login if following else None,
        next_approver_from=following.wait.until if following else None,
        next_approver_needs_own_password=bool(following and following.needs_own_password),
        status_url=f"/api/v1/{'commands' if is_command else 'approvals'}/{row['approval_id']}",
    )
