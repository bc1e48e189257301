"""Which logins one and the same person may hold: whoever set a login's password can sign in with it.

The rule of two people tells logins apart, and logins are made by people. So, for a while, a login counts as held by who
set it as well: two logins with a holder in common are no two people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

COOLDOWN = timedelta(days=1)
"""A day: the owner, whose password and sessions end at once, and everybody whom the alert tells come past it in that
time, whatever their hours. Less would be over before the others wake up."""
COOLDOWN_MAX = timedelta(days=7)
"""More only delays the day on which a new colleague may be somebody's second person."""


def cooldown_of(asked: timedelta, *, has_live: bool) -> timedelta:
    """Give the cool-down that holds: as it is asked for with paper money, never less than a day with real money."""
    return max(asked, COOLDOWN) if has_live else asked


@dataclass(frozen=True)
class Credentials:
    """What others had to do with a login. Of who set something, the last one counts."""

    is_own_password: bool = True
    """Its owner chose the password in force. What an admin made and handed over is not the owner's."""
    password_set_by: UUID | None = None
    """Who else set its password last, or added it; None: nobody ever, as with the first admin."""
    password_set_at: datetime | None = None
    rights_set_by: frozenset[UUID] = frozenset()
    """Who gave it rights last, after it was added."""
    rights_set_at: datetime | None = None

    def holders(self, at: datetime, cooldown: timedelta) -> frozenset[UUID]:
        """Give who else counts as holding this login at a time."""
        found = self.rights_set_by if _is_recent(self.rights_set_at, at, cooldown) else frozenset()
        if self.password_set_by and (not self.is_own_password or _is_recent(self.password_set_at, at, cooldown)):
            found |= {self.password_set_by}
        return found

    def ends(self, cooldown: timedelta) -> list[datetime]:
        """Give when its cool-downs end or ended."""
        return [at + cooldown for at in (self.password_set_at, self.rights_set_at) if at]


@dataclass(frozen=True)
class Wait:
    """What it takes until two logins count as two people."""

    until: datetime
    """Not before: the end of the last cool-down that stands between them, or now."""
    is_over: bool
    """No cool-down stands between them any more: only passwords do."""
    own_passwords: frozenset[UUID]
    """Whose owners must have set a password of their own by then."""
    links: frozenset[tuple[UUID, UUID]]
    """Who set what: (who, whose)."""


@dataclass(frozen=True)
class Logins:
    """Everybody's credentials, and the time at which they are looked at."""

    credentials: Mapping[UUID, Credentials]
    now: datetime
    cooldown: timedelta = COOLDOWN

    def wait(self, one: UUID, other: UUID) -> Wait | None:
        """Say what two logins wait for before they count as two people; None: they do. One login is never two."""
        if self.are_apart(one, other, self.now):
            return None
        owned = {whose: replace(each, is_own_password=True) for whose, each in self.credentials.items()}
        ends = {end for each in owned.values() for end in each.ends(self.cooldown) if end > self.now}
        at_best = replace(self, credentials=owned)
        until = next((at for at in sorted({self.now, *ends}) if at_best.are_apart(one, other, at)), self.now)
        left = self._links(one, until) | self._links(other, until)
        owners = frozenset(whose for _, whose in left if not self.credentials[whose].is_own_password)
        return Wait(
            until, until == self.now, owners, frozenset(self._links(one, self.now) | self._links(other, self.now))
        )

    def are_apart(self, one: UUID, other: UUID, at: datetime) -> bool:
        """Say whether nobody may hold both logins at a time."""
        return self._circle(one, at).isdisjoint(self._circle(other, at))

    def _circle(self, login: UUID, at: datetime) -> set[UUID]:
        """Give everybody who may hold a login at a time, through others' logins too."""
        found, todo = set[UUID](), {login}
        while todo:
            one = todo.pop()
            found.add(one)
            todo |= self._setters(one, at) - found
        return found

    def _links(self, login: UUID, at: datetime) -> set[tuple[UUID, UUID]]:
        return {(who, whose) for whose in self._circle(login, at) for who in self._setters(whose, at)}

    def _setters(self, login: UUID, at: datetime) -> frozenset[UUID]:
        return self.credentials.get(login, Credentials()).holders(at, self.cooldown)


def _is_recent(since: datetime | None, at: datetime, cooldown: timedelta) -> bool:
    return since is not None and at < since + cooldown
