"""Speed of the native engine beside symmetrix-xl and mace-torch, in one run.

    python benchmarks/engine_speed.py --quick

See benchmarks/README.md for what is measured and how to read it.
"""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.status import Status
from side_by_side.command import numbers, run_command
from side_by_side.contenders import Choice, measure
from side_by_side.machine import load_average
from side_by_side.models import (
    MODELS,
    NAMES,
    doped_molybdenum,
    model_files,
    need_known_models,
    need_known_precisions,
)
from side_by_side.peers import (
    SYMMETRIX_FAST_MODES,
    SYMMETRIX_MODES,
    symmetrix_python,
)
from side_by_side.records import default_path, new_record, write_record
from side_by_side.tables import measurement_table, print_notes, ratio_table

_QUICK_ATOMS, _QUICK_REPEATS = "128", 2
_BUSY_LOAD = 0.5


def main(
    *,
    models: Annotated[
        str,
        typer.Option(help=f"Comma between: {', '.join(NAMES)}, or paths of .model files."),
    ] = ",".join(MODELS),
    atoms: Annotated[
        str, typer.Option(help="Atoms in the cell, comma between: 2n³, as 1024 or 8192.")
    ] = "1024",
    threads: Annotated[
        int, typer.Option(min=1, help="OpenMP threads of each.", show_default="all cores")
    ] = len(os.sched_getaffinity(0)),
    repeats: Annotated[int, typer.Option(min=1, help="Rounds in which all take a turn.")] = 9,
    precisions: Annotated[str, typer.Option(help="Comma between.")] = "float32,float64",
    quick: Annotated[
        bool, typer.Option("--quick", help="128 atoms, 2 rounds: shows that it works, no more.")
    ] = False,
    symmetrix: Annotated[bool, typer.Option(help="Measure symmetrix-xl.")] = True,
    all_modes: Annotated[
        bool, typer.Option("--all-modes", help="All modes of symmetrix-xl, not the fast ones.")
    ] = False,
    torch: Annotated[bool, typer.Option(help="Measure mace-torch.")] = True,
    torch_atoms: Annotated[
        int, typer.Option(help="mace-torch gets a smaller cell if there are more atoms than this.")
    ] = 432,
    bind: Annotated[bool, typer.Option(help="Bind threads to cores, as Kokkos advises.")] = True,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON to write.", show_default="benchmarks/results/engine_speed-….json"),
    ] = None,
) -> None:
    """Measure µs per atom of an energy, forces and virial, of the same models, side by side."""
    console = Console(width=140, record=True)
    sizes = numbers("--atoms", _QUICK_ATOMS if quick else atoms)
    need_known_models("--models", models.split(","))
    need_known_precisions(precisions.split(","))
    for n_atoms in (*sizes, torch_atoms):
        _ = doped_molybdenum(n_atoms)  # refuses before anything long
    names = SYMMETRIX_MODES if all_modes else SYMMETRIX_FAST_MODES
    choice = Choice(
        precisions=tuple(precisions.split(",")),
        threads=threads,
        repeats=_QUICK_REPEATS if quick else repeats,
        bind=bind,
        modes={name: SYMMETRIX_MODES[name] for name in names} if symmetrix else {},
        torch_atoms=torch_atoms if torch else 0,
    )
    record = {
        **new_record("µs per atom of an evaluation of energy, forces and virial"),
        "options": choice.as_json(),
        "measurements": [],
    }
    out = out or default_path("engine_speed", record, quick=quick)
    if load_average()[0] > _BUSY_LOAD:
        console.print(
            f"[yellow]load average {load_average()[0]:g}: others use this machine; these numbers "
            "are not for keeping[/]"
        )
    _measure_all(models.split(","), sizes, choice=choice, record=record, out=out, console=console)
    console.print(ratio_table(record["measurements"]))
    print_notes(console, record)
    console.save_text(str(out.with_suffix(".txt")), clear=False)
    console.print(f"written: {out} and .txt")


def _measure_all(
    models: list[str],
    sizes: list[int],
    *,
    choice: Choice,
    record: dict[str, Any],
    out: Path,
    console: Console,
) -> None:
    """Measure each model and size; `record` and its file grow with each."""
    with tempfile.TemporaryDirectory(prefix="moalloy_bench_") as folder:
        for name in models:
            with _status(console, f"{name}: models (the first time this takes minutes)"):
                python = symmetrix_python() if choice.modes else None
                files = model_files(name, symmetrix_python=python, folder=Path(folder))
            for n_atoms in sizes:
                with _status(console, f"{files.name}, {n_atoms} atoms") as status:
                    measurement, versions = measure(
                        files, n_atoms, choice, folder=Path(folder), tell=status.update
                    )
                record["versions"] |= versions
                record["measurements"].append(measurement)
                write_record(record, out)
                console.print(measurement_table(measurement))


def _status(console: Console, text: str) -> Status:
    return console.status(text, refresh_per_second=0.5)  # a spinner takes time from who is measured


if __name__ == "__main__":
    run_command(main)
