"""A strategy that raises while it runs, in a whole engine on real servers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sigmax.runtime.service import Service
from sigmax.schemas.market import Bar
from sigmax.schemas.types import AlertLevel
from strategy_engine.app import wire
from strategy_engine.domain.params import Params
from strategy_engine.domain.strategies import KINDS, Kind, Position, Wish
from strategy_engine.settings import Settings

pytestmark = pytest.mark.integration

BTC = "BTC/USDT@binance"


class Raising:
    """Fails at the fifth bar."""

    def __init__(self, params: Params) -> None:
        self.bars = 0

    def on_bar(self, bar: Bar, position: Position) -> Wish | None:
        self.bars += 1
        if self.bars == 5:
            raise ZeroDivisionError("nothing to divide by")
        return None


async def test_a_strategy_that_raises_is_paused_and_told_while_the_others_go_on(
    world: Any,
    service_env: Callable[..., dict[str, str]],
    eventually: Callable[..., Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(KINDS, "raising", Kind(Params, Raising))
    for name, value in service_env("strategy-engine", seed_params='{"donchian_breakout": {"entry": 3}}').items():
        monkeypatch.setenv(name, value)
    service = Service(Settings.load())
    async with service.running(wire):
        await world.stop("ema-cross")
        await world.database.execute(
            "INSERT INTO strategy_engine.strategies SELECT 'bad', 'raising', version, 'active', account_id, timeframe_s,"
            " instruments, '{}', asks_judgement FROM strategy_engine.strategies WHERE strategy_id = 'ema-cross'"
        )

        async def runs() -> bool:
            return not await service.readiness.look()

        await eventually(runs)
        await world.bars(BTC, [100.0, 101, 99, 100, 101, 99, 100, 101])

        # The bad one is put on the desk within a second, warmed with bars that it already fails at.
        await eventually(lambda: world.alerts)
        await world.bar(BTC, 8, 150)
        await eventually(lambda: world.signals)

    row = await world.database.fetchrow("SELECT * FROM strategy_engine.strategies WHERE strategy_id = 'bad'")
    assert (row["status"], row["paused_reason"]) == ("paused", "ZeroDivisionError: nothing to divide by")
    alerts = [alert for alert in world.alerts if alert.code == "strategy_paused"]
    assert [(alert.level, alert.subject) for alert in alerts] == [(AlertLevel.DANGER, "bad")]
    assert world.signals[0].strategy_id == "donchian-breakout"
    assert world.signals[0].reference_price == 150
