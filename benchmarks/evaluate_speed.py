"""Speed of `moalloy evaluate` beside mace-torch's own evaluation (`mace_eval_configs`).

    python benchmarks/evaluate_speed.py [--atoms 128] [--cells 24] [--rounds 3]

The same model (random weights in the shape of MACE-MP-0 small by default), the same cells of doped Mo, the same batches, one
process; the two take turns, and the quickest round of each counts (on a busy machine the CPU time says more; with
OMP_NUM_THREADS=1, or threads that wait count too). Both read the file, make the graphs, compute
energies and forces, and write the predictions; ours makes intervals and a picture besides. Prints the times in s and
their ratio, and leaves them in ``results/``.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.io import write
from side_by_side.records import default_path, new_record, write_record

from moalloy_md.potentials.cost import random_network
from moalloy_md.potentials.evaluate import evaluate
from moalloy_md.potentials.loading import save_model
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.potentials.train_config import MaceArchitecture

SHAPES = {
    "32x0e": MaceArchitecture(channels=32, correlation=3),
    "128x0e": MaceArchitecture(
        channels=128, r_max_angstrom=6.0, num_radial_basis=10, correlation=3, pair_repulsion=False
    ),
}


def make_cells(n_cells: int, n_atoms: int) -> list:
    """Bcc Mo with one W atom, displaced by 0.1 Å; labels are zero."""
    repeat = round((n_atoms / 2) ** (1 / 3))
    cells = []
    for k in range(n_cells):
        atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(repeat)
        atoms.symbols[k % len(atoms)] = "W"
        atoms.rattle(0.1, seed=k)
        atoms.info |= {"REF_energy": 0.0, "group": str(k)}
        atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3))
        cells.append(atoms)
    return cells


def mace_torch(model: Path, data: Path, out: Path, batch: int) -> None:
    """Evaluate with mace-torch's own program."""
    from mace.cli import eval_configs

    words = ["--configs", data, "--model", model, "--output", out, "--batch_size", batch]
    words += ["--default_dtype", "float32", "--info_prefix", "MACE_"]
    with quiet_mace():
        import sys

        before, sys.argv = sys.argv, ["mace_eval_configs", *map(str, words)]
        try:
            eval_configs.run(eval_configs.parse_args())
        finally:
            sys.argv = before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--atoms", type=int, default=128)
    parser.add_argument("--cells", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--model", choices=SHAPES, default="128x0e")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(random_network(SHAPES[asked.model], ["Mo", "W"]), folder / "a.model")
        write(folder / "data.extxyz", make_cells(asked.cells, asked.atoms))
        times: dict[str, list[float]] = {"moalloy": [], "mace-torch": []}
        of_cpu: dict[str, list[float]] = {"moalloy": [], "mace-torch": []}
        for k in range(asked.rounds):
            start, cpu = time.perf_counter(), time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                mace_torch(
                    folder / "a.model", folder / "data.extxyz", folder / "m.xyz", asked.batch
                )
            times["mace-torch"].append(time.perf_counter() - start)
            of_cpu["mace-torch"].append(time.process_time() - cpu)
            start, cpu = time.perf_counter(), time.process_time()
            evaluate(
                model=folder / "a.model", data=folder / "data.extxyz", out=folder / str(k),
                batch_size=asked.batch,
            )  # fmt: skip
            times["moalloy"].append(time.perf_counter() - start)
            of_cpu["moalloy"].append(time.process_time() - cpu)
    best = {who: round(min(values), 2) for who, values in times.items()}
    ratio = min(times["moalloy"]) / min(times["mace-torch"])
    cpu_ratio = min(of_cpu["moalloy"]) / min(of_cpu["mace-torch"])
    said = {"ratio": round(ratio, 3), "ratio of CPU time": round(cpu_ratio, 3)}
    print(json.dumps({**vars(asked), **best, **said}))
    record = new_record("time of moalloy evaluate and mace_eval_configs on the same cells, s")
    record |= {"settings": vars(asked), "rounds_s": times, "rounds_cpu_s": of_cpu}
    record |= {"quickest_s": best, "ratio": ratio, "cpu_ratio": cpu_ratio}
    out = default_path("evaluate_speed", record)
    write_record(record, out)
    print(f"written to {out}")


if __name__ == "__main__":
    main()
