"""The last close before the day: what a market's daily price limits are measured from."""

from datetime import date
from decimal import Decimal

from sigmax.domain.settlement import CRYPTO, MARKETS
from sigmax.schemas.market import moment


def day_of_market(instrument_id: str, ts_ns: int) -> date:
    """Give the day of a moment by the clock of the instrument's market."""
    market = MARKETS.get(instrument_id.rpartition("@")[2], CRYPTO)
    return (moment(ts_ns) + market.utc_offset).date()


class DayCloses:
    """Of each instrument the last close of its two newest days with a bar. Nights and holidays have none."""

    def __init__(self) -> None:
        self._days: dict[str, list[tuple[date, int, Decimal]]] = {}

    def note(self, instrument_id: str, close_ns: int, close: Decimal) -> None:
        """Take a bar that closed at a time, in any order: the latest of a day is that day's."""
        # A bar that ends with the day is of the day.
        day = day_of_market(instrument_id, close_ns - 1)
        days = self._days.setdefault(instrument_id, [])
        known = next((each for each in days if each[0] == day), None)
        if known is not None:
            if known[1] > close_ns:
                return
            days.remove(known)
        days.append((day, close_ns, close))
        days.sort(reverse=True)
        del days[2:]

    def before(self, instrument_id: str, ts_ns: int) -> Decimal | None:
        """Give the last close of an earlier day than a moment's; None where none is known."""
        day = day_of_market(instrument_id, ts_ns)
        return next((close for each, _, close in self._days.get(instrument_id, ()) if each < day), None)

    @property
    def reaches_back(self) -> bool:
        """Say whether every instrument that was met has a day before its newest."""
        return all(len(days) > 1 for days in self._days.values())
