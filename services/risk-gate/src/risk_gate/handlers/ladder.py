"""Climbs the failure ladder: looks, and acts on each rung once."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from risk_gate.domain.ladder import Rung, Step, View, climbed, eased
from risk_gate.domain.market_view import concerned, fresh_prices, is_any_quiet, market_views, twins
from risk_gate.domain.stages import OWNER, PLATFORM, StageChange, stops_sends
from risk_gate.domain.watchdogs import Watched, venues_of, venues_worked_on
from risk_gate.handlers.flattening import start_flattening
from risk_gate.handlers.stages import cancel_open
from risk_gate.ports import LedgerPort, World
from sigmax.schemas.control import Alert
from sigmax.schemas.market import moment
from sigmax.schemas.types import AlertLevel, Stage


async def see(accounts: Sequence[Watched], since: datetime, world: World) -> tuple[View, dict[str, Decimal]]:
    """Look at the venues and markets of these accounts; give that, and the fresh prices of what they hold."""
    instruments = await world.feed.instruments()
    names = sorted(concerned(accounts, instruments))
    others = {twin for group in twins(names, instruments).values() for twin in group}
    held = {name for each in accounts for name in each.instruments}
    quotes = await world.market.quotes({*held, *names, *others})
    fills = {name: fill for each in accounts for name, fill in each.fills.items()}
    now = world.clock.now()
    markets = market_views(names, instruments, quotes, fills=fills, recent=world.recent, now=now, accounts=accounts)
    if is_any_quiet(markets, world.ladder, now):
        quotes = {**await world.market.quotes(set(instruments)), **quotes}
    view = View(
        watching_since=since,
        venues=venues_of(accounts),
        markets=markets,
        feed_newest_at=max((moment(quote.received_ns) for quote in quotes.values()), default=None),
        feed_size=len(instruments),
        worked_on_until=venues_worked_on(accounts, now),
    )
    return view, fresh_prices({name: quotes[name] for name in held if name in quotes}, instruments, now)


def downs_of(found: Sequence[Rung]) -> list[StageChange]:
    """Give the stages that rungs ask for."""
    return [_change(rung, rung.stage) for rung in found if rung.stage is not None]


async def follow_rungs(found: Sequence[Rung], ledger: LedgerPort, world: World) -> None:
    """Act on what climbed since it was last on record, and tell what has ended. Call it with the accounts locked."""
    now = world.clock.now()
    recorded = await ledger.ladder_steps()
    for rung in climbed(found, recorded):
        await ledger.record_rung(Step(*rung.key, rung.step), rung, now)
        ledger.publish(_alert(rung.key, rung.level, rung.text, rung.step, now))
        change = _change(rung, rung.stage or Stage.NORMAL)
        if rung.liquidates:
            await start_flattening(ledger, world, rung.scope, rung.scope_id, why=rung.text, requested_by=PLATFORM)
        elif rung.cancels and not stops_sends(change.stage):
            await cancel_open(change, ledger, world)
    for step, rung_now in eased(found, recorded):
        await ledger.record_rung(Step(*step.key, rung_now.step if rung_now else 0), rung_now, now)
        if rung_now is None:
            text = "It has ended. Trading stays as far down as it is: a person may raise it, one step at a time."
            ledger.publish(_alert(step.key, AlertLevel.INFO, text, 0, now))


def _change(rung: Rung, stage: Stage) -> StageChange:
    return StageChange(rung.scope, rung.scope_id, stage, rung.text)


def _alert(key: tuple[str, str, str], level: AlertLevel, text: str, step: int, now: datetime) -> Alert:
    fault, scope, scope_id = key
    name = f"{fault}:{scope}:{scope_id}:{step}"
    return Alert(
        **Alert.first(f"{name}:{now.isoformat()}", now),
        producer=OWNER,
        level=level,
        code=fault if step else f"{fault}_ended",
        subject=scope_id,
        text=text,
        values={"scope": scope, "step": str(step)},
        dedupe_key=name,
    )
