"""What an account has, and how much of it open orders hold."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from sigmax.domain.fees import EXACT

_ZERO = Decimal(0)


class InsufficientBalanceError(Exception):
    """More was asked of a balance than it holds. Nothing was changed."""


class Balance(NamedTuple):
    """One asset: `free` may be spent, `locked` is held by open orders. Neither is ever negative."""

    free: Decimal = _ZERO
    locked: Decimal = _ZERO

    @property
    def total(self) -> Decimal:
        """Give free and locked together."""
        return EXACT.add(self.free, self.locked)


class Wallet:
    """The balances of one account. Remembers which changed since the last look."""

    def __init__(self) -> None:
        self._balances: dict[str, Balance] = {}
        self._changed: dict[str, None] = {}

    def __getitem__(self, asset: str) -> Balance:
        return self._balances.get(asset, Balance())

    def __iter__(self) -> Iterator[tuple[str, Balance]]:
        return iter(sorted(self._balances.items()))

    def put(self, asset: str, balance: Balance) -> None:
        """Set one balance, as read from where it was stored. Does not count as a change."""
        self._balances[asset] = balance

    def add(self, asset: str, free: Decimal, locked: Decimal = _ZERO) -> None:
        """Add to both parts of a balance; negative amounts take away.

        Raises `InsufficientBalanceError` if a part would fall below zero.
        """
        before = self[asset]
        after = Balance(EXACT.add(before.free, free), EXACT.add(before.locked, locked))
        if after.free < _ZERO or after.locked < _ZERO:
            raise InsufficientBalanceError(f"{asset}: {before} cannot bear free {free}, locked {locked}")
        self._balances[asset] = after
        self._changed[asset] = None

    def lock(self, asset: str, amount: Decimal) -> None:
        """Hold `amount` for an order. Raises `InsufficientBalanceError` if less is free."""
        self.add(asset, -amount, amount)

    def unlock(self, asset: str, amount: Decimal) -> None:
        """Free what an order held. Raises `InsufficientBalanceError` if less is locked."""
        self.add(asset, amount, -amount)

    def take_changed(self) -> list[tuple[str, Balance]]:
        """Give the balances that changed since the last call, in the order they first did."""
        changed = [(asset, self[asset]) for asset in self._changed]
        self._changed.clear()
        return changed
