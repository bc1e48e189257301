"""Questions and cancels: counted against the venue's budget, retried a few bounded times, and noted in its health."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import ccxt.async_support as ccxt

from order_worker.adapters.endpoints import Switch
from order_worker.adapters.wire import Attempt, current_attempt
from order_worker.domain.budget import TOO_MANY_S, Kind, closed_by
from order_worker.domain.health import Health
from order_worker.ports import BudgetPort, VenueError
from sigmax.runtime.clock import ClockPort

T = TypeVar("T")

_PAUSES_S = (0.2, 0.5, None)
"""Between the tries of a question."""
_ONE_TRY = (None,)
_BUDGET_PATIENCE_S = 5.0
"""For a question or a cancel; what waits longer is asked again by whoever asked."""
_REASON_MAX = 500


class Asking:
    """How everything but a submit is asked of one venue."""

    def __init__(self, budget: BudgetPort, clock: ClockPort, switch: Switch) -> None:
        self.health = Health()
        """Which kinds of requests are answered."""
        self._budget = budget
        self._clock = clock
        self._switch = switch

    async def ask(
        self,
        question: Callable[[], Awaitable[T]],
        weight: float,
        kind: Kind = Kind.QUERIES,
        *,
        is_retried: bool = True,
    ) -> T | None:
        """Ask, and ask again after a passing fault; None when the venue knows no such order. Raises `VenueError`."""
        asked_at = self._clock.now()
        if self.health.must_rest(kind, asked_at):
            raise VenueError("the venue does not answer; it is asked again in a moment")
        for pause_s in _PAUSES_S if is_retried else _ONE_TRY:
            await self._spend(kind, weight)
            attempt, used = Attempt(), self._switch.use()
            token = current_attempt.set(attempt)
            try:
                answer = await question()
            except ccxt.OrderNotFound:
                self.health = self.health.answered(kind, self._clock.now())
                return None
            except (ccxt.DDoSProtection, ccxt.RateLimitExceeded) as error:
                self.health = self.health.answered(kind, self._clock.now())
                for each in closed_by(kind, str(error)):
                    await self._budget.close(each, attempt.retry_after_s or TOO_MANY_S)
                raise VenueError(told_by(error)) from error
            except (ccxt.OperationFailed, TimeoutError) as error:
                self._switch.failed(used)
                if pause_s is None:
                    self.health = self.health.failed(kind, asked_at, self._clock.now())
                    raise VenueError(told_by(error)) from error
                self.health = self.health.missed(kind, asked_at, self._clock.now())
            except Exception as error:
                is_answer = isinstance(error, ccxt.ExchangeError)
                now = self._clock.now()
                if not is_answer:
                    self._switch.failed(used)
                self.health = self.health.answered(kind, now) if is_answer else self.health.failed(kind, asked_at, now)
                raise VenueError(told_by(error)) from error
            else:
                self.health = self.health.answered(kind, self._clock.now())
                return answer
            finally:
                current_attempt.reset(token)
            await asyncio.sleep(pause_s)
        raise AssertionError

    async def _spend(self, kind: Kind, weight: float) -> None:
        """Wait for room in the venue's budget. Raises `VenueError` when it takes too long."""
        waited_s = 0.0
        while wait_s := await self._budget.take(kind, weight):
            waited_s += wait_s
            if waited_s > _BUDGET_PATIENCE_S:
                raise VenueError(f"no room for {kind} in the venue's budget for {wait_s:.1f} s")
            await asyncio.sleep(wait_s)


def told_by(error: Exception) -> str:
    """Give a fault as one short text."""
    return f"{type(error).__name__}: {error}"[:_REASON_MAX]
