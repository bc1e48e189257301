"""What is measured between two looks of Prometheus is not lost."""

from strategy_engine.adapters.metrics import Peak


class Hands:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


def test_a_peak_is_told_for_a_whole_window_and_then_forgotten() -> None:
    clock = Hands()
    peak = Peak(15, clock)
    peak.see(8.0)
    peak.see(0.01)

    clock.at_s += 14.9
    assert peak.highest() == 8.0
    clock.at_s += 14.9
    assert peak.highest() == 8.0
    clock.at_s += 15.1
    assert peak.highest() == 0.0


def test_a_long_silence_forgets_every_peak() -> None:
    clock = Hands()
    peak = Peak(15, clock)
    peak.see(8.0)

    clock.at_s += 31

    assert peak.highest() == 0.0
