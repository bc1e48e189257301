"""What rules and panels ask for is there: every metric, with every label, in a stack that runs and trades."""

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
import websockets
from observability_expressions import Asked, everything_asked, recorded
from observability_stack import a_judgement_request, purge, spoil, trading_stack, until
from prometheus_client.parser import text_string_to_metric_families

from sigmax.runtime.service_levels import EDGES, Step
from sigmax_local.servers import Addresses
from sigmax_local.testkit.platform import Platform

OF_PROMETHEUS = frozenset({"up", "ALERTS"})
"""What Prometheus makes itself."""
OF_THE_TARGET = frozenset({"job", "instance", "service"})
"""Labels that the scrape adds: see prometheus.yml."""
OF_RABBITMQ = "rabbitmq_"
PATIENCE_S = 60
"""The scheduler looks for problems every half minute."""
Samples = dict[str, list[dict[str, str]]]


async def scraped(urls: dict[str, str]) -> Samples:
    """Give the labels of all samples of all pages, by name."""
    found: Samples = defaultdict(list)
    async with httpx2.AsyncClient(trust_env=False) as client:
        for url in urls.values():
            page = (await client.get(url)).raise_for_status().text
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    found[sample.name].append(sample.labels)
    return found


def lacking(asked: list[Asked], samples: Samples) -> list[str]:
    """Say what of that which is asked for no sample has."""
    return sorted(
        {
            f"{each.place} asks for {each.metric}{dict(each.labels)}"
            for each in asked
            if not any(_has(labels, each) for labels in samples.get(each.metric, []))
        }
    )


def _has(labels: dict[str, str], asked: Asked) -> bool:
    own = [(label, value) for label, value in asked.labels if label not in OF_THE_TARGET]
    return all(label in labels and value in ("", labels[label]) for label, value in own)


@pytest.mark.e2e
@pytest.mark.integration
@pytest.mark.timeout(400)
async def test_every_metric_and_label_that_a_rule_or_panel_asks_for_is_there(clean: Addresses, tmp_path: Path) -> None:
    ours = [
        each
        for each in everything_asked()
        if each.metric not in OF_PROMETHEUS | recorded() and not each.metric.startswith(OF_RABBITMQ)
    ]
    async with trading_stack(clean, tmp_path) as (platform, world):
        urls = {name: f"{service.url}/metrics" for name, service in platform.services.items()}
        async with somebody_who_watches(platform):
            await spoil(clean, "notifier.alert.v1")  # a dead letter, and with it an alert that is delivered
            await world.publish(a_judgement_request())
            await until(lambda: platform.value("SELECT count(*) FROM order_worker.fills"), "a fill")
            patience = time.monotonic() + PATIENCE_S
            while lacking(ours, samples := await scraped(urls)) and time.monotonic() < patience:
                await asyncio.sleep(0.5)
            assert await platform.metric("scheduler", "sigmax_redis_memory_bytes") > 0
            assert await platform.metric("scheduler", "sigmax_postgres_size_bytes") > 0
        await purge(clean, "notifier.dead")
        assert lacking(ours, samples) == []
        # A figure that cannot be read any more stays as it was, and looks well.
        failed = {name: service.log.read_text().count("loop_failed") for name, service in platform.services.items()}
        assert not any(failed.values()), failed

    assert len(ours) > 150
    # As long as nobody verifies, nothing may look as if somebody did.
    steps = {labels["step"] for labels in samples["sigmax_service_level_seconds_count"]}
    assert steps == {step.value for step in EDGES if step is not Step.VERIFICATION}
    ours_named = {name for name in samples if name.startswith("sigmax_")}
    clashing = {name for name in ours_named for labels in samples[name] if OF_THE_TARGET & labels.keys()}
    assert not clashing, "Prometheus would rename these labels"


async def test_every_name_of_rabbitmq_is_one_that_its_plugin_gives() -> None:
    asked = [each for each in everything_asked() if each.metric.startswith(OF_RABBITMQ)]
    assert asked
    page = os.environ.get("SIGMAX_TEST_RABBITMQ_METRICS")
    if page is None:
        names = ", ".join(sorted({each.metric for each in asked}))
        pytest.skip(
            f"SIGMAX_TEST_RABBITMQ_METRICS (http://host:15692) names no RabbitMQ with its plugin; unseen: {names}"
        )

    detailed = f"{page}/metrics/detailed?family=queue_coarse_metrics"
    assert lacking(asked, await scraped({"all": f"{page}/metrics", "queues": detailed})) == []


@asynccontextmanager
async def somebody_who_watches(platform: Platform) -> AsyncIterator[None]:
    """Hold one live connection that hears everything; another is not let in."""
    address = platform.services["api-gateway"].url.replace("http", "ws") + "/ws"
    with pytest.raises(websockets.exceptions.InvalidStatus):
        await websockets.connect(address, origin="https://elsewhere.example", proxy=None)
    ticket = (await platform.command("/ws-ticket", {}))["ticket"]
    async with websockets.connect(address, proxy=None) as socket:
        await socket.send(json.dumps({"ticket": ticket}))
        topics = json.loads(await socket.recv())["topics"]
        await socket.send(json.dumps({"subscribe": topics}))
        yield
