"""All that a decision looks at, loaded before it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from risk_gate.domain.exit_wish import ExitWish
from risk_gate.domain.facts import Facts, Fleet
from risk_gate.domain.limits import RiskLimits
from sigmax.schemas.market import Instrument, Quote
from sigmax.schemas.types import Mode, Posture, Side, Stage

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Account:
    """Where an account trades, and when its books were last held against the venue's."""

    account_id: str
    venue: str
    mode: Mode
    currency: str
    reconciled_at: datetime | None = None
    reconciliation_passed: bool = False
    worker_venue: str | None = None
    """Where order-worker says that it trades the account; None before its first reconciliation."""
    worker_mode: str | None = None


@dataclass(frozen=True, slots=True)
class StageRow:
    """The stage of one scope as stored. The stage is a plain string: what cannot be read must not raise."""

    scope: str
    scope_id: str
    stage: str


@dataclass(frozen=True, slots=True)
class Holding:
    """Base units held, as two independent counts have them; the riskier one counts.

    `filled` moves with each fill, in the transaction that shrinks the order's reservation; `reported` is
    order-worker's own figure and arrives a little before or after.
    """

    filled: Decimal
    reported: Decimal | None = None

    @property
    def low(self) -> Decimal:
        """Give the least that is surely held: what may be sold."""
        return self.filled if self.reported is None else min(self.filled, self.reported)

    @property
    def high(self) -> Decimal:
        """Give the most that may be held: what is exposed."""
        return self.filled if self.reported is None else max(self.filled, self.reported)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What open orders of one strategy, instrument, and side may still fill."""

    strategy_id: str
    instrument_id: str
    side: Side
    leaves_quantity: Decimal
    cost: Decimal
    """Cash that the rest may take, fees included; 0 for sells."""
    orders: int = 1
    """How many orders that is; those that have ended and wait for a fill are none."""


@dataclass(frozen=True, slots=True)
class PacedOrder:
    """An approval of the last seconds."""

    strategy_id: str
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class SimilarOrder:
    """The last approval for the same instrument and side with this quantity and price."""

    quantity: Decimal
    limit_price: Decimal
    approved_at: datetime


@dataclass(frozen=True, slots=True)
class Book:
    """What an account has and has promised."""

    cash: Decimal = ZERO
    """Free to trade, in the account's currency, reservations not yet taken off."""
    cash_counted: Decimal | None = None
    """The same as our own count has it, which moves with the fills; None where there is no other."""
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    own: Mapping[str, Decimal] = field(default_factory=dict)
    """Base units by instrument that the asking strategy itself bought and still has."""
    reserved: tuple[Reserved, ...] = ()
    paced: tuple[PacedOrder, ...] = ()
    similar: tuple[SimilarOrder, ...] = ()

    @property
    def instruments(self) -> frozenset[str]:
        """Name every instrument that is held or being bought."""
        held = {name for name, holding in self.holdings.items() if holding.low or holding.high}
        own = {name for name, quantity in self.own.items() if quantity}
        return frozenset(held | own | {row.instrument_id for row in self.reserved})

    def leaves(self, instrument_id: str, side: Side, strategy_id: str | None = None) -> Decimal:
        """Sum what open orders may still fill, of one strategy or of all."""
        return sum(
            (
                row.leaves_quantity
                for row in self.reserved
                if row.instrument_id == instrument_id and row.side is side and strategy_id in {None, row.strategy_id}
            ),
            ZERO,
        )

    def exposed_quantity(self, instrument_id: str) -> Decimal:
        """Give the largest position, long or short, that open orders can lead to."""
        holding = self.holdings.get(instrument_id, Holding(ZERO))
        longest = holding.high + self.leaves(instrument_id, Side.BUY)
        shortest = holding.low - self.leaves(instrument_id, Side.SELL)
        return max(longest, -shortest, ZERO)

    def sellable_quantity(self, instrument_id: str, strategy_id: str) -> Decimal:
        """Give what a strategy may sell: its own, held by the account, and in no other order. Never negative."""
        holding = self.holdings.get(instrument_id, Holding(ZERO))
        of_strategy = self.own.get(instrument_id, ZERO) - self.leaves(instrument_id, Side.SELL, strategy_id)
        of_account = holding.low - self.leaves(instrument_id, Side.SELL)
        return max(min(of_strategy, of_account), ZERO)

    def reserved_cash(self, strategy_id: str | None = None) -> Decimal:
        """Sum the cash that open buys may still take."""
        return sum((row.cost for row in self.reserved if strategy_id in {None, row.strategy_id}), ZERO)

    def equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Value cash and holdings at the last prices; a holding without a price counts nothing."""
        return self.cash + sum((holding.low * prices.get(name, ZERO) for name, holding in self.holdings.items()), ZERO)

    def counted_equity(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Value what our own count has: cash and holdings move together there, so that no fill looks like a loss."""
        cash = self.cash if self.cash_counted is None else self.cash_counted
        return cash + sum((each.filled * prices.get(name, ZERO) for name, each in self.holdings.items()), ZERO)

    def open_orders(self, instrument_id: str | None = None) -> int:
        """Count the orders that may still fill, of one instrument or of all."""
        return sum(row.orders for row in self.reserved if instrument_id in {None, row.instrument_id})

    def net_exposure(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Value the most, long or short, that all instruments together can come to; priced like `gross_exposure`."""
        long = short = ZERO
        for name in self.instruments:
            holding = self.holdings.get(name, Holding(ZERO))
            long += (holding.high + self.leaves(name, Side.BUY)) * prices[name]
            short -= (holding.low - self.leaves(name, Side.SELL)) * prices[name]
        return max(long, short, ZERO)

    def gross_exposure(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Value everything that is or may come to be held; call it with a price for each of `instruments`."""
        return sum((self.exposed_quantity(name) * prices[name] for name in self.instruments), ZERO)


@dataclass(frozen=True, slots=True)
class Grounds:
    """A situation in which nothing is missing: what a size and its checks are computed from."""

    account: Account
    limits: RiskLimits
    instrument: Instrument
    quote: Quote
    book: Book
    prices: Mapping[str, Decimal]
    equity: Decimal
    stage: Stage
    posture: Posture
    facts: Facts
    volatility_pct: Decimal
    """The instrument's usual move of a day, measured or assumed."""
    close_previous: Decimal | None
    exit: ExitWish | None = None
    """Set for a protective exit: what guards exposure that is added does not hold it up."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything a decision needs to know. What could not be read is None, and denies."""

    account: Account | None
    limits: RiskLimits | None
    stages: tuple[StageRow, ...]
    book: Book
    instrument: Instrument | None = None
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    posture: Posture | None = None
    """None: the one that the limits start with."""
    facts: Facts = field(default_factory=Facts)
    fleet: Fleet | None = None
    """The services heard of; None where that cannot be read."""
    rival: Quote | None = None
    """The same pair at another market, where it is quoted."""
    volatility_pct: Decimal | None = None
    """The usual move of the instrument in a day; None where it cannot be measured yet."""
    close_previous: Decimal | None = None
    """The last close of an earlier day of the market; None where nobody tells and no bar of one was seen."""
    exit: ExitWish | None = None
    """Set when the wish is a protective exit of our own and no strategy's."""

    def grounds(self, stage: Stage) -> Grounds | None:
        """Give the same with nothing missing, or None where something is."""
        if self.account is None or self.limits is None or self.instrument is None:
            return None
        quote = self.quotes.get(self.instrument.instrument_id)
        if quote is None:
            return None
        prices = self.prices
        return Grounds(
            account=self.account,
            limits=self.limits,
            instrument=self.instrument,
            quote=quote,
            book=self.book,
            prices=prices,
            equity=self.book.equity(prices),
            stage=stage,
            posture=self.posture or self.limits.posture,
            facts=self.facts,
            volatility_pct=self.limits.volatility_assumed_pct if self.volatility_pct is None else self.volatility_pct,
            close_previous=self.close_previous,
            exit=self.exit,
        )

    @property
    def prices(self) -> Mapping[str, Decimal]:
        """Give the last price of each quoted instrument."""
        return {name: each.last for name, each in self.quotes.items()}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What judgement made of a signal; the default is that of a strategy that asks for none."""

    refused: str | None = None
    """Why not; None lets the signal pass."""
    size_factor: Decimal = Decimal(1)
    """0 to 1: it can lower a size and never raise it."""
    is_asked: bool = False
    invalid: str | None = None
    """Why it is no judgement on this signal."""
    unclean: str | None = None
    """What its text holds that no text should."""
    is_models: bool = False
    """A model was asked, not the built-in policy."""
    is_recorded: bool = True
    """The call is on the tape, so that it can be replayed."""
