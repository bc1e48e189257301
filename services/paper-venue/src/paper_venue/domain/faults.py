"""What may be made to go wrong, so that clients can be tested against it."""

from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong."""

    DELAY = "delay"
    """The answer comes `delay_s` late; the request is handled after the wait."""
    REFUSE = "refuse"
    """The request is not handled; `status` and `code` are answered instead, without `code` a body that is no JSON."""
    LOSE_ANSWER = "lose_answer"
    """The request is handled; then nothing is said for `delay_s`, and then 504."""
    MUTE = "mute"
    """Sockets stay open and send no events."""


@dataclass(slots=True)
class Fault:
    """One fault that is switched on. `method` and `path` None fit every request."""

    kind: FaultKind
    method: str | None = None
    path: str | None = None
    times: int | None = None
    """How often; None until it is switched off."""
    delay_s: float = 0.0
    status: int = 503
    code: int | None = None
    message: str = "Injected fault."

    def fits(self, method: str, path: str) -> bool:
        """Say whether the fault is meant for this request."""
        return self.method in {None, method} and self.path in {None, path}


class Faults:
    """The faults that are switched on, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Switch a fault on."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Switch all faults off."""
        self._faults.clear()

    def all(self) -> list[Fault]:
        """Give the faults that are switched on."""
        return list(self._faults)

    @property
    def is_mute(self) -> bool:
        """Say whether sockets are to keep silent."""
        return any(fault.kind is FaultKind.MUTE for fault in self._faults)

    def take(self, method: str, path: str) -> Fault | None:
        """Give the fault that this request meets, and count it."""
        for fault in self._faults:
            if fault.kind is not FaultKind.MUTE and fault.fits(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._faults.remove(fault)
                return fault
        return None
