"""``moalloy dataset import``: DFT output in, one dataset out."""

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from moalloy_md.cli.common import ConfigOption, JsonOption, settings_from

_REMARKS_SHOWN = 20


class FramesAre(StrEnum):
    """What the frames of a file are to each other."""

    CELLS = "cells"
    RELAXATION = "relaxation"
    MD = "md"


def import_command(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SRC...",
            help="Files, or folders that are searched: vasprun.xml, OUTCAR, extended XYZ, ASE "
            "databases and trajectories, JSON lists of the Materials Virtual Lab.",
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Dataset to write (extended XYZ).")],
    host: Annotated[
        str | None, typer.Option(help="Host element of cells that name none. (default Mo)")
    ] = None,
    md_block: Annotated[
        int | None,
        typer.Option(help="Cut MD trajectories into blocks of so many frames, each a group."),
    ] = None,
    md_gap: Annotated[
        int | None, typer.Option(help="Frames thrown away between two blocks. (default 0)")
    ] = None,
    relaxed_below: Annotated[
        float | None,
        typer.Option(help="Largest force of a relaxed cell, eV/Å. (default 0.05)"),
    ] = None,
    energy_key: Annotated[
        str | None,
        typer.Option(help="Name of the force-consistent energy (eV) in extended XYZ or databases."),
    ] = None,
    forces_key: Annotated[str | None, typer.Option(help="Name of the forces (eV/Å).")] = None,
    stress_key: Annotated[
        str | None, typer.Option(help="Name of the stress (eV/Å³, tension positive).")
    ] = None,
    virial_key: Annotated[
        str | None,
        typer.Option(help="Name of a virial (eV) to make the stress of: -virial/volume."),
    ] = None,
    frames_are: Annotated[
        FramesAre | None,
        typer.Option(help="What frames of one extended XYZ file or database are. (default cells)"),
    ] = None,
    skip_bad: Annotated[
        bool | None,
        typer.Option("--skip-bad", help="Leave out, and name, what cannot be used."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the dataset if it exists.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import DFT output: energies F = E - TS, forces, stress; host, group, state and source.

    Every ionic step is read. Steps of a relaxation, and all relaxed and unrelaxed cells with the same
    decoration of the lattice sites, are one group; MD is cut into blocks. Nothing is written if a
    frame cannot be used.
    """
    from moalloy_md.datasets.importers.config import ImportConfig
    from moalloy_md.datasets.importers.importing import import_files

    options = {
        "host": host,
        "md_block": md_block,
        "md_gap": md_gap,
        "relaxed_below_ev_per_angstrom": relaxed_below,
        "energy_key": energy_key,
        "forces_key": forces_key,
        "stress_key": stress_key,
        "virial_key": virial_key,
        "frames_are": None if frames_are is None else frames_are.value,
        "skip_bad": skip_bad,
    }
    settings = settings_from(options, config, ImportConfig, source="moalloy dataset import")
    with _Bar() as bar:
        summary = import_files(sources, out, settings, overwrite=overwrite, watch=bar)
    if as_json:
        typer.echo(json.dumps({**summary.to_json(), "out": str(out)}, indent=2, ensure_ascii=False))
    else:
        _print_summary(summary, out)


class _Bar:
    """A progress bar on standard error, over bytes read."""

    _EVERY_S = 0.1

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("Reading"),
            BarColumn(),
            TextColumn("{task.fields[frames]} frames"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("Reading", total=1.0, frames=0)
        self._last = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, done: float, total: float, frames: int) -> None:
        clock = time.monotonic()
        if clock - self._last > self._EVERY_S:
            self._progress.update(self._task, completed=done, total=total, frames=frames)
            self._last = clock


def _print_summary(summary: Any, out: Path) -> None:
    console = Console()
    table = Table("source", title=f"{summary.frames} frames, {summary.atoms} atoms")
    table.add_column("frames", justify="right")
    for source, frames in summary.by_source.items():
        table.add_row(source, str(frames))
    if len(summary.by_source) <= _REMARKS_SHOWN:
        console.print(table)
    states = ", ".join(f"{state} {n}" for state, n in sorted(summary.by_state.items()))
    lines = [
        (
            f"{summary.frames} frames ({summary.atoms} atoms) from {summary.files} files, in "
            f"{summary.groups} groups; {summary.frames_without_group} frames without group."
        ),
        f"States: {states}.",
        (
            f"Labels: energy (eV) {summary.frames}, forces (eV/Å) {summary.forces}, "
            f"stress (eV/Å³, tension positive) {summary.stresses}."
        ),
        *summary.remarks[:_REMARKS_SHOWN],
    ]
    if len(summary.remarks) > _REMARKS_SHOWN:
        lines.append(f"... and {len(summary.remarks) - _REMARKS_SHOWN} more remarks: --json")
    lines.append(f"Written to {out}")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
