"""What people ask for, and what of it waits for a second person."""

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from api_gateway.domain.commands import Wish
from api_gateway.domain.paging import PageRequest
from api_gateway.domain.second_person import Ask, Decision, Refused, UserChange
from api_gateway.domain.views.base import Page
from api_gateway.domain.views.people import ApprovalView, CommandView
from api_gateway.ports.people import User


class CommandsPort(Protocol):
    """Commands: written down, audited, and published in one transaction."""

    async def submit(
        self, wish: Wish, user: User, key: str, address: str, ask: Ask | None = None
    ) -> tuple[CommandView, bool]:
        """Give the command and whether the key stood for this very wish; a repeated key sends nothing again.

        With `ask` it does not go out before another person approved it.
        """
        ...

    async def command(self, command_id: UUID) -> CommandView | None:
        """Give one command with its present status."""
        ...

    async def commands(self, page: PageRequest) -> Page[CommandView]:
        """Give commands, newest first."""
        ...


class ApprovalsPort(Protocol):
    """What waits for a second person. Each decision is one transaction with what it sets going."""

    async def approvals(self, page: PageRequest, *, is_awaiting: bool | None) -> Page[ApprovalView]:
        """Give requests, newest first; those that still wait, those that do not, or all."""
        ...

    async def approval(self, approval_id: UUID) -> ApprovalView | None:
        """Give one request."""
        ...

    async def ask_user_change(self, target: User, change: UserChange, user: User, address: str) -> ApprovalView:
        """Write down that a user is to be changed; the same wish of the same person waits once."""
        ...

    async def cooldown(self) -> timedelta:
        """Give how long a login counts as held by who set it as well."""
        ...

    async def decide(
        self, approval_id: UUID, decision: Decision, user: User, fingerprint: str, address: str
    ) -> ApprovalView | Refused | None:
        """Approve a request and set going what it asks for, or refuse it. None: there is no such request."""
        ...
