"""Shows how far a run has come: a bar in a terminal, and a plain line now and then where there is none."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sigmax_local.chaos.parts import Tell

LINE_EVERY_S = 15.0

Begin = Callable[[str], Tell]
"""Begins a part, by its name; gives what shows how far it is."""


@contextmanager
def shown_progress(console: Console, every_s: float = LINE_EVERY_S) -> Iterator[Begin]:
    """Show the progress of the parts that begin inside the block."""
    if not console.is_terminal:
        with _lines(console, every_s) as begin:
            yield begin
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:

        def begin_bar(name: str) -> Tell:
            task = progress.add_task(name, total=1.0)
            return lambda text, share: progress.update(task, description=text, completed=min(share, 1.0))

        yield begin_bar


@contextmanager
def _lines(console: Console, every_s: float) -> Iterator[Begin]:
    """Print what was told last, also while nothing new is told: somebody who reads a log sees that it goes on."""
    started, ended = time.monotonic(), threading.Event()
    told: dict[str, str] = {}

    def show() -> None:
        for text in list(told.values())[-1:]:
            console.print(f"{time.monotonic() - started:.0f} s  {text}", markup=False, highlight=False)

    def show_now_and_then() -> None:
        while not ended.wait(every_s):
            show()

    def begin(name: str) -> Tell:
        def tell(text: str, share: float) -> None:
            told[name] = f"{text} ({min(share, 1.0):.0%})"
            if share >= 1.0:
                show()

        told[name] = f"{name}: begins"
        show()
        return tell

    thread = threading.Thread(target=show_now_and_then, daemon=True)
    thread.start()
    try:
        yield begin
    finally:
        ended.set()
        thread.join()
