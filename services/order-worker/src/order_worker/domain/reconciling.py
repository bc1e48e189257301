"""Our books against the venue's: what differs, what is dust, and what is only seen for the first time."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sigmax.domain.ledger import Entry, LedgerAccount, transfer
from sigmax.schemas.market import base_of, quote_of
from sigmax.schemas.orders import Difference

_ZERO = Decimal(0)
CLOCK_GAP_MAX = timedelta(milliseconds=500)
"""Beyond it the freshness of prices and the age of approvals mean nothing, and the venue may refuse what we sign."""
_DUST_MONEY = Decimal("0.01")
_DUST_UNITS = Decimal("0.00000001")


@dataclass(frozen=True)
class Held:
    """What our books have of one asset, and what of it moved only just now."""

    total: Decimal
    recent_in: Decimal = _ZERO
    """The part that came in since shortly before the venue was asked: it may not be in the venue's answer yet."""
    recent_out: Decimal = _ZERO
    """Zero or negative: what went out since then."""

    @property
    def is_moving(self) -> bool:
        """Say whether trades of this moment make a comparison vague."""
        return bool(self.recent_in or self.recent_out)

    def gap(self, venue: Decimal) -> Decimal:
        """Give what the venue has more (or, negative, less) than any part of the recent trades explains."""
        low, high = self.total - self.recent_in, self.total - self.recent_out
        return venue - high if venue > high else min(venue - low, _ZERO)


NOTHING = Held(_ZERO)


@dataclass(frozen=True)
class Assets:
    """Which assets the account's books cover."""

    money: frozenset[str]
    """The account's currency and what instruments are quoted in."""
    dust: Mapping[str, Decimal]
    """What is traded, with the amount up to which a difference is dust: one lot."""

    @property
    def all(self) -> frozenset[str]:
        """Give every asset."""
        return self.money | frozenset(self.dust)

    def home(self, asset: str) -> LedgerAccount:
        """Say where the asset is booked: what is traded is a holding, all else is money."""
        return LedgerAccount.HOLDING if asset in self.dust else LedgerAccount.CASH

    def dust_of(self, asset: str) -> Decimal:
        """Give the amount up to which a difference is dust."""
        return self.dust.get(asset, _DUST_MONEY)


def assets_of(currency: str, instruments: Collection[str], lots: Mapping[str, Decimal]) -> Assets:
    """Give the assets of the instruments we know; `lots` are the steps of quantity by instrument."""
    dust: dict[str, Decimal] = {}
    for instrument_id in instruments:
        base = base_of(instrument_id)
        dust[base] = max(dust.get(base, _DUST_UNITS), lots.get(instrument_id, _DUST_UNITS))
    money = frozenset({currency, *(quote_of(instrument_id) for instrument_id in instruments)}) - set(dust)
    return Assets(money, dust)


def opening(
    venue: Mapping[str, Decimal],
    ours: Mapping[str, Held],
    unmet: Collection[str],
    busy: Collection[str],
    assets: Assets,
) -> list[Entry]:
    """Give the entries that take in what the account holds when its books first meet an asset.

    An asset of which there is nothing is met as well, with zero: what comes later is a difference. `busy` are the
    assets of open orders: what is there of them may be a trade that has not come in yet, and waits.
    """
    entries: list[Entry] = []
    for asset in sorted(set(unmet) - set(busy)):
        held = ours.get(asset, NOTHING)
        if not held.is_moving:
            amount = venue.get(asset, _ZERO) - held.total
            entries += transfer(assets.home(asset), LedgerAccount.OPENING, asset, amount)
    return entries


def gaps(ours: Mapping[str, Held], venue: Mapping[str, Decimal], met: Collection[str]) -> dict[str, Decimal]:
    """Give what the venue has more (or, negative, less) than our books, by asset; assets that agree are absent."""
    found = {asset: ours.get(asset, NOTHING).gap(venue.get(asset, _ZERO)) for asset in met}
    return {asset: gap for asset, gap in found.items() if gap}


def lasting(observed: Sequence[Mapping[str, Decimal]]) -> dict[str, Decimal]:
    """Give the gaps that stood in every comparison: an asset that agreed once agrees, a trade was on its way.

    What stood, but not with one amount, is given with its last one.
    """
    if not observed:
        return {}
    common = set(observed[0]).intersection(*observed[1:])
    return {asset: observed[-1][asset] for asset in common}


def differences(found: Mapping[str, Decimal], ours: Mapping[str, Held], assets: Assets) -> list[Difference]:
    """Put gaps of balances into words."""
    return [
        Difference(
            kind="position" if asset in assets.dust else "cash",
            subject=asset,
            ours=str(ours.get(asset, NOTHING).total),
            venue=str(ours.get(asset, NOTHING).total + gap),
            is_dust=abs(gap) <= assets.dust_of(asset),
        )
        for asset, gap in sorted(found.items())
    ]


def corrections(found: Mapping[str, Decimal], assets: Assets) -> list[Entry]:
    """Give the entries that bring our books to the venue's where the gap is dust; a larger one waits for a person."""
    entries: list[Entry] = []
    for asset, gap in sorted(found.items()):
        if abs(gap) <= assets.dust_of(asset):
            entries += transfer(assets.home(asset), LedgerAccount.ADJUSTMENT, asset, gap)
    return entries


@dataclass(frozen=True)
class ClockGap:
    """The venue's clock less ours, as one question showed it."""

    gap: timedelta
    doubt: timedelta
    """Half the time that the answer took: so much the gap may be off."""

    @property
    def is_off(self) -> bool:
        """Say whether the clocks differ by too much, beyond doubt."""
        return abs(self.gap) - self.doubt > CLOCK_GAP_MAX

    @property
    def milliseconds(self) -> int:
        """Give the gap in whole milliseconds."""
        return round(self.gap / timedelta(milliseconds=1))


def clock_gap(asked_at: datetime, answered_at: datetime, venue: datetime) -> ClockGap:
    """Hold the venue's clock against ours in the middle of the question."""
    way = (answered_at - asked_at) / 2
    return ClockGap(venue - (asked_at + way), way)


def clock_difference(gap: ClockGap, now: datetime) -> Difference | None:
    """Put a gap into words; None when the clocks agree, as far as the answer's way allows to say."""
    if not gap.is_off:
        return None
    ours, venue = now.isoformat(), (now + gap.gap).isoformat()
    return Difference(kind="clock", subject="clock", ours=ours, venue=venue, is_dust=False)


def strangers(open_ids: Iterable[str], known: Collection[str]) -> list[Difference]:
    """Name the orders that rest at the venue and are not ours."""
    return [
        Difference(kind="order", subject=venue_order_id[:100], ours="none", venue="open", is_dust=False)
        for venue_order_id in sorted(set(open_ids) - set(known))
    ]
