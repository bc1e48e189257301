"""Does the venue answer? Kept per kind of request, and pure: what is asked, and when, is not decided here."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from order_worker.domain.breaker import FAILURES_MAX
from order_worker.domain.budget import Kind

REST = timedelta(seconds=1)
"""Questions and cancels go on while nobody answers, but no faster than this: all that wait would ask at once."""
BEGINS_PCT = 30
"""Of the requests of a window, without an answer: from here on the venue fails, though it answers now and then."""
ENDS_PCT = 10
"""It fails until no more than this is without an answer: one answer in between is no recovery."""
_KEPT_MAX = 200


@dataclass(frozen=True)
class Rule:
    """When one kind of request counts as failing."""

    window: timedelta
    """How long what was met says anything. Of submits and cancels, which are rare, it spans three openings of the
    breaker: as long as its probes go unanswered, they fail; where nothing is sent any more, no answer could take the
    word back, and time does."""
    requests_min: int
    """Fewer in a window have no share worth the name."""
    row_max: int
    """So many in a row without an answer, and it fails at once."""


RULES = {
    Kind.QUERIES: Rule(timedelta(seconds=30), 10, 1),
    Kind.ORDERS: Rule(timedelta(seconds=90), FAILURES_MAX, FAILURES_MAX),
    Kind.CANCELS: Rule(timedelta(seconds=90), FAILURES_MAX, FAILURES_MAX),
}


@dataclass(frozen=True)
class Trouble:
    """Since when the venue fails."""

    since: datetime
    """When the first of the requests that were not answered was asked."""
    recovering_since: datetime | None = None
    """Since when every kind is answered again, while too many of the last requests were not."""
    out_since: datetime | None = None
    """Since when one kind is not answered at all."""


@dataclass(frozen=True)
class Spell:
    """What one kind of request met from the first that was not answered on."""

    met: tuple[tuple[datetime, bool], ...] = ()
    """Of the window: when, and whether it was answered."""
    row: int = 0
    """Requests in a row that were not answered, all their tries."""
    row_since: datetime | None = None
    last_failed_at: datetime | None = None
    answered_since: datetime | None = None
    flaky_since: datetime | None = None
    """Set while the share of those without an answer is too large."""

    def note(self, at: datetime, rule: Rule, now: datetime, *, is_answered: bool) -> "Spell":
        """Add what one request met, and look at the share anew."""
        recent = tuple(each for each in self.met if now - each[0] <= rule.window)
        flaky_since = self.flaky_since if any(not answered for _, answered in recent) else None
        met = (*recent, (at, is_answered))[-_KEPT_MAX:]
        failures = [each for each, answered in met if not answered]
        if flaky_since is None and len(met) >= rule.requests_min and 100 * len(failures) >= BEGINS_PCT * len(met):
            flaky_since = min(failures)
        elif 100 * len(failures) <= ENDS_PCT * len(met):
            flaky_since = None
        return replace(self, met=met, flaky_since=flaky_since)

    def trouble(self, kind: Kind, now: datetime) -> Trouble | None:
        """Say since when this kind fails; None while it does not."""
        rule = RULES[kind]
        assert self.last_failed_at is not None
        is_fresh = now - self.last_failed_at <= rule.window
        # Questions are asked all the time: none that was answered is word enough, however old.
        is_out = self.row >= rule.row_max and (is_fresh or kind is Kind.QUERIES)
        out_since = self.row_since if is_out else None
        begins = [since for since in (out_since, self.flaky_since if is_fresh else None) if since is not None]
        if not begins:
            return None
        return Trouble(min(begins), None if is_out else self.answered_since, out_since)


@dataclass(frozen=True)
class Health:
    """What each kind of request met lately; a kind that is answered as it should be is absent."""

    spells: Mapping[Kind, Spell] = field(default_factory=dict)

    def answered(self, kind: Kind, now: datetime) -> "Health":
        """Note an answer, whatever it said."""
        spell = self.spells.get(kind)
        if spell is None:
            return self
        after = spell.note(now, RULES[kind], now, is_answered=True)
        if all(answered for _, answered in after.met):
            return Health({each: other for each, other in self.spells.items() if each is not kind})
        since = after.answered_since or now
        return self._with(kind, replace(after, row=0, row_since=None, answered_since=since))

    def missed(self, kind: Kind, asked_at: datetime, now: datetime) -> "Health":
        """Note one try that nobody answered, of a request that is tried again."""
        spell = self.spells.get(kind, Spell()).note(asked_at, RULES[kind], now, is_answered=False)
        return self._with(kind, replace(spell, last_failed_at=now, answered_since=None))

    def failed(self, kind: Kind, asked_at: datetime, now: datetime) -> "Health":
        """Note a request that nobody answered."""
        before = self.spells.get(kind, Spell())
        is_stale = kind is not Kind.QUERIES and not _is_within(before.last_failed_at, RULES[kind].window, now)
        row, row_since = (0, None) if is_stale else (before.row, before.row_since)
        spell = self.missed(kind, asked_at, now).spells[kind]
        return self._with(kind, replace(spell, row=row + 1, row_since=row_since or asked_at))

    def is_open(self, kind: Kind) -> bool:
        """Say whether so many in a row failed that the venue counts as gone for this kind."""
        spell = self.spells.get(kind)
        return spell is not None and spell.row >= FAILURES_MAX

    def must_rest(self, kind: Kind, now: datetime) -> bool:
        """Say whether a cancel or question waits a moment: many were not answered, the last one just now."""
        return self.is_open(kind) and _is_within(self.spells[kind].last_failed_at, REST, now, is_inclusive=False)

    def trouble(self, now: datetime) -> Trouble | None:
        """Say since when the venue fails; None while it does not.

        It recovers when all kinds that fail do.
        """
        found = [trouble for kind, spell in self.spells.items() if (trouble := spell.trouble(kind, now)) is not None]
        if not found:
            return None
        recovering = [each.recovering_since for each in found if each.recovering_since is not None]
        outs = [each.out_since for each in found if each.out_since is not None]
        return Trouble(
            since=min(each.since for each in found),
            recovering_since=max(recovering) if len(recovering) == len(found) else None,
            out_since=min(outs, default=None),
        )

    def _with(self, kind: Kind, spell: Spell) -> "Health":
        return Health({**self.spells, kind: spell})


def _is_within(at: datetime | None, span: timedelta, now: datetime, *, is_inclusive: bool = True) -> bool:
    if at is None:
        return False
    return now - at <= span if is_inclusive else now - at < span
