"""Everything one seed plays with, in one event loop."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random
from typing import Any

from order_worker.domain.budget import Bucket, Kind
from order_worker.ports import Account
from sigmax.domain.ledger import LedgerAccount
from sigmax.schemas.control import Alert, Command, StageChanged
from sigmax.schemas.market import symbol_of
from sigmax.schemas.orders import CancelRequested, OrderApproved
from sigmax.schemas.types import Stage, Submission
from sigmax_local.chaos.simulation.broker import Broker
from sigmax_local.chaos.simulation.gate import Gate, approval_of, order_id_of
from sigmax_local.chaos.simulation.loop import VirtualLoop
from sigmax_local.chaos.simulation.plan import Plan, Strike
from sigmax_local.chaos.simulation.process import Point, Process, point_of, trace_tasks
from sigmax_local.chaos.simulation.rows import AccountRow, OrderRow
from sigmax_local.chaos.simulation.server import Server
from sigmax_local.chaos.simulation.strikes import FAULTS
from sigmax_local.chaos.simulation.venue import Manner, SimVenue
from sigmax_local.chaos.simulation.worker import Worker

_TELL_S = 20.0
_SUPERVISOR_S = 1.0
_TRANSFER = Decimal(5000)
_QUIET_MAX_S = 150.0
"""Virtual seconds after the last fault within which everything must come to rest."""
_LOOK_S = 0.5
_SAID_AGAIN_S = 5.0
"""After which people say again which order it is, where it stayed unknown."""


@dataclass
class Struck:
    """One fault that struck, and where."""

    fault: str
    point: Point
    manner: Manner | None = None
    """Where it waits for the next submit: what became of it."""


class World:
    """Replicas, servers, the venue, and risk-gate's voice."""

    def __init__(self, plan: Plan, loop: VirtualLoop) -> None:
        self.plan = plan
        self.loop = loop
        chance = Random(f"{plan.scene} runs")  # noqa: S311 (nothing secret)
        self.server = Server(loop, chance)
        self.broker = Broker(loop, chance)
        self.venue = SimVenue(loop, chance, plan.venue)
        self.venue.stream_loss = plan.stream_loss
        self.venue.before_taking = self._imitate_at_once
        self.gate = Gate(loop, self.broker)
        self.buckets: dict[Kind, Bucket] = {}
        self.workers: dict[str, Worker] = {}
        self.struck: list[Struck] = []
        self.faults: list[Exception] = []
        self.is_quiet = False
        self._strikes: dict[tuple[str, int], list[Strike]] = {}
        for strike in plan.strikes:
            self._strikes.setdefault((strike.entry, strike.nth), []).append(strike)
        self.awaits: dict[str, int] = {}
        """By kind of task: how many awaits there were so far."""
        self._is_healed = False
        self._repeated = 0
        self._said_at: dict[str, float] = {}
        trace_tasks(loop)
        # What a gather leaves behind once one of its tasks has failed: each was told of, or is dead.
        loop.set_exception_handler(lambda _loop, _context: None)

    @property
    def processes(self) -> list[Process]:
        """Give the living processes."""
        return [worker.process for worker in self.workers.values()]

    def start(self, name: str) -> None:
        """Start a replica."""
        process = Process(name, self.loop, self._on_await)
        worker = Worker(process, self.server, self.broker, self.venue, self.buckets, on_end=self._ended)
        self.workers[name] = worker
        worker.start()

    def kill(self, process: Process, restart_after_s: float) -> None:
        """End a replica where it stands; another one of its name comes later."""
        if process.is_alive:
            process.kill()
            self.faults += self.workers.pop(process.name).faults
            self.loop.call_later(restart_after_s, self.start, process.name)

    def _ended(self, process: Process) -> None:
        """Have a process that ended itself started anew, as whoever supervises it would."""
        self.kill(process, _SUPERVISOR_S)

    async def play(self) -> None:
        """Run the plan, heal what is broken, and wait until nothing moves any more."""
        for topic in (OrderApproved, CancelRequested, StageChanged, Command):
            self.broker.queue(topic.TOPIC)
        self.server.tables.of("accounts")["paper"] = AccountRow(Account(0))
        self.gate.tell_stage(Stage.NORMAL)
        for number in range(self.plan.workers):
            self.start(f"order-worker-{number}")
        for wish in self.plan.wishes:
            self.loop.call_later(wish.at_s, self.gate.approve, wish)
            if wish.imitated_s:
                like = approval_of(replace(wish, is_forged=False), self.gate.now())
                self.loop.call_later(max(wish.at_s - wish.imitated_s, 0.0), self._imitate, like)
        if self.plan.halt_at_s is not None:
            self.loop.call_later(self.plan.halt_at_s, self.gate.halt, self.plan.resume_at_s - self.plan.halt_at_s)
        if self.plan.transfer_at_s is not None:
            self.loop.call_later(self.plan.transfer_at_s, self._transfer)
        self._tell_again()
        await asyncio.sleep(self.plan.ends_at_s)
        self._heal()
        until = self.loop.time() + _QUIET_MAX_S
        while not self.is_quiet and self.loop.time() < until:
            await asyncio.sleep(_LOOK_S)
            self._release()
            self._identify()
            self.is_quiet = not self.unrest()
        for worker in self.workers.values():
            self.faults += worker.faults

    def orders(self) -> dict[str, OrderRow]:
        """Give the committed orders."""
        return self.server.tables.of("orders")

    def unrest(self) -> list[str]:
        """Say what still moves, or should."""
        found = [] if self.broker.is_empty else ["messages wait or are not acknowledged"]
        if self.server.tables.of("outbox"):
            found.append("the outbox is not empty")
        if self.venue.pending:
            found.append("trades are still to come")
        if any(each.visible_from > self.loop.time() for each in self.venue.orders.values()):
            found.append("the venue still hides an order")
        ours = {row.order.venue_order_id for row in self.orders().values()}
        if any(each.venue_order_id not in ours and not each.cannot_be_seen for each in self.venue.orders.values()):
            found.append("the venue has an order that the books do not have")
        found += self._restless_orders()
        if len(self.workers) < self.plan.workers or not all(each.desk.is_reconciled for each in self.workers.values()):
            found.append("a replica is not ready")
        account: AccountRow = self.server.tables.of("accounts")["paper"]
        if not account.is_reconciled:
            found.append("the books do not agree with the venue's")
        if self.plan.transfer_at_s is not None and self.venue.money["USDT"] != self._cash():
            found.append("money that was moved is not in the books")
        return found

    def _restless_orders(self) -> list[str]:
        found = []
        for row in self.orders().values():
            order = row.order
            if order.submission in (Submission.READY, Submission.SENDING, Submission.UNKNOWN):
                found.append(f"order {order.client_order_id} is {order.submission}")
            elif order.needs_cancel or order.misses_fills:
                found.append(f"order {order.client_order_id} waits for a cancel or for fills")
            elif order.submission is Submission.ACKED:
                theirs = self.venue.orders.get(order.venue_order_id or "")
                if theirs is not None and (theirs.filled != order.filled_quantity or theirs.is_open != order.is_open):
                    found.append(f"order {order.client_order_id} is not as the venue has it")
        return found

    def _cash(self) -> Decimal:
        """Sum what the books have of money."""
        entries = (entry for each in self.server.tables.of("ledger").values() for entry in each.entries)
        return sum((each.amount for each in entries if each.account is LedgerAccount.CASH), Decimal(0))

    def _on_await(self, process: Process, entry: str, work: Coroutine[Any, Any, Any]) -> None:
        if self._is_healed:
            return
        count = self.awaits[entry] = self.awaits.get(entry, 0) + 1
        strikes = self._strikes.get((entry, count))
        if strikes is not None:
            point = point_of(process, entry, work)
            for strike in strikes:
                if process.is_alive:
                    self.struck.append(Struck(self._numbered(strike.fault, point), point))
                    FAULTS[strike.fault].strike(self, process, strike)

    def _numbered(self, fault: str, point: Point) -> str:
        """Say which of F01 to F06 a kill or a freeze is: that depends on how far the order had come."""
        if fault == "frozen":
            return "frozen (F06)" if point.doing.startswith(("signed", "deadline")) else fault
        if fault != "killed" or point.client_order_id is None:
            return fault
        row = self.orders().get(point.client_order_id)
        if row is None or row.order.submission is Submission.READY:
            return "killed (F01)"
        if row.order.submission is Submission.ACKED:
            return "killed (F05)"
        return self._while_sending(point) if point.place.startswith("sending.py") else fault

    def _while_sending(self, point: Point) -> str:
        if point.doing.startswith("written"):
            return "killed (F03)"
        has_left = not point.doing.startswith(("claim", "signed", "deadline"))
        return "killed (F04)" if has_left and self.venue.of(point.client_order_id or "") else "killed (F02)"

    def _heal(self) -> None:
        """End every fault: what remains is to be cleaned up by the platform itself."""
        self._is_healed = True
        self.broker.is_calm = self.venue.is_calm = True
        self.venue.down_until = self.broker.down_until = 0.0
        self.venue.script.clear()
        self.server.faults.clear()
        self.server.commit_faults.clear()
        self.broker.unconfirmed.clear()
        for process in self.processes:
            process.cut_until.clear()
            process.skew = type(process.skew)()
        self.broker.wake()

    def _release(self) -> None:
        """Do what the runbook asks of people: look into a blocked account, repeat a transfer that was refused."""
        refusals = [
            each
            for each in self.broker.told.values()
            if isinstance(each, Alert) and each.code in ("second_person_missing", "transfer_refused")
        ]
        # By a worker whose clock was off, or whose venue was away, or that was about to open its books.
        if len(refusals) > self._repeated:
            self._repeated = len(refusals)
            self.gate.book_transfer("USDT", _TRANSFER)
        account: AccountRow = self.server.tables.of("accounts")["paper"]
        if account.account.blocked_reason is not None and self.gate.stage is Stage.NORMAL:
            self.gate.release()

    def _imitate(self, approved: OrderApproved) -> None:
        """Have somebody give an order by hand that looks like one of ours.

        Not while another one of ours that looks the same may not be there, nor while the list is being read: that could
        not be told by anybody.
        """
        if self.venue.readers:
            return
        looks = _looks(approved)
        for row in self.orders().values():
            order = row.order
            is_other = order.client_order_id != approved.client_order_id and _looks(order.approved) == looks
            if is_other and order.venue_order_id is None and order.submission is not Submission.REFUSED:
                return
        self.venue.place_by_hand(approved, symbol_of(approved.instrument_id))

    def _imitate_at_once(self, approved: OrderApproved) -> None:
        at_once = {order_id_of(wish) for wish in self.plan.wishes if wish.imitated_s == 0}
        if approved.client_order_id in at_once:
            self._imitate(approved)

    def _identify(self) -> None:
        """Have two people who know the venue's pages say which order it is that nobody else can tell."""
        for row in self.orders().values():
            order, now = row.order, self.loop.time()
            is_unclear = order.submission is Submission.UNKNOWN and order.looks.is_unclear
            is_asked = order.submission is Submission.ABSENT and order.client_order_id in self._unclear()
            if not (is_unclear or is_asked) or now < self._said_at.get(order.client_order_id, 0.0) + _SAID_AGAIN_S:
                continue
            self._said_at[order.client_order_id] = now
            theirs = self.venue.of(order.client_order_id)
            self.gate.identify(order.client_order_id, theirs[0].venue_order_id if theirs else "")

    def _unclear(self) -> set[str]:
        """Give the orders that people were asked about."""
        told = (each for each in self.broker.told.values() if isinstance(each, Alert))
        return {each.subject for each in told if each.code == "submission_unclear"}

    def _transfer(self) -> None:
        """Bring money to the venue beside the platform, and have two people say so."""
        self.venue.money["USDT"] += _TRANSFER
        self.gate.book_transfer("USDT", _TRANSFER)

    def _tell_again(self) -> None:
        self.gate.tell_stage(self.gate.stage)
        self.loop.call_later(_TELL_S, self._tell_again)


def _looks(approved: OrderApproved) -> tuple[object, ...]:
    return approved.instrument_id, approved.side, approved.quantity, approved.limit_price
