"""What a running stack has done so far, as its gateway tells."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sigmax_local.gateway import Gateway


@dataclass(frozen=True)
class Holding:
    """What is held of one instrument, and its newest price."""

    instrument_id: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal
    last: Decimal | None


@dataclass(frozen=True)
class Account:
    """What one account is worth."""

    account_id: str
    currency: str
    equity: Decimal | None
    """None while something held has no price."""


@dataclass(frozen=True)
class Figures:
    """One look at the platform; counts are of this run."""

    signals: int = 0
    decisions: int = 0
    approved: int = 0
    denied: int = 0
    fills: int = 0
    alerts: int = 0
    orders: Mapping[str, int] = field(default_factory=dict)
    denials: Mapping[str, int] = field(default_factory=dict)
    accounts: tuple[Account, ...] = ()
    holdings: tuple[Holding, ...] = ()
    balances: Mapping[str, Decimal] = field(default_factory=dict)
    p50_ms: Decimal | None = None
    p99_ms: Decimal | None = None
    ticks_per_s: Decimal = Decimal(0)
    ticks: int = 0

    @property
    def filled_orders(self) -> int:
        """Give the number of orders filled whole."""
        return self.orders.get("filled", 0)


@dataclass(frozen=True)
class Finding:
    """One invariant of the books, and what breaks it."""

    invariant: str
    holds: bool
    broken_by: tuple[str, ...] = ()


class TickCount:
    """The ticks of a run, over restarts of the collectors, which count from 0 each time."""

    def __init__(self) -> None:
        self.total = 0
        self._seen: dict[str, int] = {}

    def look(self, ticks: Mapping[str, int]) -> int:
        """Take what each collector says now; give the ticks of the run."""
        for replica, count in ticks.items():
            before = self._seen.get(replica, 0)
            self.total += count - before if count >= before else count
            self._seen[replica] = count
        return self.total


class FiguresReader:
    """Reads the figures of one run again and again."""

    def __init__(self, gateway: Gateway, since: datetime) -> None:
        self._gateway = gateway
        self._since = since
        self._ticks = TickCount()

    async def read(self) -> Figures:
        """Look once. Raises `GatewayError`."""
        told = await self._gateway.get("/system/figures", since=self._since.isoformat())
        return figures_of(told, self._ticks.look(told["ticks"]))

    async def check_books(self) -> list[Finding]:
        """Have the books checked. Raises `GatewayError`."""
        told = await self._gateway.get("/system/books")
        return [Finding(one["invariant"], one["holds"], tuple(one["broken_by"])) for one in told["findings"]]


def figures_of(told: Mapping[str, Any], ticks: int) -> Figures:
    """Read the gateway's answer."""
    balances: dict[str, Decimal] = {}
    for account in told["accounts"]:
        for asset, amount in (*account["cash"].items(), *account["holdings"].items()):
            balances[asset] = balances.get(asset, Decimal(0)) + Decimal(amount)
    return Figures(
        **{name: told[name] for name in ("signals", "decisions", "approved", "denied", "fills", "alerts")},
        orders=told["orders"],
        denials=told["denials"],
        accounts=tuple(
            Account(account["account_id"], account["currency"], _number(account["equity"]))
            for account in told["accounts"]
        ),
        holdings=tuple(
            Holding(
                position["instrument_id"],
                Decimal(position["quantity"]),
                Decimal(position["average_price"]),
                Decimal(position["realized_pnl"]),
                _number(position["last_price"]),
            )
            for position in told["positions"]
        ),
        balances={asset: amount for asset, amount in sorted(balances.items()) if amount},
        p50_ms=_number(told["tick_to_order_p50_ms"]),
        p99_ms=_number(told["tick_to_order_p99_ms"]),
        ticks_per_s=Decimal(told["ticks_per_s"]),
        ticks=ticks,
    )


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
