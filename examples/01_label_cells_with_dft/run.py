"""Label the cells of plan.py with GPAW and append them to a dataset; the same command resumes.

PBE, plane waves to 350 eV, 3x3x3 Gamma-centred k-points, Fermi-Dirac smearing of 0.1 eV, no spin
polarisation. Each finished cell is added to `OUT` at once, so a killed run loses the cell it was
at and nothing else. Needs ASE and GPAW; README.md beside this file has the command.

An optional argument is the number of cells to label before stopping.
"""

import io
import sys
import time
from pathlib import Path

from ase import Atoms
from ase.io import read, write
from gpaw import GPAW, PW, ConvergenceError, FermiDirac
from gpaw.mpi import world
from plan import cells

OUT = Path("mo_dopants_pbe.extxyz")
LOG = "gpaw.txt"  # GPAW's own log of the cell at work

CUTOFF = 350  # eV, plane waves
KPOINTS = (3, 3, 3)
SMEARING = 0.1  # eV, Fermi-Dirac


def make_calculator() -> GPAW:
    """GPAW with the settings of the bundled dataset."""
    return GPAW(
        mode=PW(CUTOFF),
        xc="PBE",
        kpts={"size": KPOINTS, "gamma": True},
        occupations=FermiDirac(SMEARING),
        # eV per electron, electrons per valence electron, eV/Å
        convergence={"energy": 2e-5, "density": 2e-4, "forces": 0.005},
        symmetry={"point_group": True},
        txt=LOG,
        maxiter=120,
    )


def label(atoms: Atoms) -> Atoms:
    """Return a copy of `atoms` with the labels of the dataset contract and without calculator.

    ``REF_energy`` is the force-consistent free energy F = E - TS (eV), whose derivative the
    forces are; ASE's plain energy is extrapolated to zero smearing and does not fit them.
    """
    start = time.time()
    work = atoms.copy()
    work.calc = make_calculator()
    energy = work.get_potential_energy(force_consistent=True)
    forces = work.get_forces()
    labelled = atoms.copy()
    labelled.info["REF_energy"] = float(energy)
    labelled.arrays["REF_forces"] = forces
    labelled.info["source"] = OUT.name
    labelled.info["wall_s"] = round(time.time() - start, 1)
    return labelled


def finished_names() -> set[str]:
    """Names of the cells that are in the dataset already."""
    if not OUT.exists():
        return set()
    return {atoms.info["name"] for atoms in read(OUT, ":", format="extxyz", parallel=False)}


def append(atoms: Atoms) -> None:
    """Add one cell to the dataset: a kill leaves the old file or the new one, never half a cell.

    One MPI rank calls this alone, so ASE must not try to talk to the others: ``parallel=False``.
    """
    text = io.StringIO()
    write(text, atoms, format="extxyz", parallel=False)
    before = OUT.read_text() if OUT.exists() else ""
    temporary = OUT.with_name(f".{OUT.name}.tmp")
    temporary.write_text(before + text.getvalue())
    temporary.replace(OUT)


def report(atoms: Atoms) -> None:
    """Print one line about a labelled cell."""
    energy = atoms.info["REF_energy"] / len(atoms)
    largest = abs(atoms.arrays["REF_forces"]).max()
    name, wall_s = atoms.info["name"], atoms.info["wall_s"]
    print(f"{name:24s} {energy:10.5f} eV/atom  max |F| {largest:7.4f} eV/Å  {wall_s} s", flush=True)


def main(limit: int | None = None) -> None:
    """Label the planned cells that are missing from the dataset, at most `limit` of them."""
    finished = finished_names()
    world.barrier()  # no rank may write before all have read
    missing = [atoms for atoms in cells() if atoms.info["name"] not in finished]
    failed = []
    for atoms in missing[:limit]:
        try:
            labelled = label(atoms)
        except ConvergenceError as error:
            failed.append(atoms.info["name"])
            if world.rank == 0:
                print(f"{atoms.info['name']:24s} FAILED: {error}", flush=True)
            continue
        if world.rank == 0:
            append(labelled)
            report(labelled)
        world.barrier()
    if world.rank == 0:
        left = len(missing) - len(missing[:limit])
        print(f"{len(missing[:limit]) - len(failed)} labelled, {len(failed)} failed, {left} left")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
