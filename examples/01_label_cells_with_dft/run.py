"""Label the cells of plan.py with GPAW and append them to a dataset; the same command resumes.

PBE, plane waves to 350 eV, 3x3x3 Gamma-centred k-points, Fermi-Dirac smearing of 0.1 eV, no spin
polarisation. Each finished cell is added to `OUT` at once, so a killed run loses the cell it was
at and nothing else. Needs ASE and GPAW; README.md beside this file has the command.

An optional argument is the number of cells to label before stopping.
"""

import io
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms
from ase.io import read, write
from gpaw import GPAW, PW, ConvergenceError, FermiDirac
from gpaw.mpi import world
from plan import cells

OUT = Path("mo_dopants_pbe.extxyz")
LOG = "gpaw.txt"  # GPAW's own log of the cell at work

SMEARING = 0.1  # eV, Fermi-Dirac


@dataclass(frozen=True)
class Settings:
    """What may be varied to see how far the labels are converged; as it is, the bundled set's."""

    cutoff_ev: int = 350
    """Of the plane waves."""
    kpoints: tuple[int, int, int] = (3, 3, 3)
    """Gamma-centred."""


def make_calculator(settings: Settings) -> GPAW:
    """GPAW with the settings of the bundled dataset but for those given."""
    return GPAW(
        mode=PW(settings.cutoff_ev),
        xc="PBE",
        kpts={"size": settings.kpoints, "gamma": True},
        occupations=FermiDirac(SMEARING),
        # eV per electron, electrons per valence electron, eV/Å
        convergence={"energy": 2e-5, "density": 2e-4, "forces": 0.005},
        symmetry={"point_group": True},
        txt=LOG,
        maxiter=120,
    )


def label(atoms: Atoms, settings: Settings) -> Atoms:
    """Return a copy of `atoms` with the labels of the dataset contract and without calculator.

    ``REF_energy`` is the force-consistent free energy F = E - TS (eV), whose derivative the
    forces are; ASE's plain energy is extrapolated to zero smearing and does not fit them. It is
    kept as ``energy_zero_smearing`` for comparison.
    """
    start = time.time()
    work = atoms.copy()
    work.calc = make_calculator(settings)
    energy = work.get_potential_energy(force_consistent=True)
    forces = work.get_forces()
    labelled = atoms.copy()
    labelled.info["REF_energy"] = float(energy)
    labelled.info["energy_zero_smearing"] = float(work.get_potential_energy())
    labelled.arrays["REF_forces"] = forces
    labelled.info["wall_s"] = round(time.time() - start, 1)
    return labelled


def finished_names(out: Path) -> set[str]:
    """Names of the cells that a dataset has already."""
    if not out.exists():
        return set()
    return {atoms.info["name"] for atoms in read(out, ":", format="extxyz", parallel=False)}


def append(atoms: Atoms, out: Path) -> None:
    """Add one cell to a dataset: a kill leaves the old file or the new one, never half a cell.

    One MPI rank calls this alone, so ASE must not try to talk to the others: ``parallel=False``.
    """
    text = io.StringIO()
    write(text, atoms, format="extxyz", parallel=False)
    before = out.read_text() if out.exists() else ""
    temporary = out.with_name(f".{out.name}.tmp")
    temporary.write_text(before + text.getvalue())
    temporary.replace(out)


def report(atoms: Atoms) -> None:
    """Print one line about a labelled cell."""
    energy = atoms.info["REF_energy"] / len(atoms)
    largest = abs(atoms.arrays["REF_forces"]).max()
    name, wall_s = atoms.info["name"], atoms.info["wall_s"]
    print(f"{name:24s} {energy:10.5f} eV/atom  max |F| {largest:7.4f} eV/Å  {wall_s} s", flush=True)


def label_missing(
    jobs: Iterable[tuple[Atoms, Settings]], out: Path, *, limit: int | None = None
) -> None:
    """Label those of the cells that `out` lacks, at most `limit` of them, and add them to it."""
    finished = finished_names(out)
    world.barrier()  # no rank may write before all have read
    missing = [job for job in jobs if job[0].info["name"] not in finished]
    failed = []
    for atoms, settings in missing[:limit]:
        try:
            labelled = label(atoms, settings)
        except ConvergenceError as error:
            failed.append(atoms.info["name"])
            if world.rank == 0:
                print(f"{atoms.info['name']:24s} FAILED: {error}", flush=True)
            continue
        labelled.info["source"] = out.name
        if world.rank == 0:
            append(labelled, out)
            report(labelled)
        world.barrier()
    if world.rank == 0:
        left = len(missing) - len(missing[:limit])
        print(f"{len(missing[:limit]) - len(failed)} labelled, {len(failed)} failed, {left} left")


def main(limit: int | None = None) -> None:
    """Label the planned cells that are missing from the dataset, at most `limit` of them."""
    label_missing(((atoms, Settings()) for atoms in cells()), OUT, limit=limit)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
