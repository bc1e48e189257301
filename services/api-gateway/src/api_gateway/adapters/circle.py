"""All people and what their logins owe to each other, as the rule of two looks at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api_gateway.adapters.sql import rows
from api_gateway.adapters.users import all_users
from api_gateway.domain.holders import Logins, cooldown_of
from api_gateway.domain.second_person import Person
from api_gateway.ports.people import User

_HAS_LIVE = "SELECT EXISTS (SELECT 1 FROM risk_gate.accounts WHERE mode <> 'paper') AS has_live"


@dataclass(frozen=True)
class Circle:
    """All people at one time."""

    users: Sequence[User]
    logins: Logins

    @property
    def people(self) -> Mapping[UUID, Person]:
        """Give them by id."""
        return {user.user_id: user.person for user in self.users}


async def circle(session: AsyncSession, now: datetime, asked: timedelta) -> Circle:
    """Load them; `asked` is the cool-down of the settings."""
    users = await all_users(session)
    credentials = {user.user_id: user.credentials for user in users}
    return Circle(users, Logins(credentials, now, await cooldown(session, asked)))


async def cooldown(session: AsyncSession, asked: timedelta) -> timedelta:
    """Give the cool-down that holds now: that of the settings, or more where real money is traded."""
    (row,) = await rows(session, _HAS_LIVE)
    return cooldown_of(asked, has_live=row["has_live"])
