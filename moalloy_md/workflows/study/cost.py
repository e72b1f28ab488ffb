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
from moalloy_md.workflows.study.plan import Fold, Run, evaluations, training_part

#: Cost of an evaluation of a cell over that of a training step: no backward pass through it.
_VALIDATION = 0.4

#: A training without its epochs: the trainer's process, torch and mace-torch in it, reading the data,
#: compiling in the first steps. Measured on two cores of an AMD EPYC with base-small and the bundled
#: cells: 13.3 s for a run of one epoch of 1.5 s, with its evaluation; 30.4 s with 4 epochs of 16.4 s.
_TRAINING_START_S = 11.0

#: An evaluation without its forces: loading, bootstrap intervals, files, the picture. 2.3 s for
#: zero-shot on the same machine.
_EVALUATION_START_S = 2.0


@dataclass(frozen=True)
class CostLine:
    """Runs of one paradigm, size and protocol."""

    protocol: str
    paradigm: str
    size: str
    n_runs: int
    n_models: int
    """Trainings of all runs together: those of a committee count each; 0 for zero-shot."""
    n_cells: int
    """Training cells of all runs together."""
    max_epochs: int
    """Epochs of one training at most; 0 for zero-shot."""
    seconds_per_epoch: float
    """Of all trainings together, with validation."""
    beside_s: float
    """Starts and evaluations of all runs together, s."""

    @property
    def hours(self) -> float:
        """Hours of computing at most: a training may stop early."""
        return (self.max_epochs * self.seconds_per_epoch + self.beside_s) / 3600


def cost_table(config: StudyConfig, folds: Sequence[Fold], runs: Sequence[Run]) -> list[CostLine]:
    """Estimate the cost of the runs by timing a training step of each size on this machine.

    Raises
    ------
    ModelError
        If a foundation cannot be had, or knows the elements of no training cell.
    """
    pace: dict[tuple[str, bool], float] = {}
    by_folder = {fold.folder: fold for fold in folds}
    lines: dict[tuple[str, str, str], list[CostLine]] = {}
    for run in runs:
        paradigm, size = config.paradigms[run.paradigm], config.sizes[run.size]
        fold = by_folder[run.split]
        frames, split = fold.parts[training_part(run, paradigm)]
        train = [frames[k] for k in split.train]
        own = paradigm.kind == "scratch" and size.model is not None
        key = (run.size, own)
        if key not in pace:
            pace[key] = _seconds_per_atom(config, run.size, train, own=own)
        n_models = 0 if paradigm.kind == "zero-shot" else paradigm.n_models
        epochs, steps = 0, 0.0
        if n_models:
            settings = training(paradigm, size, train=Path("t"), valid=Path("v"), model=Path("m"))
            epochs = settings.optimisation.max_epochs
            valid = sum(frames[k].n_atoms for k in split.valid)
            steps = sum(frame.n_atoms for frame in train) + _VALIDATION * valid
        parts = [part for _, part, _ in evaluations(run, paradigm)]
        evaluated = sum(_evaluated_atoms(fold, part) for part in parts)
        beside = n_models * _TRAINING_START_S + len(parts) * _EVALUATION_START_S
        beside += _VALIDATION * pace[key] * evaluated * max(n_models, 1)
        line = CostLine(
            run.protocol, run.paradigm, run.size, 1, n_models, len(train), epochs,
            seconds_per_epoch=pace[key] * steps * n_models, beside_s=beside,
        )  # fmt: skip
        lines.setdefault((run.protocol, run.paradigm, run.size), []).append(line)
    return [_together(members) for members in lines.values()]


def _evaluated_atoms(fold: Fold, part: str) -> int:
    """Atoms of the test cells, and of the training cells that are evaluated beside them."""
    from moalloy_md.potentials.dilute import may_be_partner
    from moalloy_md.potentials.reference_energies import representative

    frames, split = fold.parts[part]
    train = [frames[k] for k in split.train]
    beside = {f.sha256: f for f in [*representative(train), *filter(may_be_partner, train)]}
    return sum(frames[k].n_atoms for k in split.test) + sum(f.n_atoms for f in beside.values())


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
        n_models=sum(line.n_models for line in lines),
        n_cells=sum(line.n_cells for line in lines),
        max_epochs=first.max_epochs,
        seconds_per_epoch=sum(line.seconds_per_epoch for line in lines),
        beside_s=sum(line.beside_s for line in lines),
    )


def show_costs(lines: Sequence[CostLine], console: Console) -> None:
    """Print the cost table."""
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0))  # 80 columns have to be enough
    for title in ("protocol", "paradigm", "size"):
        table.add_column(title, overflow="fold")
    for title in ("runs", "models", "training\ncells", "epochs\nat most", "s/epoch\nall",
                  "hours\nat most"):  # fmt: skip
        table.add_column(title, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.protocol, line.paradigm, line.size, str(line.n_runs), str(line.n_models),
            str(line.n_cells), str(line.max_epochs), f"{line.seconds_per_epoch:.1f}",
            f"{line.hours:.2f}",
        )  # fmt: skip
    table.add_section()
    total = sum(line.hours for line in lines)
    table.add_row(
        "all", "", "", str(sum(line.n_runs for line in lines)),
        str(sum(line.n_models for line in lines)), "", "", "", f"{total:.2f}", style="bold",
    )  # fmt: skip
    console.print(table)
    beside = sum(line.beside_s for line in lines) / 3600
    console.print(
        "Hours of one run after the other on this machine, from a training step timed here; "
        f"{beside:.2f} of them are starts and evaluations. Patience may end a run sooner.",
        highlight=False,
    )
