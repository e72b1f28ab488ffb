"""Show a training on the screen: a bar on a terminal, a few lines in a log file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from moalloy_md.potentials.train import TrainingProgress, Watch

_LINE_EVERY_S = 30.0


@contextmanager
def training_bar(console: Console | None = None) -> Iterator[Watch]:
    """Yield what `moalloy_md.potentials.train.train` is to call as its `watch`.

    Parameters
    ----------
    console
        Where to show it; a new one on standard output if None. Where it is no terminal, a line
        is printed every 30 s and at the end.
    """
    console = console or Console()
    if console.is_terminal:
        with _bar(console) as watch:
            yield watch
    else:
        yield _Lines(console)


@contextmanager
def _bar(console: Console) -> Iterator[Watch]:
    columns = (
        TextColumn("epoch {task.completed} of {task.total}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting (10 to 20 s)", total=None)

        def watch(progress: TrainingProgress) -> None:
            bar.update(
                task,
                completed=progress.epoch,
                total=progress.n_epochs,
                description=f"{_errors(progress)}, {_time_left(progress)}",
            )

        yield watch


class _Lines:
    """Prints the first and the last validation, and one every now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = -_LINE_EVERY_S

    def __call__(self, progress: TrainingProgress) -> None:
        clock = time.monotonic()
        if clock - self._last < _LINE_EVERY_S and progress.epoch < progress.n_epochs:
            return
        self._last = clock
        self._console.print(
            f"epoch {progress.epoch} of {progress.n_epochs}: {_errors(progress)}, "
            f"{_time_left(progress)}",
            soft_wrap=True,
        )


def _errors(progress: TrainingProgress) -> str:
    return (
        f"validation loss {progress.loss:.3g}, "
        f"energy MAE {progress.energy_mae_mev_per_atom:.1f} meV/atom, "
        f"force MAE {progress.force_mae_mev_per_angstrom:.1f} meV/Å"
    )


def _time_left(progress: TrainingProgress) -> str:
    if progress.seconds_left is None:
        return "time left unknown"
    minutes, seconds = divmod(round(progress.seconds_left), 60)
    return f"{minutes}:{seconds:02d} left"
