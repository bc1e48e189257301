"""The platform in containers trades, explains, halts, and is steered, seen through the gateway alone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sigmax_local.testkit.container_stack import SYMBOLS, ContainerStack

_TRADER = {"login": "trader", "role": "trader", "accounts": ["paper"], "password": "a long enough password for tests"}


async def test_ticks_become_fills_of_every_instrument_and_each_fill_says_why(stack: ContainerStack) -> None:
    async def all_filled() -> bool:
        fills = (await stack.get("/fills", limit="200"))["items"]
        return {fill["instrument_id"].split("/")[0] for fill in fills} == set(SYMBOLS)

    await stack.until(all_filled, "every instrument was traded")

    (fill, *_) = (await stack.get("/fills"))["items"]
    why = await stack.get(f"/why/{fill['execution_id']}")
    assert why["fill"]["execution_id"] == fill["execution_id"]
    assert why["signal"]["features"]
    assert why["verdict"]["checks"]
    assert why["order"]["client_order_id"] == fill["client_order_id"]


async def test_a_halt_stops_sending_within_a_second_and_resume_lets_it_go_on(stack: ContainerStack) -> None:
    await stack.trades_again()

    halted_at = datetime.now(UTC)
    await stack.command("POST", "/risk/halt", {"reason": "a drill"})

    async def is_denied() -> bool:
        return bool((await stack.figures(halted_at))["denials"].get("kill_switch_on"))

    await stack.until(is_denied, "signals are denied because trading is halted")
    sent = [order["sent_at"] for order in (await stack.get("/orders", limit="100"))["items"] if order["sent_at"]]
    assert max(map(datetime.fromisoformat, sent)) < halted_at + timedelta(seconds=1) + await _slowness(stack)

    await stack.resume("the drill is over")
    await stack.trades_again()


async def _slowness(stack: ContainerStack) -> timedelta:
    """Give how long the gateway takes to answer now: on a machine that is busy elsewhere that is no second."""
    began = datetime.now(UTC)
    await stack.get("/risk/stages")
    return datetime.now(UTC) - began


async def test_parameters_changed_through_the_gateway_take_effect_while_running(stack: ContainerStack) -> None:
    users = await stack.get("/users")
    if not any(user["login"] == _TRADER["login"] for user in users):
        await stack.gateway.post("/users", _TRADER)
    await stack.gateway.sign_in(_TRADER["login"], _TRADER["password"])
    try:
        before = await stack.get("/strategies/ema-cross")
        fast = 3 if Decimal(str(before["params"]["fast"])) == 2 else 2

        await stack.command("PUT", "/strategies/ema-cross/params", {"params": {"fast": fast, "slow": 5}})

        async def is_in_use() -> bool:
            signals = (await stack.get("/signals", limit="50"))["items"]
            return any(
                one["strategy_id"] == "ema-cross" and one["strategy_version"] == before["version"] + 1
                for one in signals
            )

        await stack.until(is_in_use, "a signal of the new version")
    finally:
        await stack.sign_in()
