"""How far the labels are converged: the binding energy of two Ti neighbours at finer settings.

E_b = E(pair) + E(host) - 2 E(one dopant). The three cells are those of plan.py. They are computed
with the settings of the dataset, with more plane waves, and with more k-points: two sources of
error, each on its own, because both at once cost too much. Host and one dopant, the two cells of
the highest symmetry, are computed with both: they show whether the two errors add up.

Energies go to `OUT`, which resumes as that of run.py does; then the table is printed. With the
argument ``table`` it is printed from the file alone, which needs ASE and no GPAW.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from plan import cells

OUT = Path("convergence.extxyz")

HOST, ONE, PAIR = "Mo16-vol0", "Ti1-ideal", "Ti2-shell1-ideal"

USUAL = (350, 3)  # eV of the plane waves, k-points along each axis
MORE_K_POINTS = (350, 5)
MORE_PLANE_WAVES = (600, 3)
MORE_OF_BOTH = (600, 5)

JOBS = (
    *((cell, USUAL) for cell in (HOST, ONE, PAIR)),
    *((cell, MORE_K_POINTS) for cell in (HOST, ONE, PAIR)),
    *((cell, MORE_PLANE_WAVES) for cell in (HOST, ONE, PAIR)),
    *((cell, MORE_OF_BOTH) for cell in (HOST, ONE)),
)

MEV = 1000.0  # in an eV


@dataclass(frozen=True)
class Labels:
    """What was computed for one cell at one setting."""

    free_energy_ev: float
    """F = E - TS of the cell: the energy of the dataset."""
    energy_zero_smearing_ev: float
    """Extrapolated to zero smearing."""
    forces: np.ndarray
    """``(n_atoms, 3)``, eV/Å."""


Results = Mapping[tuple[str, tuple[int, int]], Labels]


def job_name(cell: str, setting: tuple[int, int]) -> str:
    """Name of a cell at a setting, such as ``Ti1-ideal-600eV-k3``."""
    return f"{cell}-{setting[0]}eV-k{setting[1]}"


def planned_cells() -> list[Atoms]:
    """Cells of plan.py under the names of the jobs."""
    by_name = {atoms.info["name"]: atoms for atoms in cells()}
    planned = []
    for cell, setting in JOBS:
        atoms = by_name[cell].copy()
        atoms.info["name"] = job_name(cell, setting)
        planned.append(atoms)
    return planned


def read_results(path: Path) -> Results:
    """Read what was computed until now."""
    by_name = {atoms.info["name"]: atoms for atoms in read(path, ":", format="extxyz")}
    results = {}
    for cell, setting in JOBS:
        atoms = by_name.get(job_name(cell, setting))
        if atoms is not None:
            results[cell, setting] = Labels(
                free_energy_ev=atoms.info["REF_energy"],
                energy_zero_smearing_ev=atoms.info["energy_zero_smearing"],
                forces=atoms.arrays["REF_forces"],
            )
    return results


def binding_mev(
    results: Results, setting: tuple[int, int], *, zero_smearing: bool = False
) -> float:
    """E_b of the pair at a setting, meV; negative attracts."""
    key = "energy_zero_smearing_ev" if zero_smearing else "free_energy_ev"
    host, one, pair = (getattr(results[cell, setting], key) for cell in (HOST, ONE, PAIR))
    return MEV * (pair + host - 2 * one)


def substitution_mev(results: Results, setting: tuple[int, int]) -> float:
    """E(one dopant) - E(host) at a setting, meV; its zero depends on the setting."""
    return MEV * (results[ONE, setting].free_energy_ev - results[HOST, setting].free_energy_ev)


def table(results: Results) -> str:
    """Binding energies, what each setting changes in them and in the forces, and the error bar."""
    usual = binding_mev(results, USUAL)
    lines = [f"{'':24s} {'E_b':>8s} {'change':>8s}   largest change of a force component"]
    changes = []
    for title, setting in (
        ("350 eV, 3x3x3 k-points", USUAL),
        ("350 eV, 5x5x5 k-points", MORE_K_POINTS),
        ("600 eV, 3x3x3 k-points", MORE_PLANE_WAVES),
    ):
        binding = binding_mev(results, setting)
        moved = max(
            abs(results[cell, setting].forces - results[cell, USUAL].forces).max()
            for cell in (HOST, ONE, PAIR)
        )
        changes.append(binding - usual)
        lines.append(
            f"{title:24s} {binding:8.1f} {binding - usual:+8.1f}   {MEV * moved:.0f} meV/Å"
        )
    smearing = binding_mev(results, USUAL, zero_smearing=True)
    lines.append(f"{'zero smearing':24s} {smearing:8.1f} {smearing - usual:+8.1f}")
    lines.append(f"error bar of E_b: {sum(map(abs, changes)):.0f} meV (k-points and plane waves)")
    base, more_k, more_waves, both = (
        substitution_mev(results, setting)
        for setting in (USUAL, MORE_K_POINTS, MORE_PLANE_WAVES, MORE_OF_BOTH)
    )
    lines.append(
        f"E(Ti1) - E(Mo16): k-points {more_k - base:+.1f}, plane waves {more_waves - base:+.1f}, "
        f"both {both - base:+.1f} meV"
    )
    return "\n".join(lines)


def main(argument: str | None = None) -> None:
    """Compute what is missing, unless only the table is wanted, and print the table."""
    if argument != "table":
        from run import Settings, label_missing, world

        settings = [Settings(cutoff_ev=cutoff, kpoints=(k, k, k)) for _, (cutoff, k) in JOBS]
        label_missing(zip(planned_cells(), settings, strict=True), OUT)
        if world.rank != 0:
            return
    results = read_results(OUT)
    missing = [job_name(*job) for job in JOBS if job not in results]
    print(f"the table needs {', '.join(missing)}" if missing else table(results))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
