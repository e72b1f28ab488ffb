"""What the runs of a study would cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.datasets.frames import Frame
from moalloy_md.errors import ConfigError
from moalloy_md.workflows.study.config import StudyConfig, training
from moalloy_md.workflows.study.plan import Fold, Run

#: Cost of an evaluation of a cell over that of a training step: no backward pass through it.
_VALIDATION = 0.4


@dataclass(frozen=True)
class CostLine:
    """Runs of one paradigm, size and protocol."""

    protocol: str
    paradigm: str
    size: str
    n_runs: int
    n_cells: int
    """Training cells of all runs together."""
    max_epochs: int
    """Epochs of one run at most; 0 for zero-shot."""
    seconds_per_epoch: float
    """Of all runs together, with validation."""

    @property
    def hours(self) -> float:
        """Hours of computing at most: a run may stop early."""
        return self.max_epochs * self.seconds_per_epoch / 3600


def cost_table(config: StudyConfig, folds: Sequence[Fold], runs: Sequence[Run]) -> list[CostLine]:
    """Estimate the cost of the runs by timing a training step of each size on this machine."""
    pace: dict[tuple[str, bool], float] = {}
    by_folder = {fold.folder: fold for fold in folds}
    lines: dict[tuple[str, str, str], list[CostLine]] = {}
    for run in runs:
        paradigm, size = config.paradigms[run.paradigm], config.sizes[run.size]
        part = "new" if paradigm.kind == "refine" else "old"
        parts = by_folder[run.split].parts
        frames, split = parts[part] if part in parts else parts[""]
        train = [frames[k] for k in split.train]
        epochs, seconds = 0, 0.0
        if paradigm.kind != "zero-shot":
            settings = training(paradigm, size, train=Path("t"), valid=Path("v"), model=Path("m"))
            epochs = settings.optimisation.max_epochs
            own = paradigm.kind == "scratch" and size.model is not None
            key = (run.size, own)
            if key not in pace:
                pace[key] = _seconds_per_atom(config, run.size, train, own=own)
            valid = sum(frames[k].n_atoms for k in split.valid)
            seconds = pace[key] * (sum(f.n_atoms for f in train) + _VALIDATION * valid)
        line = CostLine(run.protocol, run.paradigm, run.size, 1, len(train), epochs, seconds)
        lines.setdefault((run.protocol, run.paradigm, run.size), []).append(line)
    return [_together(members) for members in lines.values()]


def _seconds_per_atom(
    config: StudyConfig, size_name: str, frames: Sequence[Frame], *, own: bool
) -> float:
    from moalloy_md.potentials.cost import seconds_per_atom

    size = config.sizes[size_name]
    network = size.model if own else size.foundation
    if network is None:
        raise ConfigError(f"sizes.{size_name}: expected a foundation, found none")
    return seconds_per_atom(network, frames, device=config.device)


def _together(lines: Sequence[CostLine]) -> CostLine:
    first = lines[0]
    return CostLine(
        first.protocol,
        first.paradigm,
        first.size,
        n_runs=len(lines),
        n_cells=sum(line.n_cells for line in lines),
        max_epochs=first.max_epochs,
        seconds_per_epoch=sum(line.seconds_per_epoch for line in lines),
    )


def show_costs(lines: Sequence[CostLine], console: Console) -> None:
    """Print the cost table."""
    table = Table(box=SIMPLE, pad_edge=False)
    for title in ("protocol", "paradigm", "size"):
        table.add_column(title, no_wrap=True)
    for title in (
        "runs",
        "training\ncells",
        "epochs\nat most",
        "s/epoch\nall runs",
        "hours\nat most",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.protocol, line.paradigm, line.size, str(line.n_runs), str(line.n_cells),
            str(line.max_epochs), f"{line.seconds_per_epoch:.1f}", f"{line.hours:.2f}",
        )  # fmt: skip
    table.add_section()
    total = sum(line.hours for line in lines)
    table.add_row(
        "all", "", "", str(sum(line.n_runs for line in lines)), "", "", "", f"{total:.2f}",
        style="bold",
    )  # fmt: skip
    console.print(table)
    console.print(
        "Hours of one run after the other on this machine, from a training step timed here; patience "
        "may end a run sooner.",
        highlight=False,
    )
