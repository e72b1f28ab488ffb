"""Errors by file and state, of the predictions of one evaluation: python by_source.py RUN/evaluate/predictions.extxyz."""

import sys
from collections import defaultdict

import numpy as np
from ase.io import iread


def main(path: str) -> None:
    """Print a line for each file of cells and each state: mean absolute errors in meV."""
    energies, forces, sizes = defaultdict(list), defaultdict(list), defaultdict(list)
    for cell in iread(path, index=":", format="extxyz"):
        kind = (cell.info["source"].removesuffix(".json"), cell.info["state"])
        reference = cell.arrays["REF_forces"]
        energies[kind].append((cell.info["pred_energy"] - cell.info["REF_energy"]) / len(cell))
        forces[kind].append((cell.arrays["pred_forces"] - reference).ravel())
        sizes[kind].append(reference.ravel())
    print("file, state: cells; energy, meV/atom; force component, meV/Å; mean |F component|")
    for kind in sorted(energies):
        energy = 1000 * np.abs(energies[kind]).mean()
        force = 1000 * np.abs(np.concatenate(forces[kind])).mean()
        size = 1000 * np.abs(np.concatenate(sizes[kind])).mean()
        name = ", ".join(kind)
        print(f"{name}: {len(energies[kind])}; {energy:.1f}; {force:.1f}; {size:.0f}")


if __name__ == "__main__":
    main(sys.argv[1])
