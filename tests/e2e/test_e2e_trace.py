"""One trace from the tick to the fill, over all services, as whoever looks into a collector sees it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sigmax.schemas.topology import SERVICES
from sigmax_local.bench.recordings import swings
from sigmax_local.servers import Addresses
from sigmax_local.testkit.otlp import Collector, SeenSpan, collecting
from sigmax_local.testkit.platform import Platform, running_platform

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.timeout(480)]

FILLED = """
    SELECT correlation_id, client_order_id, instrument_id FROM order_worker.orders
    WHERE status = 'filled' AND strategy_id = $1 ORDER BY order_id LIMIT 1
"""
SAID = """
    SELECT v.action, v.outcome, v.code, v.text, o.status, o.reason FROM risk_gate.verdicts AS v
    LEFT JOIN order_worker.orders AS o USING (client_order_id) WHERE v.strategy_id = $1 ORDER BY v.created_at LIMIT 20
"""
FASTEST_S = "SELECT min(extract(epoch FROM sent_at - tick_received_at)) FROM order_worker.orders"
AWAY = "http://127.0.0.1:9"
"""The discard port: nobody listens."""
SENT_S = 2.5
"""Longer than a span waits to be sent."""
TRADING = {"seed_timeframe_s": "1", "seed_params": '{"ema_cross": {"fast": 2, "slow": 4}}'}
CLOCK_NS = 1_000_000
"""Times of the market event are kept in whole microseconds."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def traced(endpoint: str, ratio: float, **engine: str) -> dict[str, dict[str, str]]:
    """Give every service the settings of a traced stack."""
    common = {"otlp_endpoint": endpoint, "trace_ratio": str(ratio)}
    return {name: {**common, **(engine if name == "strategy-engine" else {})} for name in SERVICES}


def a_recording(path: Path, seconds: int = 120, period_s: float = 4) -> Path:
    swings(path, instruments=1, ticks_per_s=20, seconds=seconds, period_s=period_s)
    return path


async def until(condition: Callable[[], Awaitable[Any]], what: str, within_s: float = 60) -> Any:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := await condition():
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within_s:.0f} s: {what}")


async def a_filled_order(platform: Platform, strategy_id: str = "ema-cross", within_s: float = 60) -> Any:
    async def found() -> Any:
        return next(iter(await platform.rows(FILLED, strategy_id)), None)

    try:
        return await until(found, f"{strategy_id} has an order filled", within_s)
    except AssertionError as error:
        said = [tuple(row) for row in await platform.rows(SAID, strategy_id)]
        raise AssertionError(f"{error}; said of its wishes: {said}") from error


async def its_trace(collector: Collector, order: Any) -> list[SeenSpan]:
    """Wait until the trace of an order is whole and nothing more comes; give its spans by when they began."""
    wanted = {"on fill", "on position_changed", "market event"}
    trace_id = order["correlation_id"].hex

    async def settled() -> Any:
        before = collector.trace(trace_id)
        await asyncio.sleep(SENT_S)
        after = collector.trace(trace_id)
        return after if len(before) == len(after) and wanted <= {span.name for span in after} else None

    return list(await until(settled, f"the trace of {order['client_order_id']} is whole"))


def line_of(spans: list[SeenSpan], leaf: SeenSpan) -> list[str]:
    """Give the names from the root to a span."""
    by_id = {span.span_id: span for span in spans}
    line = [leaf]
    while parent := by_id.get(line[-1].parent_id):
        line.append(parent)
    return [str(span) for span in reversed(line)]


def the(spans: list[SeenSpan], service: str, name: str, **attributes: str) -> SeenSpan:
    """Give the first span of a name that has these attributes."""
    wanted = {f"sigmax.{key}": value for key, value in attributes.items()}
    return next(
        span
        for span in spans
        if (span.service, span.name) == (service, name) and wanted.items() <= span.attributes.items()
    )


def told(log: Path) -> str:
    """Give what a service logged since it started last: a folder of servers keeps the logs of earlier runs."""
    return log.read_text().rpartition('"event":"started"')[2]


def is_one_sound_tree(spans: list[SeenSpan]) -> None:
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "two spans have one id"
    roots = [span for span in spans if span.parent_id not in by_id]
    assert [(str(root), root.parent_id) for root in roots] == [("strategy-engine market event", "")], "an orphan"
    for span in spans:
        assert span.end_ns >= span.start_ns
        assert not span.error, f"{span} failed: {span.error}"
        if parent := by_id.get(span.parent_id):
            assert span.start_ns >= parent.start_ns - CLOCK_NS, f"{span} began before {parent}"


async def test_the_trace_of_an_order_leads_from_its_tick_to_its_fill(
    clean: Addresses, tmp_path: Path, collector: Collector
) -> None:
    recording = a_recording(tmp_path / "swings.parquet")
    async with running_platform(clean, recording, settings=traced(collector.url, 1, **TRADING)) as platform:
        order = await a_filled_order(platform)
        spans = await its_trace(collector, order)
        (signal,) = await platform.rows(
            "SELECT correlation_id, tick_received_at FROM strategy_engine.signals WHERE correlation_id = $1",
            order["correlation_id"],
        )
        secrets = [clean.secrets.get("order_worker", name) for name in ("venue_api_secret", "approval_key")]

    is_one_sound_tree(spans)
    to_order = [
        "strategy-engine market event",
        "strategy-engine publish signal",
        "risk-gate on signal",
        "risk-gate decide",
        "risk-gate publish order_approved",
        "order-worker on order_approved",
    ]
    assert line_of(spans, the(spans, "strategy-engine", "evaluate")) == [to_order[0], "strategy-engine evaluate"]
    assert line_of(spans, the(spans, "order-worker", "submit")) == [*to_order, "order-worker submit"]
    booked = line_of(spans, the(spans, "order-worker", "publish fill"))
    assert booked[-2:] == ["order-worker book", "order-worker publish fill"]
    assert booked[:5] == to_order[:5]  # the reply and the stream race: booked by the handler, or beside it
    for reader in ("strategy-engine", "risk-gate", "api-gateway"):
        assert line_of(spans, the(spans, reader, "on fill")) == [*booked, f"{reader} on fill"]
    the(spans, "notifier", "on order_event", status="filled")
    the(spans, "api-gateway", "on order_approved", client_order_id=order["client_order_id"])

    root, submit = spans[0], the(spans, "order-worker", "submit")
    assert root.start_ns // 1000 == round(signal["tick_received_at"].timestamp() * 1e6)
    assert submit.kind == "client"
    assert submit.attributes == {
        "sigmax.client_order_id": order["client_order_id"],
        "sigmax.instrument_id": order["instrument_id"],
        "sigmax.venue": "paper",
        "sigmax.outcome": "accepted",
    }
    assert the(spans, "risk-gate", "decide").attributes["sigmax.verdict"] == "approved"
    steps = [the(spans, *name.split(" ", 1)).start_ns for name in [*to_order, "order-worker submit"]]
    assert steps == sorted(steps)
    shown = " ".join(str(value) for span in collector.spans for value in span.attributes.values())
    assert not [secret for secret in secrets if secret in shown]
    assert max(len(str(value)) for span in collector.spans for value in span.attributes.values()) <= 200


async def test_between_a_judged_signal_and_its_order_stands_who_judged(
    clean: Addresses, tmp_path: Path, collector: Collector
) -> None:
    # A long fall and a long rise: the RSI leaves oversold, which asks for judgement before it buys. It does so once in
    # 20 s, for two minutes: what a busy machine has denied, as for its late price, is wished for again.
    recording = a_recording(tmp_path / "swings.parquet", seconds=240, period_s=40)
    settings = traced(collector.url, 1, seed_timeframe_s="1")
    async with running_platform(clean, recording, speed=2, settings=settings) as platform:
        order = await a_filled_order(platform, "rsi-reversion", within_s=120)
        spans = await its_trace(collector, order)

    is_one_sound_tree(spans)
    submit = the(spans, "order-worker", "submit", client_order_id=order["client_order_id"])
    line = line_of(spans, submit)
    assert line[:2] == ["strategy-engine market event", "strategy-engine publish judgement_requested"]
    assert line[-2:] == ["order-worker on order_approved", "order-worker submit"]
    judged = line_of(spans, the(spans, "llm-controller", "publish decision", verdict="approve"))
    assert judged == [*line[:2], "llm-controller on judgement_requested", "llm-controller publish decision"]
    # risk-gate decides with whichever comes last, the wish or the verdict on it; mostly that is the verdict.
    the(spans, "risk-gate", "on decision", verdict="approve")
    assert {"risk-gate on decision", "risk-gate on judgement_requested"} & set(line)


async def test_a_denial_shows_its_code(clean: Addresses, tmp_path: Path, collector: Collector) -> None:
    recording = a_recording(tmp_path / "swings.parquet")
    settings = traced(collector.url, 1, **TRADING)
    restricted = {"instruments_restricted": ["B000/USDT@replay"]}
    async with running_platform(clean, recording, limits=restricted, settings=settings):

        async def denied() -> Any:
            return [span for span in collector.spans if str(span) == "strategy-engine on order_denied"]

        (span, *_) = await until(denied, "a denial comes back")
        await asyncio.sleep(SENT_S)

    spans = collector.trace(span.trace_id)
    is_one_sound_tree(spans)
    decide = the(spans, "risk-gate", "decide")
    assert decide.attributes == {"sigmax.verdict": "denied", "sigmax.code": "instrument_not_tradable"}
    assert the(spans, "risk-gate", "publish order_denied").attributes["sigmax.code"] == "instrument_not_tradable"


async def test_with_a_ratio_of_nothing_nothing_is_sent(clean: Addresses, tmp_path: Path, collector: Collector) -> None:
    recording = a_recording(tmp_path / "swings.parquet")
    async with running_platform(clean, recording, settings=traced(collector.url, 0, **TRADING)) as platform:
        await a_filled_order(platform)
        await asyncio.sleep(SENT_S)

    assert collector.requests == 0


async def test_a_collector_that_is_away_or_slow_stops_and_slows_no_trade(
    clean: Addresses, tmp_path: Path, collector: Collector
) -> None:
    collector.delay_s = 30
    settings = traced(collector.url, 1, **TRADING)
    settings["risk-gate"]["otlp_endpoint"] = AWAY
    async with running_platform(clean, a_recording(tmp_path / "swings.parquet"), settings=settings) as platform:

        async def many() -> Any:
            return await platform.value("SELECT count(*) FROM order_worker.orders WHERE status = 'filled'") >= 5

        await until(many, "trading goes on", within_s=90)
        fastest_s = await platform.value(FASTEST_S)
        logs = [platform.services[name].log for name in ("risk-gate", "order-worker")]

        async def said() -> Any:
            return [told(log).count("traces_not_delivered") for log in logs] == [1, 1]

        await until(said, "both logs say that traces are not delivered")
        await asyncio.sleep(2 * SENT_S)
        assert await said(), "it was said again"
        assert not [log for log in logs if "opentelemetry" in told(log)]

    assert fastest_s < 1, "every order waited for the collector"
    # Who does not end within half a minute is killed, which is another exit code.
    assert {service.exit_code for service in platform.services.values()} == {0}
