"""The whole platform as processes that are started again whenever they end: three order-workers, one of all others."""

import json
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

from sigmax.schemas.topology import SERVICES, owner_of
from sigmax.schemas.types import Posture
from sigmax_local.environment import service_environment
from sigmax_local.ports import LOOPBACK, free_ports
from sigmax_local.servers import Addresses
from sigmax_local.supervisor import Program, Restarts, Supervisor, Watched

CURRENCY = "USDT"
WORKERS = 3
_DOWN_MAX = 1
"""A slow machine takes longer to start a process than another takes to be killed."""
LIMITS: dict[str, object] = {
    "order_notional_max": "1e6",
    "position_notional_max": "1e7",
    "volume_share_max_pct": "100",
    "concentration_max_pct": "100",
    "strategy_budget_pct": "100",
    "strategy_orders_per_s_max": 10_000,
    "account_orders_per_s_max": 10_000,
    "strategy_orders_per_run_max": 1_000_000,
    "strategy_orders_per_day_max": 1_000_000,
    "account_orders_per_day_max": 1_000_000,
    "turnover_per_minute_max": "1e9",
    "turnover_per_hour_max": "1e10",
    "turnover_per_day_max": "1e11",
    "duplicate_window_s": 1,
    "loss_minute_max_pct": "100",
    "loss_day_max_pct": "100",
    "drawdown_max_pct": "100",
    "streak_stops_max": 1000,
    "cancel_ratio_caution_pct": "100",
    "cancel_ratio_max_pct": "100",
    "posture_positions_max": dict.fromkeys(Posture, 1000),
}
"""Wide, so that what is measured is the path and not a denial; the gate decides as always."""
_EMA = {"ema_cross": {"fast": 2, "slow": 4}}
_REPLICAS = {"order-worker": WORKERS}


@dataclass
class Platform:
    """Every process, and who was killed how often."""

    supervisor: Supervisor
    gateway_url: str
    kills: dict[str, int] = field(default_factory=dict)

    @property
    def running(self) -> list[Watched]:
        """Give the processes that run now."""
        return [one for one in self.supervisor.watched if one.child is not None and one.is_ready]

    def kill_one(self, chance: random.Random) -> None:
        """End one process with kill -9, each service as likely, unless several are just starting."""
        by_service: dict[str, list[Watched]] = {}
        running = self.running
        if len(running) < len(self.supervisor.watched) - _DOWN_MAX:
            return
        for one in running:
            by_service.setdefault(service_of(one.program.name), []).append(one)
        service = chance.choice(sorted(by_service))
        one = chance.choice(by_service[service])
        if one.child is not None:
            one.child.signal(SIGKILL)
            one.is_ready = False
            self.kills[service] = self.kills.get(service, 0) + 1


def service_of(name: str) -> str:
    """Give the service of a process: `order-worker` for `order-worker-2`."""
    return next(service for service in SERVICES if name.startswith(service))


def build(addresses: Addresses, recording: Path, logs: Path, restarts: Iterable[str] = SERVICES) -> Platform:
    """Make the platform over a recording; nothing is started yet."""
    logs.mkdir(parents=True, exist_ok=True)
    names = [(service, replica) for service in restarts for replica in range(_REPLICAS.get(service, 1))]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    venue_url = f"http://{LOOPBACK}:{ports['paper-venue', 0]}"

    def program(service: str, replica: int) -> Program:
        port = ports[service, replica]
        settings = {**_settings(service, venue_url, recording), "replica": str(replica)}
        name = f"{service}-{replica}" if _REPLICAS.get(service, 1) > 1 else service
        return Program(
            name=name,
            command=[sys.executable, "-m", "sigmax.runtime", owner_of(service)],
            env=service_environment(addresses, service, port, **settings),
            log=logs / f"{name}.log",
            url=f"http://{LOOPBACK}:{port}",
        )

    groups = [
        [program(*each) for each in names if each[0] != "collector"],
        [program(*each) for each in names if each[0] == "collector"],
    ]
    supervisor = Supervisor(groups, Restarts(first_pause_s=0.1, pause_max_s=0.5, crashes_max=1_000_000))
    return Platform(supervisor, f"http://{LOOPBACK}:{ports['api-gateway', 0]}")


def _settings(service: str, venue_url: str, recording: Path) -> dict[str, str]:
    own: dict[str, dict[str, str]] = {
        "paper-venue": {"opening_balances": json.dumps({CURRENCY: "1000000"})},
        "risk-gate": {
            "account_currency": CURRENCY,
            "start_limits": json.dumps(LIMITS),
        },
        "order-worker": {"account_currency": CURRENCY, "venue_url": venue_url},
        "strategy-engine": {"seed_timeframe_s": "1", "seed_params": json.dumps(_EMA)},
        "collector": {"source": "replay", "replay_file": str(recording), "replay_speed": "1", "replay_run": "load"},
    }
    return own.get(service, {})
