"""What each strategy holds and has on its way, as this process knows it; the tables are the truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sigmax.schemas.market import Instrument
from strategy_engine.domain.strategies import Position


@dataclass(frozen=True, slots=True)
class Holding:
    """One strategy's holding of one instrument."""

    strategy_id: str
    instrument_id: str
    quantity: Decimal
    """The sum of its fills, fees in the base asset taken off."""
    working_signal_id: UUID | None = None
    """The signal of which an order may be on its way."""
    working_until: datetime | None = None
    """When to stop waiting for news of it; None: an order is known to be out, and only its end will do."""
    sequence: int = 0
    """Rises with every change."""

    def is_working(self, now: datetime) -> bool:
        """Say whether an order may still come of the last signal."""
        return self.working_signal_id is not None and (self.working_until is None or now < self.working_until)


class Book:
    """All holdings, and the instruments they are of."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self._holdings: dict[tuple[str, str], Holding] = {}

    def apply(self, holdings: Iterable[Holding]) -> None:
        """Take over what was read; what is older than what is known is ignored."""
        for holding in holdings:
            key = (holding.strategy_id, holding.instrument_id)
            known = self._holdings.get(key)
            if known is None or holding.sequence > known.sequence:
                self._holdings[key] = holding

    def holding(self, strategy_id: str, instrument_id: str) -> Holding:
        """Give a strategy's holding of an instrument, an empty one if it never had any."""
        return self._holdings.get((strategy_id, instrument_id)) or Holding(strategy_id, instrument_id, Decimal(0))

    def position(self, strategy_id: str, instrument_id: str, price: Decimal) -> Position:
        """Give what a strategy holds, with what could not be sold at this price counted as nothing."""
        holding = self._holdings.get((strategy_id, instrument_id))
        if holding is None or holding.quantity <= 0:
            return Position()
        return Position(holding.quantity, self._is_sellable(instrument_id, holding.quantity, price))

    def _is_sellable(self, instrument_id: str, quantity: Decimal, price: Decimal) -> bool:
        instrument = self.instruments.get(instrument_id)
        if instrument is None:
            return True
        lots = quantity - quantity % instrument.lot_size if instrument.lot_size > 0 else quantity
        return lots > 0 and lots >= instrument.quantity_min and lots * price >= instrument.notional_min
