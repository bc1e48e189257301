"""Limits on what one live connection may send."""


class Budget:
    """Counts events in fixed windows for one connection."""

    def __init__(self, events_max: int, window_s: float) -> None:
        self._events_max = events_max
        self._window_ns = int(window_s * 1e9)
        self._window = -1
        self._events = 0

    def take(self, now_ns: int) -> bool:
        """Count one event; False once the window's budget is spent."""
        window = now_ns // self._window_ns
        if window != self._window:
            self._window, self._events = window, 0
        self._events += 1
        return self._events <= self._events_max
