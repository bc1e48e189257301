"""Follows what order-worker tells of orders, fills, and positions."""

from risk_gate.domain.book import effect_of, moves_book
from risk_gate.domain.facts import Identity
from risk_gate.domain.identity import FIRST_SIGHT, agrees, at_first_sight
from risk_gate.domain.post_trade import ApprovedOrder, breach_latch, fill_breach
from risk_gate.domain.situation import ZERO, Account
from risk_gate.domain.stages import OWNER
from risk_gate.domain.watchdogs import circuit_down
from risk_gate.handlers.guarding import follow_event, follow_fill
from risk_gate.handlers.stages import lower
from risk_gate.handlers.watching import on_failed_reconciliation
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.control import Alert
from sigmax.schemas.orders import Fill, OrderEvent, PositionChanged, Reconciled, VenueHealth
from sigmax.schemas.types import AlertLevel, Side


async def on_fill(fill: Fill, world: World) -> None:
    """Move what is held by a fill, and release as much of its order's reservation."""
    guarded = None
    async with world.open_ledger() as ledger:
        if await ledger.first_time(fill):
            reconciled_at = await ledger.reconciled_at(fill.account_id)
            is_news = moves_book(fill.occurred_at, reconciled_at)
            approved = await ledger.approved_order(fill.client_order_id)
            if await ledger.apply_fill(fill, effect_of(fill), moves_book=is_news):
                await _hold_against_approval(fill, approved, ledger, world)
            guarded = await follow_fill(fill, ledger, world)
    if guarded is not None:
        world.exits.watch.keep(guarded)


async def _hold_against_approval(fill: Fill, approved: ApprovedOrder | None, ledger: LedgerPort, world: World) -> None:
    """Keep an account from adding exposure once it traded what nobody approved, until a person has looked."""
    limits = await ledger.limits_of(fill.account_id)
    breach = fill_breach(fill, approved, limits.fill_price_tolerance_bps if limits else ZERO)
    if breach is None:
        return
    now, latch = world.clock.now(), breach_latch(fill, breach)
    await ledger.latch(fill.account_id, latch, now)
    ledger.publish(
        Alert(
            **Alert.after(fill, now, part="fill_unexplained"),
            producer=OWNER,
            level=AlertLevel.CRITICAL,
            code="fill_unexplained",
            subject=fill.account_id,
            text=f"No exposure is added until a person releases the account: {latch.reason}.",
            dedupe_key=f"fill_unexplained:{fill.account_id}:{fill.execution_id}",
        )
    )


async def on_order_event(event: OrderEvent, world: World) -> None:
    """Follow an order; its end releases what will never fill."""
    guarded = None
    async with world.open_ledger() as ledger:
        if await ledger.first_time(event):
            order = await ledger.exit_order(event.client_order_id) if event.side is Side.SELL else None
            if order is not None:
                # What follows may sell: the account comes before its orders and its protections, as with a fill.
                await ledger.lock_account(event.account_id)
            await ledger.apply_event(event)
            if order is not None:
                guarded = await follow_event(event, order, ledger, world)
    if guarded is not None:
        world.exits.watch.keep(guarded)


async def on_position_changed(position: PositionChanged, world: World) -> None:
    """Keep order-worker's own figures beside ours."""
    async with world.open_ledger() as ledger:
        if await ledger.first_time(position):
            await ledger.reconciled_at(position.account_id)
            await ledger.apply_position(position)


async def on_reconciled(reconciled: Reconciled, world: World) -> None:
    """Start the book anew from figures that were held against the venue's; older ones than known are left alone."""
    async with world.open_ledger() as ledger:
        if not await ledger.first_time(reconciled):
            return
        account = await ledger.lock_account(reconciled.account_id)
        if account and (account.reconciled_at is None or reconciled.as_of > account.reconciled_at):
            await ledger.rebase(reconciled)
        if account:
            await on_failed_reconciliation(reconciled, ledger, world)


async def on_venue_health(health: VenueHealth, world: World) -> None:
    """Note how the venue fares, and as whom it is traded; an older word than the last changes nothing."""
    async with world.open_ledger() as ledger:
        if not await ledger.first_time(health):
            return
        down = circuit_down(health)
        if down is not None:
            await ledger.lock_accounts()
            await lower(down, ledger, world, health)
        account, identity = await ledger.lock_account(health.account_id), _identity_of(health)
        if await ledger.apply_health(health) and account is not None and identity is not None:
            await _look_at_identity(identity, account, health, ledger, world)


def _identity_of(health: VenueHealth) -> Identity | None:
    if health.mode is None or health.key_fingerprint is None:
        return None
    return Identity(health.mode, health.hosts, health.key_fingerprint)


async def _look_at_identity(
    identity: Identity, account: Account, health: VenueHealth, ledger: LedgerPort, world: World
) -> None:
    """Take a paper account's first word; tell people of any other that was not named for the account."""
    limits = await ledger.limits_of(health.account_id)
    if limits is None or agrees(identity, account, limits):
        return
    now = world.clock.now()
    named = at_first_sight(identity, account, limits)
    if named is not None:
        await ledger.add_limits(health.account_id, named, FIRST_SIGHT, now)
        return
    hosts = ", ".join(identity.hosts) or "no host"
    ledger.publish(
        Alert(
            **Alert.after(health, now, part="venue_identity_changed"),
            producer=OWNER,
            level=AlertLevel.CRITICAL,
            code="venue_identity_changed",
            subject=health.account_id,
            text=(
                f"order-worker trades {health.account_id} in {identity.mode} at {hosts} with the key"
                f" {identity.key_fingerprint}, which nobody named for it: nothing passes until two people do."
            ),
            dedupe_key=f"venue_identity_changed:{health.account_id}:{hosts}:{identity.key_fingerprint}",
        )
    )
