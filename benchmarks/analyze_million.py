"""Time and memory of ``moalloy analyze`` on frames of a million atoms.

    python benchmarks/analyze_million.py [--cells 80] [--frames 1] [--threads 2]

Writes LAMMPS dumps of bcc Mo with 2 % W at its thermal displacements of about 600 K, and runs the
topics structure and sro on them, each in a process of its own. The promise: one frame of 1,024,000
atoms through both in at most 45 s and 3 GB on two cores, and more frames need no more memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.build import bulk

_LIMIT_S, _LIMIT_GB = 45.0, 3.0
_TOPICS = ("structure", "sro")
_MOALLOY = (sys.executable, "-m", "moalloy_md.cli.app")
_DISPLACEMENT_ANGSTROM = 0.12


def write_frames(folder: Path, cells: int, frames: int) -> int:
    """Write the dumps; return the number of atoms."""
    rng = np.random.default_rng(0)
    atoms = bulk("Mo", "bcc", a=3.17, cubic=True).repeat(cells)
    kinds = np.where(rng.random(len(atoms)) < 0.02, 2, 1)
    names = np.array(["", "Mo", "W"])[kinds]
    edge = 3.17 * cells
    (folder / "frames").mkdir()
    for frame in range(frames):
        moved = rng.normal(scale=_DISPLACEMENT_ANGSTROM, size=(len(atoms), 3))
        positions = (atoms.positions + moved) % edge
        with (folder / "frames" / f"{frame * 100:09d}.dump").open("w") as file:
            file.write(f"ITEM: TIMESTEP\n{frame * 100}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n")
            file.write("ITEM: BOX BOUNDS pp pp pp\n" + 3 * f"0 {edge}\n")
            file.write("ITEM: ATOMS id type element x y z\n")
            file.writelines(
                f"{k} {kind} {name} {x:.5f} {y:.5f} {z:.5f}\n"
                for k, (kind, name, (x, y, z)) in enumerate(
                    zip(kinds, names, positions, strict=True), start=1
                )
            )
    return len(atoms)


def main() -> int:
    """Run, print a table, and fail where the promise of one frame of a million is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=80, help="cubic cells along an edge")
    parser.add_argument("--frames", type=int, default=1, help="frames of the trajectory")
    parser.add_argument("--threads", type=int, default=2, help="cores that OVITO may use")
    options = parser.parse_args()
    environment = {**os.environ, "OVITO_THREAD_COUNT": str(options.threads)}
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    with tempfile.TemporaryDirectory(prefix="moalloy-analyze-") as name:
        folder = Path(name)
        n_atoms = write_frames(folder, options.cells, options.frames)
        print(f"{n_atoms:,} atoms, {options.frames} frames, {len(cores)} cores")
        total, peak = 0.0, 0.0
        for topic in _TOPICS:
            start = time.perf_counter()
            done = subprocess.run(
                [*_MOALLOY, "analyze", topic, folder, "--no-picture", "--json"],
                check=True,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
            wall = time.perf_counter() - start
            used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
            total, peak = total + wall, max(peak, used)
            result = json.loads(done.stdout)
            told = ", ".join(
                f"{q['label']} {q['value']:.4f}" for q in list(result["quantities"].values())[:3]
            )
            print(f"{topic:12} {wall:6.1f} s, largest process so far {used:.2f} GB")
            print(f"{'':12} {result['n_atoms']:,} atoms, {result['n_frames']} frames: {told}")
    print(
        f"{'both':12} {total:6.1f} s, {peak:.2f} GB (allowed {_LIMIT_S:.0f} s, {_LIMIT_GB:.0f} GB)"
    )
    is_promise = n_atoms == 1_024_000 and options.frames == 1
    return int(is_promise and (total > _LIMIT_S or peak > _LIMIT_GB))


if __name__ == "__main__":
    sys.exit(main())
