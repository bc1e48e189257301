"""What one seed asks for: the orders, and the faults with the awaits at which they strike."""

from dataclasses import dataclass, replace
from random import Random

from order_worker.domain.sightings import ALL_IDS, Capabilities
from sigmax_local.chaos.simulation.strikes import FAULTS

_ENTRIES = (
    # The task, how likely it is struck, and how many awaits it has in a typical run.
    ("on_order_approved", 40, 130),
    ("resolver", 16, 60),
    ("sweep", 8, 60),
    ("on_cancel_requested", 8, 30),
    ("on_stage_changed", 3, 20),
    ("user_stream", 8, 80),
    ("poll", 7, 60),
    ("reconciliation", 4, 60),
    ("first_reconciliation", 3, 90),
    ("outbox", 6, 60),
    ("outbox_sweep", 2, 20),
    ("guard", 3, 40),
    ("on_command", 2, 12),
    ("health", 2, 40),
    ("clock", 1, 40),
)
_INSTRUMENTS = ("BTC/USDT@binance", "BTC/USDT@binance", "ETH/USDT@binance")
_ALIKE = ("BTC/USDT@binance", "BTC/USDT@binance", "BTC/USDT@binance", "ETH/USDT@binance")
_IMITATED_S = (0.0, 0.0, 0.01, 0.2, 1.5)
_STRIKES_MAX = 4
_DOUBTS = (
    "answer lost (F16)",
    "request lost (F17)",
    "answer lost, lists late (F19)",
    "answer lost, seen too late (F19)",
)


@dataclass(frozen=True)
class Wish:
    """One approval that risk-gate will publish, and what it does with it later."""

    number: int
    at_s: float
    instrument_id: str
    is_buy: bool
    quantity: str
    is_ioc: bool = False
    is_exit: bool = False
    cancel_at_s: float | None = None
    cancel_comes_first: bool = False
    is_published_again: bool = False
    """Under the same message id: a confirm got lost."""
    has_twin: bool = False
    """The signal was delivered twice, and made a second approval with another message id."""
    is_old: bool = False
    """Its time is over when it comes."""
    is_forged: bool = False
    imitated_s: float | None = None
    """So long before it somebody gives an order by hand that looks the same, and takes it back. At zero that happens
    while the request is on its way, if it arrives at all."""


@dataclass(frozen=True)
class Strike:
    """One fault, and the await at which it strikes: the n-th of all tasks of one kind."""

    fault: str
    entry: str
    nth: int
    seconds: float
    """How long it lasts, where it lasts."""
    draw: float
    """0..1, for whatever else the fault has to choose."""


@dataclass(frozen=True)
class Plan:
    """All that a seed decides before the run begins."""

    seed: int
    scene: int
    """What latencies, trades, and the broker's whims are drawn from."""
    workers: int
    wishes: tuple[Wish, ...]
    strikes: tuple[Strike, ...]
    halt_at_s: float | None
    resume_at_s: float
    stream_loss: float
    """The part of what the user stream should tell that it does not."""
    transfer_at_s: float | None
    """When money comes to the venue beside the platform."""
    ends_at_s: float
    venue: Capabilities = ALL_IDS
    """What the venue keeps and tells of our orders."""


def drawn(seed: int) -> Plan:
    """Draw everything from one number."""
    chance = Random(seed)  # noqa: S311 (nothing secret)
    wishes = tuple(_wish(number, chance) for number in range(1, chance.randint(3, 7) + 1))
    halt_at_s = chance.uniform(1.0, 8.0) if chance.random() < 0.2 else None
    plan = Plan(
        seed=seed,
        scene=seed,
        workers=chance.randint(2, 4),
        wishes=wishes,
        strikes=tuple(_strike(chance) for _ in range(chance.randint(1, _STRIKES_MAX))),
        halt_at_s=halt_at_s,
        resume_at_s=(halt_at_s or 0.0) + chance.uniform(1.0, 6.0),
        stream_loss=chance.choice((0.0, 0.1, 0.5, 1.0)),
        transfer_at_s=chance.uniform(2.0, 8.0) if chance.random() < 0.1 else None,
        ends_at_s=12.0,
    )
    return _without_ids(plan, chance) if keeps_no_client_ids(seed) else plan


def keeps_no_client_ids(seed: int) -> bool:
    """Say whether the venue of a seed keeps no client ids: of every sixth one."""
    return seed % 6 == 3


def _without_ids(plan: Plan, chance: Random) -> Plan:
    """Take the client ids away, make orders look alike, and lose more answers: half of these venues name no trades."""
    return replace(
        plan,
        venue=Capabilities(client_ids=False, execution_ids=chance.random() < 0.5),
        wishes=tuple(_alike(wish, chance) for wish in plan.wishes),
        strikes=plan.strikes + tuple(_doubt(chance) for _ in range(chance.randint(1, 2))),
    )


def _alike(wish: Wish, chance: Random) -> Wish:
    """Make orders look like each other, and like what somebody gives by hand."""
    return replace(
        wish,
        instrument_id=chance.choice(_ALIKE),
        quantity=wish.quantity if chance.random() < 0.3 else "1",
        imitated_s=chance.choice(_IMITATED_S) if chance.random() < 0.4 else None,
    )


def _doubt(chance: Random) -> Strike:
    """Leave the worker in doubt whether an order is there."""
    entry, _, awaits = _ENTRIES[0]
    return Strike(chance.choice(_DOUBTS), entry, chance.randint(1, awaits), 0.0, 0.0)


def _wish(number: int, chance: Random) -> Wish:
    is_buy = chance.random() < 0.65
    cancel_at_s = chance.uniform(0.0, 6.0) if chance.random() < 0.3 else None
    return Wish(
        number=number,
        at_s=1.0 + chance.choice((chance.uniform(0.0, 7.0), chance.uniform(0.0, 0.4))),
        instrument_id=chance.choice(_INSTRUMENTS),
        is_buy=is_buy,
        quantity=str(chance.choice((1, 2, 4))),
        is_ioc=chance.random() < 0.3,
        is_exit=not is_buy and chance.random() < 0.6,
        cancel_at_s=cancel_at_s,
        cancel_comes_first=chance.random() < 0.2 and cancel_at_s is not None,
        is_published_again=chance.random() < 0.15,
        has_twin=chance.random() < 0.1,
        is_old=chance.random() < 0.05,
        is_forged=chance.random() < 0.04,
    )


def _strike(chance: Random) -> Strike:
    fault = chance.choices(list(FAULTS), [each.weight for each in FAULTS.values()])[0]
    weights = [weight for _, weight, _ in _ENTRIES]
    entry, _, awaits = chance.choices(_ENTRIES, weights)[0]
    if FAULTS[fault].is_of_submit:
        entry, _, awaits = _ENTRIES[0]
    return Strike(fault, entry, chance.randint(1, awaits), chance.choice((0.3, 1.0, 2.5, 5.0, 9.0)), chance.random())
