"""A million atoms on one machine: time, peak memory of each rank, conservation of energy.

    python benchmarks/large_run.py --cells 10 --steps 5

See benchmarks/README.md for what is measured and how to read it.
"""

import json
import re
import tempfile
import threading
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from side_by_side.command import run_command
from side_by_side.lammps_output import LISTED, LOOP, STYLE
from side_by_side.machine import load_average
from side_by_side.models import BASE, NAMES, model_files, need_known_models
from side_by_side.records import default_path, new_record, write_record

from moalloy_md.errors import MoAlloyError
from moalloy_md.lammps.logs import read_log
from moalloy_md.lammps.run import LammpsResult, run_lammps

_HERE = Path(__file__).parent
_POLL_S = 0.2
_BYTES_OF_LISTED = 4

_OWN = re.compile(r"Per MPI rank memory allocation \(min/avg/max\) = \S+ \| (\S+) \| \S+ Mbytes")


class PeakMemory(threading.Thread):
    """Follows the processes that run in a folder, until it is told to stop.

    Attributes
    ----------
    peaks
        Largest resident memory of each by its process number, bytes.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(daemon=True)
        self._folder, self._name = folder.resolve(), name
        self._ended = threading.Event()
        self.peaks: dict[int, int] = {}

    def run(self) -> None:
        """Look a few times a second."""
        while not self._ended.wait(_POLL_S):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    if (process / "cwd").resolve() == self._folder:
                        self._take(process)
                except OSError:
                    continue  # it has ended, or is not ours to look at

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()

    def _take(self, process: Path) -> None:
        status = (process / "status").read_text()
        peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
        if peak and (process / "comm").read_text().strip() == self._name:
            self.peaks[int(process.name)] = 1024 * int(peak[1])


def main(
    *,
    model: Annotated[
        str, typer.Option(help=f"One of {', '.join(NAMES)}, or a .model file with Mo and Re.")
    ] = BASE,
    cells: Annotated[
        int, typer.Option(min=4, help="Cubic cells along each edge: n for 2n³ atoms.")
    ] = 80,
    ranks: Annotated[int, typer.Option(min=1, help="MPI ranks.")] = 2,
    steps: Annotated[int, typer.Option(min=2, help="Of NVT.")] = 20,
    timestep_ps: Annotated[float, typer.Option(help="Smaller for random weights.")] = 0.001,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON to write.", show_default="benchmarks/results/large_run-….json"),
    ] = None,
) -> None:
    """Run NVT of Mo with 1 % Re at 300 K; keep log, time, peak memory and energies."""
    need_known_models("--model", [model])
    console = Console()
    record: dict[str, Any] = {
        **new_record("NVT of bcc Mo with 1 % Re; precision float"),
        "load_average": {"before": load_average()},
        "model": model if model in NAMES else Path(model).stem,
        "ranks": ranks,
    }
    out = out or default_path("large_run", record)
    with tempfile.TemporaryDirectory(prefix="moalloy_bench_") as name:
        folder = Path(name) / "run"
        files = model_files(model, symmetrix_python=None, folder=Path(name))
        folder.mkdir()
        memory = PeakMemory(folder, "lmp")
        memory.start()
        with console.status(f"{2 * cells**3:,} atoms, {steps} steps", refresh_per_second=0.5):
            result = run_lammps(
                _HERE / "in.large_run",
                run_dir=folder,
                variables={
                    "model": files.native,
                    "cells": cells,
                    "steps": steps,
                    "timestep": timestep_ps,
                },
                ranks=ranks,
            )
        memory.stop()
        if len(memory.peaks) != ranks:
            raise MoAlloyError(
                f"expected {ranks} lmp processes that last more than {_POLL_S} s, found "
                f"{len(memory.peaks)}: take more --cells or --steps"
            )
        record |= _findings(result, sorted(memory.peaks.values()))
        log = result.screen.read_text()
    record["load_average"]["after"] = load_average()
    write_record(record, out)
    out.with_suffix(".txt").write_text(log)
    console.print_json(json.dumps({key: record[key] for key in ("time", "memory", "energy")}))
    console.print(f"written: {out} and .txt, the log")


def _findings(result: LammpsResult, peaks: list[int]) -> dict[str, Any]:
    text = result.screen.read_text()
    loop, listed = LOOP.search(text), LISTED.search(text)
    own, style = _OWN.search(text), STYLE.search(text)
    if not (loop and listed and own and style):
        raise MoAlloyError(f"expected LAMMPS's timings and memory, found:\n{text[-2000:]}")
    wall, steps, atoms = float(loop["wall_s"]), int(loop["steps"]), int(loop["atoms"])
    [table] = read_log(result.screen)
    conserved = table.column("Econserve")
    return {
        "atoms": atoms,
        "steps": steps,
        "time": {
            "loop_s": wall,
            "all_s": round(result.wall_s, 1),
            "us_per_atom_and_step": round(1e6 * wall / steps / atoms, 3),
        },
        "memory": {
            "peak_of_ranks_gb": [round(peak / 1e9, 3) for peak in peaks],
            "kb_per_atom": {
                "all": round(sum(peaks) / 1e3 / atoms, 3),
                "engine": float(style["kilobytes"]),
                "listed neighbours": round(float(listed[1]) * _BYTES_OF_LISTED / 1e3, 3),
                "LAMMPS's arrays, with the list and the engine": round(
                    float(own[1]) * 1.048576e3 * len(peaks) / atoms, 3
                ),
            },
        },
        "energy": {
            "temperature_k": [float(t) for t in table.column("Temp")[[0, -1]]],
            "largest_deviation_mev_per_atom": float(
                1e3 * np.abs(conserved - conserved[0]).max() / atoms
            ),
        },
    }


if __name__ == "__main__":
    run_command(main)
