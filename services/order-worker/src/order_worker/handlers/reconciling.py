"""Holds our books against the venue's: balances, open orders, trades. The venue wins on facts, people on doubts."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid5

import structlog

from order_worker.domain.booking import Transaction
from order_worker.domain.reconciling import (
    Assets,
    assets_of,
    clock_difference,
    clock_gap,
    corrections,
    differences,
    gaps,
    lasting,
    opening,
    strangers,
)
from order_worker.domain.resolving import needs_a_person
from order_worker.handlers.desk import Desk
from order_worker.handlers.matching import recognise, unmatched
from order_worker.handlers.working import on_sightings, on_trades
from order_worker.ports import Observed, PagePort
from sigmax.domain.ledger import Entry
from sigmax.schemas.base import NAMESPACE
from sigmax.schemas.control import Alert
from sigmax.schemas.market import base_of, quote_of, symbol_of
from sigmax.schemas.orders import Difference, Reconciled
from sigmax.schemas.types import AlertLevel, Submission

log = structlog.get_logger()

_ATTEMPTS = 5
_PAUSE_S = 0.5
_OVERLAP = timedelta(seconds=60)
CLOCKS = timedelta(seconds=1)
"""Room for the venue's clock being off from ours."""
_FIRST_LOOK_BACK = timedelta(hours=24)
_DIFFERENCES_MAX = 1000


async def reconcile(desk: Desk) -> bool:
    """Fetch what we missed, compare, and publish the result; True when it passed.

    Raises `VenueError` when the venue does not answer: then nothing was compared, and the last result grows old.
    """
    instruments = await desk.books.instruments()
    assets = await _assets(desk, instruments)
    since = (await desk.books.account()).reconciled_at
    await _fetch_fills(desk, instruments, since - _OVERLAP if since else desk.clock.now() - _FIRST_LOOK_BACK)
    resting = await desk.venue.open_orders({symbol_of(each) for each in instruments})
    await on_sightings(desk, resting, "reconciliation")
    doubtful = await recognise(desk, "reconciliation")
    owned = await desk.books.owned({each.venue_order_id for each in resting})
    others = strangers((each.venue_order_id for each in resting), owned | doubtful)
    others += await _compare_clocks(desk)

    observed, seen = [], None
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE_S)
        asked_at = desk.clock.now()
        venue = await desk.venue.balances()
        await recognise(desk, "reconciliation")
        await _fetch_fills(desk, instruments, asked_at - _OVERLAP)
        met = await _take_in(desk, assets, venue, asked_at - CLOCKS)
        async with desk.books.open() as page:
            observed.append(gaps(await page.balances(asked_at - CLOCKS), venue, met))
        seen = Observed({asset: venue.get(asset, Decimal(0)) for asset in met}, asked_at - CLOCKS)
        if not observed[-1]:
            break
    found = lasting(observed)
    if found and not others and await _may_be_on_its_way(desk, found):
        log.info("not_concluded", gaps={asset: str(gap) for asset, gap in found.items()})
        return False
    passed = await _conclude(desk, assets, found, others, seen)
    desk.is_reconciled |= passed
    return passed


async def _compare_clocks(desk: Desk) -> list[Difference]:
    asked_at = desk.clock.now()
    venue_at = await desk.venue.now()
    now = desk.clock.now()
    desk.clock_gap = clock_gap(asked_at, now, venue_at)
    found = clock_difference(desk.clock_gap, now)
    return [] if found is None else [found]


async def _assets(desk: Desk, ordered: frozenset[str]) -> Assets:
    known = await desk.instruments.all()
    traded = await desk.venue.symbols()
    offered = {instrument_id for instrument_id in known if symbol_of(instrument_id) in traded}
    lots = {instrument_id: instrument.lot_size for instrument_id, instrument in known.items()}
    return assets_of(desk.terms.currency, offered | ordered, lots)


async def _fetch_fills(desk: Desk, instruments: frozenset[str], since: datetime) -> None:
    symbols = sorted({symbol_of(instrument_id) for instrument_id in instruments})
    if desk.venue.capabilities.execution_ids:
        for symbol in symbols:
            await on_trades(desk, await desk.venue.trades(symbol, since), "reconciliation")
        return
    # Orders are listed by when they were placed, and an old one may have grown.
    claims = [order.claimed_at for order in await desk.books.unfinished() if order.claimed_at is not None]
    start = min((since, *(claimed_at - _OVERLAP for claimed_at in claims)))
    for symbol in symbols:
        rows = await desk.venue.orders(symbol, start)
        await on_sightings(desk, [row.sighting for row in rows], "reconciliation")


async def _may_be_on_its_way(desk: Desk, found: dict[str, Decimal]) -> bool:
    """Say whether an order that has no venue id yet may have moved this: nothing is concluded until that is known.

    The last comparison grows old meanwhile, and an order that needs a person explains nothing any more.
    """
    now = desk.clock.now()
    return any(
        {base_of(order.approved.instrument_id), quote_of(order.approved.instrument_id)} & found.keys()
        for order in await unmatched(desk)
        if order.submission is not Submission.ABSENT and not needs_a_person(order, now, desk.terms)
    )


async def _take_in(desk: Desk, assets: Assets, venue: dict[str, Decimal], recent_from: datetime) -> frozenset[str]:
    """Enter what the account holds of assets that its books meet for the first time; give all that are met now."""
    busy = {base_of(order.approved.instrument_id) for order in await desk.books.unfinished()}
    now = desk.clock.now()
    async with desk.books.open() as page:
        await page.lock_account()
        met = await page.met_assets()
        entries = opening(venue, await page.balances(recent_from), assets.all - met, busy, assets)
        if entries:
            await _enter(page, desk, entries, "opening", now)
            log.info("opening_balances", assets=sorted({entry.asset for entry in entries}))
    return (met | {entry.asset for entry in entries}) & assets.all


async def _enter(page: PagePort, desk: Desk, entries: list[Entry], reason: str, now: datetime) -> None:
    key = f"{desk.terms.account_id}:{reason}:{now.isoformat()}"
    transaction_id = uuid5(NAMESPACE, f"ledger:{key}")
    await page.add_transactions([Transaction(transaction_id, tuple(entries), now, reason)], now)


async def _conclude(
    desk: Desk, assets: Assets, found: dict[str, Decimal], others: list[Difference], seen: Observed | None
) -> bool:
    async with desk.books.open() as page:
        account = await page.lock_account()
        now = desk.clock.now()
        ours = await page.balances(now)
        # A blocked account is compared like any other: it sends nothing until a person lifts the block by a step up,
        # and a step up asks for books that agree.
        listed = [*differences(found, ours, assets), *others]
        passed = all(difference.is_dust for difference in listed)
        if passed and found:
            await _enter(page, desk, corrections(found, assets), "adjustment: dust", now)
        await page.add_reconciliation(passed=passed, differences=listed, now=now, observed=seen)
        page.publish(await _result(page, desk, account.sequence, listed, now))
        if not passed:
            page.publish(_alarm(desk, listed, now))
    log.info("reconciled", passed=passed, differences=[each.model_dump() for each in listed])
    return passed


async def _result(page: PagePort, desk: Desk, sequence: int, listed: list[Difference], now: datetime) -> Reconciled:
    terms = desk.terms
    return Reconciled(
        **Reconciled.first(f"{terms.account_id}:{now.isoformat()}:{terms.worker}", now),
        account_id=terms.account_id,
        venue=terms.venue,
        mode=terms.mode,
        passed=all(difference.is_dust for difference in listed),
        cash=await page.cash(now),
        positions=await page.positions(),
        sequence=sequence,
        differences=tuple(listed[:_DIFFERENCES_MAX]),
        as_of=now,
    )


def _alarm(desk: Desk, listed: list[Difference], now: datetime) -> Alert:
    terms = desk.terms
    shown = [f"{each.kind} {each.subject}: ours {each.ours}, venue {each.venue}" for each in listed if not each.is_dust]
    return Alert(
        **Alert.first(f"reconciliation:{terms.account_id}:{now.isoformat()}:{terms.worker}", now),
        producer="order_worker",
        level=AlertLevel.CRITICAL,
        code="reconciliation_failed",
        subject=terms.account_id,
        text=("Our books and the venue's differ; nothing is sent until they agree. " + "; ".join(shown[:10]))[:2000],
        dedupe_key=f"reconciliation_failed:{terms.account_id}",
    )
