"""What the handlers need from the world: the venue, and the books."""

from order_worker.ports.books import BooksPort, PagePort
from order_worker.ports.records import Account, Claim, Locked, Movement, Observed, PositionRow, Standing
from order_worker.ports.venue import BudgetPort, BudgetUnreadableError, InstrumentsPort, VenueError, VenuePort

__all__ = [
    "Account",
    "BooksPort",
    "BudgetPort",
    "BudgetUnreadableError",
    "Claim",
    "InstrumentsPort",
    "Locked",
    "Movement",
    "Observed",
    "PagePort",
    "PositionRow",
    "Standing",
    "VenueError",
    "VenuePort",
]
