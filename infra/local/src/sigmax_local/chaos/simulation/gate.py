"""risk-gate's voice: approvals, cancels, and stages, published as its outbox would, at least once."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from sigmax.domain.approval import client_order_id, sign
from sigmax.schemas.base import NAMESPACE, Message
from sigmax.schemas.control import Command, CommandName, StageChanged
from sigmax.schemas.orders import CancelRequested, OrderApproved
from sigmax.schemas.types import Action, Mode, OrderType, Scope, Side, Stage, TimeInForce
from sigmax_local.chaos.simulation.broker import Broker
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.plan import Wish
from sigmax_local.chaos.simulation.process import EPOCH
from sigmax_local.chaos.simulation.venue import PRICE
from sigmax_local.chaos.simulation.worker import KEY

_VALID_S = 6.0
_SCOPES = ((Scope.GLOBAL, "global"), (Scope.ACCOUNT, "paper"))


class Gate:
    """What order-worker hears from risk-gate, and what risk-gate remembers of it."""

    def __init__(self, loop: VirtualLoop, broker: Broker) -> None:
        self._loop = loop
        self._broker = broker
        self.approved: dict[str, OrderApproved] = {}
        """Valid approvals, by client order id."""
        self.forged: list[OrderApproved] = []
        self.stage = Stage.NORMAL
        self._version = 0

    def now(self) -> datetime:
        """Give the true time."""
        return EPOCH + timedelta(seconds=self._loop.time())

    def say(self, message: Message) -> None:
        """Publish."""
        self._broker.route(message)

    def tell_stage(self, stage: Stage, changed_by: str = "a person", reason: str = "") -> None:
        """Tell a stage of all that risk-gate says something about: a new version when it changes."""
        before, self.stage = self.stage, stage
        self._version += before is not stage or not self._version
        now = self.now()
        for scope, scope_id in _SCOPES:
            self.say(
                StageChanged(
                    **StageChanged.first(f"{scope}:{self._version}:{now.isoformat()}", now),
                    scope=scope,
                    scope_id=scope_id,
                    from_stage=before,
                    to_stage=stage,
                    version=self._version,
                    changed_by=changed_by,
                    reason=reason or "told again",
                )
            )

    def halt(self, resume_after_s: float) -> None:
        """Stop everything, cancel all that may be open, and go on a while later."""
        self.tell_stage(Stage.HALTED, reason="a halt")
        for each in list(self.approved):
            self.cancel(each, f"halt {self._version}")
        self._loop.call_later(resume_after_s, self.tell_stage, Stage.NORMAL)

    def release(self) -> None:
        """Step down and up again by hand: that takes a block off the account."""
        self.tell_stage(Stage.HALTED, reason="to look into it")
        self._loop.call_later(0.5, self.tell_stage, Stage.NORMAL)

    def approve(self, wish: Wish) -> None:
        """Publish the approval of one wish, and what else its fate holds."""
        approved = approval_of(wish, self.now())
        if wish.is_forged:
            self.forged.append(approved)
        else:
            self.approved[approved.client_order_id] = approved
        if wish.cancel_at_s is not None and wish.cancel_comes_first:
            self.cancel(approved.client_order_id, "first")
        self.say(approved)
        if wish.is_published_again:
            self.say(approved)
        if wish.has_twin and not wish.is_forged:
            twin = approved.model_copy(update={"message_id": uuid5(approved.message_id, "twin")})
            self.say(sign(twin, KEY))
        if wish.cancel_at_s is not None and not wish.cancel_comes_first:
            self._loop.call_later(wish.cancel_at_s, self.cancel, approved.client_order_id, "later")

    def book_transfer(self, asset: str, amount: Decimal) -> None:
        """Pass on what two people asked for; the broker may deliver it twice."""
        now = self.now()
        command = Command(
            **Command.first(f"transfer {now.isoformat()}", now),
            command=CommandName.BOOK_TRANSFER,
            subject="paper",
            scope=Scope.ACCOUNT,
            values={"asset": asset, "amount": str(amount)},
            requested_by="a person",
            approved_by="another person",
            approved_at=now,
        )
        self.say(command)
        self.say(command)

    def identify(self, order_id: str, venue_order_id: str) -> None:
        """Pass on which venue order two people say that an unknown order is."""
        now = self.now()
        self.say(
            Command(
                **Command.first(f"identify {order_id} {now.isoformat()}", now),
                command=CommandName.IDENTIFY_ORDER,
                subject="paper",
                scope=Scope.ACCOUNT,
                values={"client_order_id": order_id, "venue_order_id": venue_order_id},
                requested_by="a person",
                approved_by="another person",
                approved_at=now,
            )
        )

    def cancel(self, order_id: str, part: str) -> None:
        """Ask for a cancel."""
        now = self.now()
        self.say(
            CancelRequested(
                **CancelRequested.first(f"cancel {order_id} {part}", now),
                client_order_id=order_id,
                account_id="paper",
                requested_by="a person",
                reason="a test",
            )
        )


def order_id_of(wish: Wish) -> str:
    """Give the client order id that a wish's approval has."""
    return client_order_id(_signal_of(wish))


def _signal_of(wish: Wish) -> UUID:
    return uuid5(NAMESPACE, f"simulated signal {wish.number}")


def approval_of(wish: Wish, now: datetime) -> OrderApproved:
    """Give the approval that a wish asks for; a forged one was changed after it was signed."""
    signal_id = _signal_of(wish)
    side = Side.BUY if wish.is_buy else Side.SELL
    approved = OrderApproved(
        **OrderApproved.first(f"simulated approval {wish.number}", now),
        client_order_id=client_order_id(signal_id),
        signal_id=signal_id,
        account_id="paper",
        venue="paper",
        mode=Mode.PAPER,
        strategy_id="simulated",
        strategy_version=1,
        instrument_id=wish.instrument_id,
        action=Action.BUY if wish.is_buy else Action.SELL,
        side=side,
        quantity=Decimal(wish.quantity),
        order_type=OrderType.LIMIT,
        limit_price=PRICE,
        time_in_force=TimeInForce.IOC if wish.is_ioc else TimeInForce.GTC,
        reduce_only=wish.is_exit,
        reference_price=PRICE,
        valid_until=now + timedelta(seconds=-1.0 if wish.is_old else _VALID_S),
        tick_received_at=now,
        market_time=now,
        stage=Stage.NORMAL,
        checks=(),
    )
    signed = sign(approved, KEY)
    return signed.model_copy(update={"quantity": signed.quantity * 1000}) if wish.is_forged else signed
