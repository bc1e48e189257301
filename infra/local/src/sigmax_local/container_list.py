"""Containers as Docker tells of them, read as the parts that people see."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sigmax.schemas.topology import SERVICES
from sigmax_local.runs import Part

_ID_CHARACTERS = 12
_SERVICES = frozenset({*SERVICES, "order-worker-live"})
"""What is always listed. Servers and one-shot jobs are, when something is wrong with them."""
_STOPPED = frozenset({0, 143})
"""Exit codes of a container that was asked to end."""


@dataclass(frozen=True)
class Container:
    """One container of the project."""

    service: str
    number: int
    """Tells replicas of a service apart, from 1 on."""
    id: str
    state: str
    """Docker's word: `created`, `running`, `paused`, `restarting`, `exited`, `dead`."""
    health: str
    """`healthy`, `starting`, `unhealthy`, or nothing where there is no check."""
    exit_code: int
    restarts: int = 0
    said: str = ""
    """What its last health check printed."""
    folder: str = ""
    """The clone it was started from."""
    name: str = ""

    @property
    def is_running(self) -> bool:
        """Say whether its process runs."""
        return self.state == "running"

    @property
    def is_healthy(self) -> bool:
        """Say whether its health check passes."""
        return self.is_running and self.health == "healthy"


def containers_of(listed: str, inspected: str = "") -> list[Container]:
    """Read `docker compose ps --format json`, and `docker inspect` of the same containers where more is to be known."""
    details = {one["Id"][:_ID_CHARACTERS]: one for one in json.loads(inspected or "[]")}
    return [_container(row, details.get(row["ID"][:_ID_CHARACTERS], {})) for row in rows_of(listed)]


def rows_of(listed: str) -> list[dict[str, Any]]:
    """Read a list that some versions of Compose write as one array and others as an object per line."""
    text = listed.strip()
    rows: list[dict[str, Any]] = (
        json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
    )
    return rows


def _container(row: Mapping[str, Any], details: Mapping[str, Any]) -> Container:
    checks = details.get("State", {}).get("Health", {}).get("Log") or [{}]
    number = row["Name"].rpartition("-")[2]
    labels = details.get("Config", {}).get("Labels") or {}
    return Container(
        service=row["Service"],
        number=int(number) if number.isdecimal() else 1,
        id=row["ID"],
        state=row["State"],
        health=row.get("Health", ""),
        exit_code=row.get("ExitCode", 0),
        restarts=details.get("RestartCount", 0),
        said=checks[-1].get("Output", "").strip(),
        folder=labels.get("com.docker.compose.project.working_dir", ""),
        name=row["Name"],
    )


def parts_of(containers: Iterable[Container], expected: Iterable[str] = ()) -> list[Part]:
    """Give the parts to show, services first, in the order of the path; `expected` are those that should be there."""
    found = sorted(containers, key=lambda one: (_place(one.service), one.service, one.number))
    replicas = [one.service for one in found]
    parts = [
        Part(
            f"{one.service} {one.number}" if replicas.count(one.service) > 1 else one.service,
            _health(one),
            one.restarts,
            one.id[:_ID_CHARACTERS],
            tuple(_problems(one)),
        )
        for one in found
        if one.service in _SERVICES or _is_unwell(one)
    ]
    missing = sorted((set(expected) & _SERVICES) - set(replicas), key=_place)
    return [*parts, *(Part(service, "down", problems=("there is no container",)) for service in missing)]


def _place(service: str) -> int:
    name = service.removesuffix("-live")
    return SERVICES.index(name) if name in SERVICES else len(SERVICES)


def _is_unwell(one: Container) -> bool:
    # A one-shot job that is over has done what it was for.
    return _health(one) not in {"ready", "stopped"}


def _health(one: Container) -> str:
    if one.state == "running":
        return {"healthy": "ready", "": "ready", "starting": "starting"}.get(one.health, "not ready")
    if one.state in {"created", "starting"}:
        return "starting"
    if one.state == "paused":
        return "not ready"
    return "stopped" if one.state == "exited" and one.exit_code in _STOPPED else "down"


def _problems(one: Container) -> list[str]:
    if one.state == "paused":
        return ["paused"]
    if one.state == "restarting":
        return [f"restarting, ended with code {one.exit_code}"]
    health = _health(one)
    if health == "down":
        return [f"ended with code {one.exit_code}"]
    if health not in {"not ready", "starting"} or not one.said:
        return []
    try:
        told = json.loads(one.said)
    except ValueError:
        return [one.said.splitlines()[-1]]
    return [str(problem) for problem in told.get("problems", [])] if isinstance(told, dict) else [one.said]


def prices_of(variables: Mapping[str, str]) -> str:
    """Say where the containers' prices come from, by their settings."""
    if variables.get("SIGMAX_SOURCE", "ccxt") == "replay":
        name = Path(variables.get("SIGMAX_REPLAY_FILE", "")).name or "a recording"
        return f"{name} at {variables.get('SIGMAX_REPLAY_SPEED', '1')}x"
    symbols = variables.get("SIGMAX_SYMBOLS") or "BTC/USDT,ETH/USDT"
    exchange = variables.get("SIGMAX_CCXT_EXCHANGE") or "binance"
    return f"live trades of {' and '.join(symbols.split(','))} at {exchange}"
