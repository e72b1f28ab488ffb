"""Time and memory of `moalloy dataset import`, `check` and `split` on a set of the paper's size.

7,000 frames of 128 atoms: bcc Mo with one or two of 20 dopants, in relaxations of ten steps, with
energies, forces and stresses of a harmonic model. Limit: 90 s and 2 GB in all, on two cores.

    python benchmarks/datasets_scale.py [--frames 7000] [--dir DIR]

Prints one line a step. With all 7,000 frames it also leaves the numbers in ``results/``, with the
command, versions, processor and load average.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io.extxyz import write_xyz
from side_by_side.machine import load_average
from side_by_side.records import default_path, new_record, write_record

from moalloy_md.elements import ALL_DOPANTS

FRAMES = 7000
LIMIT_S = 90.0
LIMIT_GB = 2.0
STEPS = 10
SPRING_EV_PER_A2 = 5.0


def decorations(host: Atoms) -> Iterator[dict[int, str]]:
    """Yield each dopant alone, then pairs in every neighbour shell: elements by site."""
    distances = np.round(host.get_distances(0, range(len(host)), mic=True), 3)
    shells = [int(np.argmax(distances == distance)) for distance in np.unique(distances)[1:]]
    yield from ({0: dopant} for dopant in ALL_DOPANTS)
    for site in shells:
        for one, other in combinations_with_replacement(ALL_DOPANTS, 2):
            yield {0: one, site: other}


def make_frames(n_frames: int, seed: int = 1) -> Iterator[Atoms]:
    """Yield cells as a user would have them: relaxations, labels under ASE's names, no groups."""
    rng = np.random.default_rng(seed)
    host = bulk("Mo", "bcc", a=12.65 / 4, cubic=True).repeat(4)
    reference = dict(zip(("Mo", *ALL_DOPANTS), rng.uniform(-12, -4, 21), strict=True))
    kinds = decorations(host)
    for first in range(0, n_frames, STEPS):
        ideal = host.copy()
        for site, element in next(kinds).items():
            ideal.symbols[site] = element
        base = sum(reference[symbol] for symbol in ideal.symbols)
        relaxed = rng.normal(scale=0.03, size=(128, 3))
        relaxed -= relaxed.mean(axis=0)
        for step in range(min(STEPS, n_frames - first)):
            atoms = ideal.copy()
            left = 0.8**step if step else 1.0  # starts on the lattice sites
            atoms.positions += (1 - left) * relaxed
            atoms.info["free_energy"] = base + SPRING_EV_PER_A2 / 2 * (left**2 * relaxed**2).sum()
            atoms.info["stress"] = np.diag(rng.normal(scale=1e-3, size=3))
            atoms.arrays["forces"] = SPRING_EV_PER_A2 * left * relaxed
            yield atoms


def measure(*arguments: object) -> dict[str, float]:
    """Run a moalloy command; wall and CPU time in s and peak memory in GB."""
    command = [sys.executable, "-m", "moalloy_md.cli.app", *map(str, arguments)]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return {
        "wall_s": round(wall, 1),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_gb": round(usage.ru_maxrss / 1e6, 2),
    }


def main() -> None:
    """Make the set, run the three commands, compare with the limits."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--frames", type=int, default=FRAMES)
    options.add_argument(
        "--dir", type=Path, help="Folder for the files; a temporary one if absent."
    )
    given = options.parse_args()
    record = {
        **new_record("time and memory of dataset import, check and split on cells of 128 atoms"),
        "load_average": {"before": load_average()},
        "frames": given.frames,
    }
    with tempfile.TemporaryDirectory(dir=given.dir) as name:
        folder = Path(name)
        with (folder / "raw.extxyz").open("w", encoding="utf-8") as file:
            for atoms in make_frames(given.frames):
                write_xyz(file, [atoms])
        data = folder / "data.extxyz"
        results = {
            "import": measure("dataset", "import", folder / "raw.extxyz", "--out", data),
            "check": measure("dataset", "check", data),
            "split": measure(
                "dataset", "split", data, "--protocol", "iid", "--out", folder / "split"
            ),
        }
    for step, found in results.items():
        print(
            f"{step:8s} {found['wall_s']:6.1f} s  {found['cpu_s']:6.1f} s of CPU  {found['peak_gb']:5.2f} GB"
        )
    wall = sum(found["wall_s"] for found in results.values())
    peak = max(found["peak_gb"] for found in results.values())
    print(f"all      {wall:6.1f} s  {peak:5.2f} GB  (limit {LIMIT_S:g} s, {LIMIT_GB:g} GB)")
    if given.frames == FRAMES:  # the limits and what is kept are for these
        out = default_path("datasets_scale", record)
        record |= {"steps": results, "wall_s": round(wall, 1), "peak_gb": peak}
        write_record(record, out)
        print(f"written to {out}")
        sys.exit(wall > LIMIT_S or peak > LIMIT_GB)


if __name__ == "__main__":
    main()
