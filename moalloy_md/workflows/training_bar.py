"""Show a training on the screen: a bar on a terminal, a few lines in a log file."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from moalloy_md.potentials.training_progress import TrainingProgress, Watch
from moalloy_md.workflows.progress_bar import Lines, clock_time


@contextmanager
def training_bar(console: Console | None = None) -> Iterator[Watch]:
    """Yield what `moalloy_md.potentials.train.train` is to call as its `watch`.

    Parameters
    ----------
    console
        Where to show it; a new one on standard output if None. Where it is no terminal, a line
        is printed every 30 s and at the end of each model.
    """
    console = console or Console()
    if not console.is_terminal:
        lines = Lines(console)
        yield lambda p: lines.show(
            f"{_count(p)}: {_state(p)}, {_time_left(p)}", is_end=p.epoch >= p.n_epochs
        )
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with _WithState(*columns, console=console, expand=True) as bar:
        task = bar.add_task("starting (10 to 20 s)", total=None, left="")

        def watch(progress: TrainingProgress) -> None:
            before = (progress.model - 1) * progress.n_epochs
            bar.state = _state(progress)
            bar.update(
                task,
                completed=before + progress.epoch,
                total=progress.n_models * progress.n_epochs,
                description=_count(progress),
                left=_time_left(progress),
            )

        yield watch


class _WithState(Progress):
    """A bar with a line below it: in one line, 80 columns have room for the errors or the bar."""

    state = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.state:
            yield Text(self.state)


def _count(progress: TrainingProgress) -> str:
    model = f"model {progress.model} of {progress.n_models}, " if progress.n_models > 1 else ""
    return f"{model}epoch {progress.epoch} of {progress.n_epochs}"


def _state(progress: TrainingProgress) -> str:
    """Training loss, validation loss and errors: 80 columns are enough for all but huge ones."""
    said = []
    if progress.training_loss is not None:
        said.append(f"loss {progress.training_loss:.3g}")
    if (found := progress.validation) is None:
        said.append("not validated yet")
    else:
        when = "" if found.epoch == progress.epoch else f" (epoch {found.epoch})"
        said += [
            f"validation loss{when} {found.loss:.3g}",
            f"E {found.energy_mae_mev_per_atom:.1f} meV/atom",
            f"F {found.force_mae_mev_per_angstrom:.1f} meV/Å",
        ]
    return ", ".join(said)


def _time_left(progress: TrainingProgress) -> str:
    if progress.seconds_left is None:
        return "time left unknown"
    of_what = " for all" if progress.n_models > 1 else ""
    return f"{clock_time(progress.seconds_left)} left{of_what}"
