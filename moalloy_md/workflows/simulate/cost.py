"""What the runs of a simulation would cost."""

import re
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.errors import LammpsError
from moalloy_md.workflows.simulate.run import SimulationRun, Start

#: Evaluations that are timed: enough for some tenths of a second of a small cell.
_TIMED_STEPS = 50
#: Measured of a line ``id type element x y z``.
_BYTES_PER_ATOM = 40


@dataclass(frozen=True)
class CostLine:
    """Runs of one input and composition."""

    label: str
    n_runs: int
    n_done: int
    """Of these, done already."""
    n_atoms: int
    steps: int
    """Of one run."""
    hours: float
    """What is left, on this machine, one run after the other."""
    gigabytes: float
    """Frames of all of them."""


def cost_table(
    out: Path, runs: Sequence[SimulationRun], start: Start, *, done: Collection[str] = ()
) -> list[CostLine]:
    """Estimate what runs cost, by timing LAMMPS on each of their structures here.

    Parameters
    ----------
    out
        Folder with the structures.
    runs
        The plan.
    start
        How they are started.
    done
        Names of those that cost nothing any more.

    Raises
    ------
    LammpsError
        If LAMMPS fails.
    """
    seconds: dict[int, float] = {}
    lines: dict[tuple[str, str, int], CostLine] = {}
    for run in runs:
        if run.n_atoms not in seconds:
            seconds[run.n_atoms] = seconds_per_step(out, run, start)
        label = f"{run.name.split('/')[0]}, {run.input}"
        is_done = run.name in done
        hours = run.steps * run.evaluations_per_step * seconds[run.n_atoms] / 3600
        frames = run.steps // start.config.dump_interval + 1
        key = (label, run.input, run.steps)
        line = lines.get(key, CostLine(label, 0, 0, run.n_atoms, run.steps, 0.0, 0.0))
        lines[key] = CostLine(
            label,
            line.n_runs + 1,
            line.n_done + is_done,
            run.n_atoms,
            run.steps,
            line.hours + (0.0 if is_done else hours),
            line.gigabytes + frames * run.n_atoms * _BYTES_PER_ATOM / 1e9,
        )
    return list(lines.values())


def seconds_per_step(out: Path, run: SimulationRun, start: Start) -> float:
    """Time energy and forces of a run's structure in LAMMPS, s a step.

    Raises
    ------
    LammpsError
        If LAMMPS fails, or says no time.
    """
    from moalloy_md.lammps.inputs import input_file
    from moalloy_md.lammps.run import run_lammps

    with tempfile.TemporaryDirectory(prefix="moalloy-cost-") as folder:
        result = run_lammps(
            input_file("in.single_point"),
            run_dir=Path(folder),
            variables={
                "steps": _TIMED_STEPS,
                "structure": out / run.structure,
                "elements": " ".join(run.elements),
                "style": start.potential.style,
                "potential": start.potential.files,
            },
            ranks=start.ranks,
            threads=start.config.threads,
        )
        text = result.screen.read_text()
    found = re.search(r"^Loop time of (\S+) on \d+ procs for (\d+) steps", text, re.MULTILINE)
    if found is None:
        raise LammpsError("expected LAMMPS to print 'Loop time of', found no such line")
    return float(found[1]) / int(found[2])


def show_costs(lines: Sequence[CostLine], console: Console, *, start: Start) -> None:
    """Print the cost table."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("runs of", no_wrap=True)
    for title in ("runs", "done", "atoms", "steps", "ps", "hours left", "frames, GB"):
        table.add_column(title, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(
            line.label, str(line.n_runs), str(line.n_done), str(line.n_atoms), str(line.steps),
            f"{line.steps * start.config.timestep_ps:g}", f"{line.hours:.2f}",
            f"{line.gigabytes:.2f}",
        )  # fmt: skip
    table.add_section()
    table.add_row(
        "all", str(sum(line.n_runs for line in lines)), str(sum(line.n_done for line in lines)),
        "", "", "", f"{sum(line.hours for line in lines):.2f}",
        f"{sum(line.gigabytes for line in lines):.2f}", style="bold",
    )  # fmt: skip
    console.print(table)
    console.print(
        f"Hours of one run after the other on {start.ranks} rank(s) of {start.config.threads} "
        "thread(s), from energies and forces timed here; neighbour lists and output come on top.",
        highlight=False,
    )
