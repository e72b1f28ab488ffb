"""Parallel efficiency and cost per atom of pair_style mace/native, from 2,000 to 128,000 atoms.

    python benchmarks/scaling.py --quick

See benchmarks/README.md for what is measured and how to read it.
"""

import random
import re
import tempfile
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from side_by_side.command import numbers, run_command
from side_by_side.lammps_output import LISTED, LOOP, STYLE
from side_by_side.machine import cores_of_others, load_average, processor_seconds
from side_by_side.models import NAMES, model_files, need_known_models
from side_by_side.records import default_path, new_record, write_record

from moalloy_md.errors import MoAlloyError
from moalloy_md.lammps.run import run_lammps

_HERE = Path(__file__).parent
_EFFICIENCY_GOAL, _FLATNESS_GOAL, _EFFICIENCY_ATOMS = 0.9, 0.1, 16_000
_LISTS_EVERY = 10  # steps, in in.scaling

#: Atoms times steps of one timed run: some seconds of one core.
_ATOM_STEPS = 320_000
_MOST_STEPS = 100

#: A turn is taken again where others used more than this of one core; after so many it counts.
_OTHERS, _ATTEMPTS = 0.05, 3

_PART = re.compile(r"^(Pair|Neigh|Comm|Output|Modify|Other) +\|[^|]*\|\s*(\S*)\s*\|", re.MULTILINE)
_GHOSTS = re.compile(r"^Nghost: +(\S+) ave", re.MULTILINE)


@dataclass
class Case:
    """A size on a number of ranks, and what its runs found.

    Attributes
    ----------
    wall_us_per_atom
        Wall time of a step over the number of atoms, of each timed run.
    cores_of_others
        Cores that other processes used during each turn that counts.
    parts
        Mean share of the wall time of LAMMPS's parts of a step, and of the messages between the
        layers of the model, which LAMMPS counts as `Pair`.
    """

    cells: int
    ranks: int
    wall_us_per_atom: list[float] = field(default_factory=list)
    parts: list[dict[str, float]] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    cores_of_others: list[float] = field(default_factory=list)

    @property
    def atoms(self) -> int:
        """Of the bcc cell."""
        return 2 * self.cells**3

    @property
    def steps(self) -> int:
        """Of one timed run: lists are made equally often in all."""
        tens = round(_ATOM_STEPS / self.atoms / _LISTS_EVERY)
        return min(_MOST_STEPS, max(_LISTS_EVERY, _LISTS_EVERY * tens))

    @property
    def rank_us_per_atom(self) -> float:
        """Median time that one rank needs for one of its atoms, µs: flat if scaling is perfect."""
        return self.ranks * median(self.wall_us_per_atom)

    def part(self, name: str) -> float:
        """Median share of a part."""
        return median(parts[name] for parts in self.parts)

    def take(self, log: str) -> None:
        """Add the timed runs of a log."""
        _, *runs = re.split(r"(?=^Loop time of)", log, flags=re.MULTILINE)
        for text in runs[1:]:  # the first warms up
            self._take_run(text)

    def _take_run(self, text: str) -> None:
        loop, style = LOOP.match(text), STYLE.search(text)
        ghosts, listed = _GHOSTS.search(text), LISTED.search(text)
        if not (loop and style and ghosts and listed):
            raise MoAlloyError(f"expected LAMMPS's timings and those of the style, found:\n{text}")
        wall = float(loop["wall_s"])
        parts = {name: float(seconds or 0) / wall for name, seconds in _PART.findall(text)}
        parts["messages"] = parts["Pair"] * float(style["communication_percent"]) / 100
        self.parts.append(parts)
        self.wall_us_per_atom.append(1e6 * wall / int(loop["steps"]) / self.atoms)
        self.facts = {
            "ghosts_per_rank": float(ghosts[1]),
            "listed_per_atom": float(listed[1]),
            "message_megabytes_per_rank": float(style["megabytes"]),
            "neighbours_per_atom": float(style["neighbours"]),
            "kilobytes_per_atom": float(style["kilobytes"]),
        }

    def as_json(self) -> dict[str, Any]:
        """Return it for the record."""
        return {
            **asdict(self),
            "atoms": self.atoms,
            "steps": self.steps,
            "rank_us_per_atom": self.rank_us_per_atom,
        }


def main(
    *,
    model: Annotated[
        str, typer.Option(help=f"One of {', '.join(NAMES)}, or a .model file with Mo and Re.")
    ] = "32x0e",
    cells: Annotated[
        str, typer.Option(help="Cubic cells along each edge, comma between: n for 2n³ atoms.")
    ] = "10,20,30,40",
    ranks: Annotated[str, typer.Option(help="MPI ranks, comma between.")] = "1,2",
    repeats: Annotated[int, typer.Option(min=1, help="Rounds in which all take a turn.")] = 3,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of a turn.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="2,000 atoms, one round: shows that it works, no more.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON to write.", show_default="benchmarks/results/scaling-….json"),
    ] = None,
) -> None:
    """Measure µs per atom and step, share of communication and sizes of messages."""
    need_known_models("--model", [model])
    console = Console(width=140, record=True)
    cases = [
        Case(cells=n, ranks=n_ranks)
        for n, n_ranks in product(
            [10] if quick else numbers("--cells", cells), numbers("--ranks", ranks)
        )
    ]
    record: dict[str, Any] = {
        **new_record("wall time of a step of NVE over the number of atoms, µs; precision float"),
        "load_average": {"before": load_average()},
    }
    record |= _measure(cases, model, 1 if quick else repeats, runs=runs, console=console)
    record["load_average"]["after"] = load_average()
    record["cases"] = [case.as_json() for case in cases]
    record["scaling"] = _scaling(cases)
    _print(console, record, cases)
    out = out or default_path("scaling", record, quick=quick)
    write_record(record, out)
    console.save_text(str(out.with_suffix(".txt")), clear=False)
    console.print(f"written: {out} and .txt")


def _measure(
    cases: list[Case], model: str, repeats: int, *, runs: int, console: Console
) -> dict[str, Any]:
    """Let the cases take turns, in random order; return what the model is."""
    order = random.Random(0)  # noqa: S311  no secret: so that nobody always follows the same
    with tempfile.TemporaryDirectory(prefix="moalloy_bench_") as name:
        folder = Path(name)
        files = model_files(model, symmetrix_python=None, folder=folder)
        for k in range(repeats):
            for case in order.sample(cases, len(cases)):
                title = f"round {k + 1} of {repeats}: {case.atoms} atoms on {case.ranks} ranks"
                variables = {
                    "model": files.native,
                    **dict.fromkeys(("nx", "ny", "nz"), case.cells),
                    "steps": case.steps,
                    "runs": runs,
                }
                with console.status(title, refresh_per_second=0.5):
                    _take_turn(case, variables, folder)
    return {"model": files.name, "r_max": files.r_max}


def _take_turn(case: Case, variables: dict[str, Any], folder: Path) -> None:
    """Run lmp until nobody else disturbed it."""
    for attempt in range(_ATTEMPTS):
        before = processor_seconds()
        result = run_lammps(
            _HERE / "in.scaling", run_dir=folder, variables=variables, ranks=case.ranks
        )
        others = cores_of_others(before, result.wall_s)
        if others <= _OTHERS or attempt + 1 == _ATTEMPTS:
            case.cores_of_others.append(round(others, 4))
            case.take(result.screen.read_text())
            return


def _scaling(cases: list[Case]) -> dict[str, Any]:
    """Return efficiencies against one rank by atoms, and by ranks the slowest size over the fastest."""
    of_one = {case.atoms: case for case in cases if case.ranks == 1}
    return {
        "efficiency": {
            f"{case.atoms} atoms on {case.ranks}": round(
                of_one[case.atoms].rank_us_per_atom / case.rank_us_per_atom, 4
            )
            for case in cases
            if case.ranks > 1 and case.atoms in of_one
        },
        "spread_over_sizes": {
            f"{ranks} ranks": round(max(times) / min(times) - 1, 4)
            for ranks in sorted({case.ranks for case in cases})
            for times in [[case.rank_us_per_atom for case in cases if case.ranks == ranks]]
        },
    }


def _print(console: Console, record: dict[str, Any], cases: list[Case]) -> None:
    table = Table(
        title=f"pair_style mace/native, {record['model']}, r {record['r_max']:g} Å, float: a step of NVE",
        title_justify="left",
    )
    columns = "atoms ranks µs/atom min max µs·ranks/atom Pair Neigh Comm messages MB/rank ghosts/rank KB/atom"
    for column in columns.split():
        table.add_column(column, justify="right")
    for case in sorted(cases, key=lambda case: (case.ranks, case.cells)):
        wall = case.wall_us_per_atom
        table.add_row(
            f"{case.atoms}",
            f"{case.ranks}",
            *(f"{value:.2f}" for value in (median(wall), min(wall), max(wall))),
            f"{case.rank_us_per_atom:.2f}",
            *(f"{100 * case.part(name):.1f} %" for name in ("Pair", "Neigh", "Comm", "messages")),
            f"{case.facts['message_megabytes_per_rank']:.2f}",
            f"{case.facts['ghosts_per_rank']:.0f}",
            f"{case.facts['kilobytes_per_atom']:.2f}",
        )
    machine = record["machine"]
    console.print(table)
    console.print(
        f"efficiency (goal {_EFFICIENCY_GOAL} at {_EFFICIENCY_ATOMS}): "
        f"{record['scaling']['efficiency']}; slowest size over fastest, less one (goal "
        f"{_FLATNESS_GOAL}): {record['scaling']['spread_over_sizes']}",
        "Pair holds the messages between the layers (MB packed in a step, a rank's own images "
        "included), which wait for the slower rank too; Comm is LAMMPS's own. µs/atom: median, min, "
        "max of "
        f"{len(cases[0].wall_us_per_atom)} runs.",
        f"{machine['processor']}, {', '.join(machine['instruction_sets'])}; {machine['cores']} "
        f"cores; load average {record['load_average']}; others used at most "
        f"{max(value for case in cases for value in case.cores_of_others):.2f} of a core",
        "versions: " + ", ".join(f"{name} {v}" for name, v in record["versions"].items()),
        "command: " + " ".join(record["command"]),
        sep="\n",
        markup=False,
        highlight=False,
    )


if __name__ == "__main__":
    run_command(main)
