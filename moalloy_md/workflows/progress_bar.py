"""Show how far a job is: a bar on a terminal, a line now and then in a log file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

_LINE_EVERY_S = 30.0


class Show(Protocol):
    """Called with what is done, what there is in all, and the state in words."""

    def __call__(self, done: int, total: int, state: str, *, is_end: bool) -> None:
        """Show it; `is_end` where nothing more will come."""


@contextmanager
def progress_bar(
    console: Console,
    count: str,
    *,
    starting: str = "starting",
    clock: ProgressColumn | None = None,
    transient: bool = True,
) -> Iterator[Show]:
    """Yield what is to be called whenever the job has come farther.

    Parameters
    ----------
    console
        Where to show it. Where it is no terminal, a line is printed at the first call, every
        30 s and at the end.
    count
        What is counted, with two gaps: ``"epoch {} of {}"``.
    starting
        State before the first call.
    clock
        Last column of the bar; the time since the start where None.
    transient
        Whether the bar vanishes at the end.
    """
    if not console.is_terminal:
        lines = Lines(console)

        def print_line(done: int, total: int, state: str, *, is_end: bool) -> None:
            said = count.format(done, total)
            lines.show(said + (f": {state}" if state else ""), is_end=is_end)

        yield print_line
        return
    columns = (
        TextColumn("{task.fields[count]}"),  # nothing before the total is known
        BarColumn(),
        TextColumn("{task.description}"),
        clock or TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=transient) as bar:
        task = bar.add_task(starting, total=None, count="")

        def show(done: int, total: int, state: str, *, is_end: bool) -> None:  # noqa: ARG001
            said = count.format(done, total)
            bar.update(task, completed=done, total=total, description=state, count=said)

        yield show


class Lines:
    """Lines in a log file: the first, one every 30 s, and where something ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -_LINE_EVERY_S

    def show(self, text: str, *, is_end: bool) -> None:
        """Print `text` if it is time for a line."""
        clock = time.monotonic()
        if clock - self._last < _LINE_EVERY_S and not is_end:
            return
        self._last = clock
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


def clock_time(seconds: float) -> str:
    """Write a duration as ``h:mm:ss``, as Rich writes the time since the start."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
