"""Where the engine's time goes, and how far each kernel is from what one core can do.

    python benchmarks/roofline.py --models base-small --repeats 10

See benchmarks/README.md for what is measured and how to read it.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from side_by_side.command import run_command
from side_by_side.machine import load_average
from side_by_side.models import (
    NAMES,
    PRECISIONS,
    doped_molybdenum,
    model_files,
    need_known_models,
    need_known_precisions,
)
from side_by_side.peers import benchmark_cache
from side_by_side.records import default_path, new_record, write_record

from moalloy_md.errors import MoAlloyError
from moalloy_md.potentials.pairs import NeighbourPairs

_HERE = Path(__file__).parent
_L2 = "384 KiB"  # an array that lies in the second cache


def main(
    *,
    models: Annotated[str, typer.Option(help=f"Comma between: {', '.join(NAMES)}.")] = ",".join(
        NAMES
    ),
    precisions: Annotated[str, typer.Option(help="Comma between.")] = ",".join(PRECISIONS),
    atoms: Annotated[int, typer.Option(help="Atoms in the cell: 2n³.")] = 1024,
    repeats: Annotated[int, typer.Option(min=1, help="Evaluations; the fastest counts.")] = 40,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON to write.", show_default="benchmarks/results/roofline-….json"),
    ] = None,
) -> None:
    """Measure time, operations and bytes of each kernel on one core, beside the core's limits."""
    need_known_models("--models", models.split(","), or_files=False)
    need_known_precisions(precisions.split(","))
    console = Console(width=140)
    with console.status("compile", refresh_per_second=0.5):
        program = _program()
    record: dict[str, Any] = {
        **new_record("an atom of an evaluation on one core: µs, floating-point operations, bytes"),
        "load_average": {"before": load_average()},
        "atoms": atoms,
        "measurements": [],
    }
    with tempfile.TemporaryDirectory(prefix="moalloy_bench_") as folder:
        for name in models.split(","):
            files = model_files(name, symmetrix_python=None, folder=Path(folder))
            edges = _write_edges(atoms, files.r_max, Path(folder) / "edges")
            for precision in precisions.split(","):
                with console.status(f"{name}, {precision}", refresh_per_second=0.5):
                    kind = PRECISIONS[precision]
                    found = _run([str(program), str(edges), str(files.native), kind, str(repeats)])
                row = {"model": name, "precision": precision, **json.loads(found)}
                record["measurements"].append(row)
    record["load_average"]["after"] = load_average()
    out = out or default_path("roofline", record)
    write_record(record, out)
    text = "\n".join(table(row) for row in record["measurements"])
    out.with_suffix(".txt").write_text(text)
    console.print(text, markup=False, highlight=False)
    console.print(f"written: {out} and .txt")


def table(row: dict[str, Any]) -> str:
    """Return a measurement as Markdown; kernels that take less than 1 % are one line."""
    peak, cache = row["peak_gflops"], row["gb_per_s"][_L2]
    lines = [
        f"{row['model']}, {row['precision']}; peak {peak:.0f} GFlop/s, second cache {cache:.0f} GB/s",
        "",
        "| kernel | µs | share | kFlop | KB | GFlop/s | of the peak | GB/s | of the second cache |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    small: dict[str, Any] = {"name": "", "us": 0.0, "flop": 0.0, "bytes": 0.0}
    kernels = sorted(row["kernels"], key=lambda kernel: -kernel["us"])
    large = [kernel for kernel in kernels if kernel["us"] > 0.01 * row["us"]]
    for kernel in kernels:
        if kernel not in large:
            for key in ("us", "flop", "bytes"):
                small[key] += kernel[key]
    small["name"] = f"{len(kernels) - len(large)} smaller kernels"
    for kernel in [*large, small]:
        us = kernel["us"]
        line = f"| {kernel['name']} | {us:.2f} | {100 * us / row['us']:.0f} % |"
        if kernel["name"] != "rest" and us > 0:
            rate, flow = kernel["flop"] / us / 1e3, kernel["bytes"] / us / 1e3
            line += (
                f" {kernel['flop'] / 1e3:.0f} | {kernel['bytes'] / 1e3:.0f} | {rate:.0f} |"
                f" {100 * rate / peak:.0f} % | {flow:.0f} |"
                f" {100 * flow / cache:.0f} % |"
            )
        else:
            line += " | | | | | |"
        lines.append(line)
    flop = sum(kernel["flop"] for kernel in kernels)
    rate = flop / row["us"] / 1e3
    lines.append(
        f"| all | {row['us']:.2f} | 100 % | {flop / 1e3:.0f} | | {rate:.0f} |"
        f" {100 * rate / peak:.0f} % | | |"
    )
    return "\n".join(lines) + "\n"


def _program() -> Path:
    """Return the compiled program; compiled anew where a source has changed."""
    cmake, ninja = shutil.which("cmake"), shutil.which("ninja")
    if cmake is None or ninja is None:
        raise MoAlloyError("expected cmake and ninja, found them not: pip install cmake ninja")
    build = benchmark_cache() / "roofline"
    _run([cmake, "-S", str(_HERE / "roofline"), "-B", str(build), "-G", "Ninja"])
    _run([cmake, "--build", str(build)])
    return build / "roofline"


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise MoAlloyError(f"{command[0]}: expected it to work, found\n{tail}")
    return done.stdout


def _write_edges(n_atoms: int, r_max: float, path: Path) -> Path:
    """Write types and edges as main.cpp reads them."""
    atoms = doped_molybdenum(n_atoms)
    edges = NeighbourPairs(r_max, skin=0.0).edges(atoms)
    _, types = np.unique(atoms.numbers, return_inverse=True)
    first = np.searchsorted(edges.receivers, np.arange(n_atoms + 1))
    with path.open("wb") as stream:
        for numbers in ([n_atoms, len(edges.senders)], types, first, edges.senders):
            stream.write(np.asarray(numbers, dtype=np.int32).tobytes())
        stream.write(np.asarray(edges.vectors, dtype=np.float64).tobytes())
    return path


if __name__ == "__main__":
    run_command(main)
