"""A real Prometheus over a stack's own metrics, with the real rules made hasty."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from observability_images import image_with, lack_of
from observability_stack import until

from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.processes import Child, spawn

PROMETHEUS = Path(__file__).parents[2] / "infra" / "prometheus"
_DURATION = re.compile(r"(\[|offset )(\d+)([smh])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_HASTE = 30
_WINDOW_MIN_S = 6
"""A rate needs several looks in its window, and there is one a second."""


class Alarms:
    """What Prometheus says is firing."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def firing(self, name: str, severity: str, **labels: str) -> dict[str, Any] | None:
        """Give the alert if it is firing now."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            found = (await client.get(f"{self._url}/api/v1/alerts")).raise_for_status().json()["data"]["alerts"]
        wanted = {"alertname": name, "severity": severity, **labels}
        for alert in found:
            if alert["state"] == "firing" and wanted.items() <= alert["labels"].items():
                assert "<no value>" not in str(alert["annotations"]), alert
                return dict(alert)
        return None

    async def until_fires(self, name: str, severity: str, within_s: float = 120, **labels: str) -> dict[str, Any]:
        """Wait until the alert fires, and give it."""
        alert: dict[str, Any] = await until(
            lambda: self.firing(name, severity, **labels), f"{name} ({severity}) fires", within_s
        )
        return alert

    async def until_over(self, name: str, severity: str, within_s: float = 120, **labels: str) -> None:
        """Wait until the alert fires no more."""

        async def is_over() -> bool:
            return await self.firing(name, severity, **labels) is None

        await until(is_over, f"{name} ({severity}) is over", within_s)


def skip_without_prometheus() -> None:
    """Skip the test, by name, where there is nothing to watch with."""
    if shutil.which("prometheus") is None and image_with("prometheus") is None:
        pytest.skip(lack_of("prometheus"))


@asynccontextmanager
async def watching(targets: Mapping[str, str], folder: Path) -> AsyncIterator[Alarms]:
    """Run Prometheus over some services' addresses."""
    (port,) = free_ports(1)
    folder.mkdir(mode=0o755)
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": list(_hasty_groups())}))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_settings(targets)))
    child = _start(folder, port)
    try:
        alarms = Alarms(f"http://{LOOPBACK}:{port}")
        await until(lambda: _answers(f"http://{LOOPBACK}:{port}/-/ready", child), "Prometheus is ready")
        yield alarms
    finally:
        child.ask_to_stop()
        await asyncio.to_thread(child.wait_stopped, 10)


def _start(folder: Path, port: int) -> Child:
    if (binary := shutil.which("prometheus")) is not None:
        command, config, data = [binary], folder, folder / "data"
    else:
        image = image_with("prometheus") or ""
        limits = ["--rm", "--network=host", "--read-only", "--cap-drop=ALL", "--tmpfs=/tmp:mode=1777"]
        command = ["docker", "run", *limits, "-v", f"{folder}:/watched:ro", "--entrypoint=prometheus", image]
        config, data = Path("/watched"), Path("/tmp/data")
    arguments = [
        f"--config.file={config}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--log.level=warn",
    ]
    return spawn("Prometheus", [*command, *arguments], log=folder / "prometheus.log", cwd=folder)


async def _answers(url: str, child: Child) -> bool:
    if child.exit_code is not None:
        raise AssertionError(child.log.read_text())
    try:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return (await client.get(url)).status_code == 200
    except httpx2.TransportError:
        return False


def _settings(targets: Mapping[str, str]) -> dict[str, Any]:
    scraped = [
        {"targets": [url.removeprefix("http://")], "labels": {"service": service}} for service, url in targets.items()
    ]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "sigmax", "static_configs": scraped}],
    }


def _hasty_groups() -> Any:
    """Give the rules with every duration a thirtieth of what it is: limits and expressions stay."""
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                rule["expr"] = _DURATION.sub(_hastened, rule["expr"])
                if "for" in rule:
                    rule["for"] = "1s"
            yield group


def _hastened(duration: re.Match[str]) -> str:
    seconds = int(duration[2]) * _UNIT_S[duration[3]] // _HASTE
    return f"{duration[1]}{max(seconds, _WINDOW_MIN_S)}s"
