"""A step of pair_style mace beside mace-torch's ASE calculator, and on two ranks beside one.

    python benchmarks/pair_mace_speed.py --quick

See benchmarks/README.md for what is measured and how to read it.
"""

import os
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from side_by_side.command import numbers, run_command
from side_by_side.contenders import Contender
from side_by_side.lammps_output import LOOP
from side_by_side.machine import cores_of_others, load_average, processor_seconds
from side_by_side.models import (
    NAMES,
    PRECISIONS,
    ModelFiles,
    doped_molybdenum,
    model_files,
    need_known_models,
    need_known_precisions,
    write_frames,
)
from side_by_side.records import default_path, new_record, write_record
from side_by_side.workers import Worker, openmp_environment

from moalloy_md.lammps.run import run_lammps
from moalloy_md.lammps.single_point import write_structure
from moalloy_md.processes import set_openmp

_HERE = Path(__file__).parent
_GOAL = 1.10
_CPU = re.compile(r"(\S+)% CPU use with (\d+) MPI tasks")
_SIDE_ATOMS = 432
_NATIVE = 20  # times as many steps, because each is so much shorter


def main(
    *,
    model: Annotated[str, typer.Option(help=f"One of {', '.join(NAMES)}.")] = "32x0e",
    precisions: Annotated[str, typer.Option(help="Comma between.")] = "float32,float64",
    threads: Annotated[
        int, typer.Option(min=1, help="OpenMP threads of one rank, and of ASE's process.")
    ] = len(os.sched_getaffinity(0)),
    rank_atoms: Annotated[
        str, typer.Option(help="Atoms for two ranks against one, comma between; empty for none.")
    ] = "1024,4394",
    steps: Annotated[int, typer.Option(min=1, help="Timed steps a round.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds in which all take a turn.")] = 3,
    quick: Annotated[
        bool, typer.Option("--quick", help="128 atoms, one round of two steps, no ranks.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="JSON to write.")] = None,
) -> None:
    """Measure wall and processor time of a step: energy, forces and virial."""
    need_known_models("--model", [model], or_files=False)
    need_known_precisions(precisions.split(","))
    atoms = 128 if quick else _SIDE_ATOMS
    sizes = [] if quick or not rank_atoms else numbers("--rank-atoms", rank_atoms)
    for n in sizes:
        doped_molybdenum(n)  # refuses before anything long
    steps, repeats = (2, 1) if quick else (steps, repeats)
    console = Console(width=120, record=True)
    record: dict[str, Any] = {
        **new_record("seconds of a step: energy, forces, virial; medians; ratios of medians"),
        "load_average": {"before": load_average()},
        "model": model,
        "threads": threads,
    }
    with tempfile.TemporaryDirectory(prefix="moalloy_bench_") as name:
        folder = Path(name)
        rows = []
        for precision in precisions.split(","):
            case = Case(folder, model_files(model, symmetrix_python=None, folder=folder), precision)
            rows += _beside_ase(case, atoms, threads=threads, steps=steps, repeats=repeats)
            for n in sizes:
                rows += _on_two_ranks(case, n, steps=max(2, steps // 3), repeats=repeats)
    record["load_average"]["after"] = load_average()
    record["rows"] = rows
    _print(console, record)
    out = out or default_path("pair_mace", record)
    if not quick:
        write_record(record, out)
        console.save_text(str(out.with_suffix(".txt")), clear=False)
        console.print(f"written: {out} and .txt")


@dataclass(frozen=True)
class Case:
    """A model in one precision, and the folder for all that is written."""

    folder: Path
    files: ModelFiles
    precision: str

    @property
    def torchscript(self) -> Path:
        """File of pair_style mace; written when it is first asked for."""
        path = self.folder / f"{self.files.name}-{self.precision}.pt"
        if not path.is_file():
            _write_torchscript(self.files.torch, self.precision, path)
        return path

    def structure(self, atoms: int) -> Path:
        """Return the cell as a LAMMPS data file."""
        path = self.folder / f"cell-{atoms}.data"
        if not path.is_file():
            write_structure(doped_molybdenum(atoms), path, elements=["Mo", "Re"])
        return path


def _beside_ase(
    case: Case, atoms: int, *, threads: int, steps: int, repeats: int
) -> list[dict[str, Any]]:
    """One rank and mace-torch's calculator take turns."""
    frames = case.folder / f"frames-{atoms}.npz"
    write_frames(atoms, frames)
    lmp: list[dict[str, float]] = []
    native: list[dict[str, float]] = []
    environment = openmp_environment(threads=threads, bind=False)
    set_openmp(environment, threads=threads)  # how threads wait: as lmp's do
    with Worker(
        "mace-torch",
        python=Path(sys.executable),
        environment=environment,
        log=case.folder / "mace-torch.log",
    ) as worker:
        worker.ask(
            "load",
            implementation="torch",
            model=str(case.files.torch),
            precision=case.precision,
            threads=threads,
            modes={},
            frames=str(frames),
            packages=[],
        )
        ase = Contender("torch", "ASE", case.precision, atoms, frames, worker, {})
        ase.warm_up()
        for _ in range(repeats):
            lmp.append(_lmp(case, atoms, ranks=1, threads=threads, steps=steps))
            native.append(
                _lmp(case, atoms, ranks=1, threads=threads, steps=_NATIVE * steps, native=True)
            )
            for _ in range(max(1, steps // 3)):
                ase.take_turn(10**6)
    ours, cpu = (median(turn[key] for turn in lmp) for key in ("wall_s", "processor_s"))
    theirs, their_cpu = median(ase.wall_s), median(ase.processor_s)
    common = {"precision": case.precision, "atoms": atoms}
    return [
        {**common, "who": "mace-torch, ASE", "wall_s": theirs, "processor_s": their_cpu},
        {
            **common,
            "who": "pair_style mace, 1 rank",
            "wall_s": ours,
            "processor_s": cpu,
            "others": max(turn["others"] for turn in lmp),
            "ratio": ours / theirs,
            "ratio_processor": cpu / their_cpu,
        },
        {
            **common,
            "who": "pair_style mace/native, 1 rank",
            **_median(native),
            "times_faster_than_mace": ours / median(turn["wall_s"] for turn in native),
        },
    ]


def _on_two_ranks(case: Case, atoms: int, *, steps: int, repeats: int) -> list[dict[str, Any]]:
    """One thread each; the native engine on as many ranks beside it."""
    turns: dict[tuple[str, int], list[dict[str, float]]] = {
        (style, ranks): [] for ranks in (1, 2) for style in ("mace", "mace/native")
    }
    for _ in range(repeats):
        for (style, ranks), found in turns.items():
            native = style == "mace/native"
            n = _NATIVE * steps if native else steps
            found.append(_lmp(case, atoms, ranks=ranks, threads=1, steps=n, native=native))
    middle = {key: _median(found) for key, found in turns.items()}
    rows = []
    for (style, ranks), turn in middle.items():
        row = {
            "precision": case.precision,
            "atoms": atoms,
            "who": f"pair_style {style}, {ranks} x 1",
            **turn,
        }
        if ranks == 2:
            row["ratio"] = turn["wall_s"] / middle[style, 1]["wall_s"]
        if style == "mace/native":
            row["times_faster_than_mace"] = middle["mace", ranks]["wall_s"] / turn["wall_s"]
        rows.append(row)
    return rows


def _median(turns: list[dict[str, float]]) -> dict[str, float]:
    return {key: median(turn[key] for turn in turns) for key in turns[0]}


def _lmp(
    case: Case, atoms: int, *, ranks: int, threads: int, steps: int, native: bool = False
) -> dict[str, float]:
    """Wall and processor seconds of a step, and the cores that others used meanwhile."""
    before = processor_seconds()
    result = run_lammps(
        _HERE / "in.pair_mace",
        run_dir=case.folder / "lmp",
        variables={
            "structure": case.structure(atoms),
            "style": f"mace/native precision {PRECISIONS[case.precision]}" if native else "mace",
            "model": case.files.native if native else case.torchscript,
            "steps": steps,
        },
        ranks=ranks,
        threads=threads,
    )
    others = cores_of_others(before, result.wall_s)
    text = result.screen.read_text()
    *_, loop = LOOP.finditer(text)  # the first run warms up
    wall = float(loop["wall_s"]) / steps
    share, tasks = _CPU.findall(text)[-1]
    return {
        "wall_s": wall,
        "processor_s": wall * float(share) / 100 * int(tasks),
        "others": others,
    }


def _write_torchscript(source: Path, precision: str, path: Path) -> None:
    import torch

    from moalloy_md.potentials.quiet import quiet_mace
    from moalloy_md.potentials.torchscript import script

    with quiet_mace():
        model = torch.load(source, map_location="cpu", weights_only=False)
        energies = torch.atleast_2d(model.atomic_energies_fn.atomic_energies)[0].double()
        scripted = script(
            model.to(getattr(torch, precision)), head=0, reference_energies=energies.clone()
        )
        scripted.save(str(path))


def _print(console: Console, record: dict[str, Any]) -> None:
    table = Table(title=f"pair_style mace, {record['model']}: ms of a step", title_justify="left")
    for column in (
        "precision",
        "atoms",
        "who",
        "wall",
        "CPU",
        "ratio",
        "ratio of CPU",
        "others",
        "faster",
    ):
        table.add_column(column, justify="left" if column in {"precision", "who"} else "right")
    for row in record["rows"]:
        table.add_row(
            row["precision"],
            str(row["atoms"]),
            row["who"],
            f"{1e3 * row['wall_s']:.1f}",
            f"{1e3 * row['processor_s']:.1f}",
            f"{row['ratio']:.2f}" if "ratio" in row else "",
            f"{row['ratio_processor']:.2f}" if "ratio_processor" in row else "",
            f"{row['others']:.2f}" if "others" in row else "",
            f"{row['times_faster_than_mace']:.0f}" if "times_faster_than_mace" in row else "",
        )
    machine = record["machine"]
    console.print(table)
    console.print(
        f"ratio: to mace-torch's calculator (goal {_GOAL}), or of two ranks to one. CPU: of all "
        f"threads and ranks. others: cores that other processes used. faster: times, than pair_style mace. {record['threads']} threads "
        "beside ASE, one a rank for two ranks.",
        f"{machine['processor']}; {machine['cores']} cores; load {record['load_average']}",
        "versions: " + ", ".join(f"{name} {v}" for name, v in record["versions"].items()),
        "command: " + " ".join(record["command"]),
        sep="\n",
        markup=False,
        highlight=False,
    )


if __name__ == "__main__":
    run_command(main)
