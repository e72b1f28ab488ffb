"""Show a training on the screen: a bar on a terminal, a few lines in a log file."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from moalloy_md.potentials.train import TrainingProgress, Watch
from moalloy_md.workflows.progress_bar import progress_bar


@contextmanager
def training_bar(console: Console | None = None) -> Iterator[Watch]:
    """Yield what `moalloy_md.potentials.train.train` is to call as its `watch`.

    Parameters
    ----------
    console
        Where to show it; a new one on standard output if None. Where it is no terminal, a line
        is printed every 30 s and at the end.
    """
    with progress_bar(
        console or Console(),
        "epoch {} of {}",
        starting="starting (10 to 20 s)",
        transient=False,
    ) as show:

        def watch(progress: TrainingProgress) -> None:
            state = f"{_errors(progress)}, {_time_left(progress)}"
            is_end = progress.epoch >= progress.n_epochs
            show(progress.epoch, progress.n_epochs, state, is_end=is_end)

        yield watch


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
