"""Energy, forces and stress of one structure, computed by LAMMPS."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_log
from moalloy_md.lammps.run import run_lammps
from moalloy_md.structures.lammps_data import write_data_file
from moalloy_md.units import BAR_PER_EV_A3_LAMMPS


@dataclass(frozen=True)
class SinglePoint:
    """What LAMMPS computed.

    Attributes
    ----------
    energy_ev
        Potential energy of the cell, eV.
    forces_ev_per_angstrom
        ``(n_atoms, 3)``, eV/Å, in the frame and order of the given atoms.
    stress_ev_per_angstrom3
        ``(6,)``, eV/Å³, Voigt xx yy zz yz xz xy, tension positive (ASE's sign); converted with
        LAMMPS's own constant.
    energies_ev
        Energy of each atom, ``(n_atoms,)``, eV.
    """

    energy_ev: float
    forces_ev_per_angstrom: NDArray[np.float64]
    stress_ev_per_angstrom3: NDArray[np.float64]
    energies_ev: NDArray[np.float64]


def write_structure(atoms: Atoms, path: Path, *, elements: Sequence[str]) -> None:
    """Write a LAMMPS data file for a run, in which a rectangular cell may be tilted.

    Parameters
    ----------
    atoms, path, elements
        As for `moalloy_md.structures.lammps_data.write_data_file`.

    Raises
    ------
    ConfigError
        If an element of the cell is not listed, or the cell is oriented otherwise.
    """
    write_data_file(path, atoms, elements=elements, force_skew=True)


def single_point(
    atoms: Atoms,
    *,
    potential: Path,
    elements: list[str],
    run_dir: Path,
    style: str = "mace",
    ranks: int = 1,
    threads: int = 1,
) -> SinglePoint:
    """Evaluate one structure with LAMMPS in a fresh process.

    Parameters
    ----------
    atoms
        The structure, as for `write_structure`.
    potential
        File that ``pair_coeff`` reads.
    elements
        Symbols of the atom types; more than the structure has may be given.
    run_dir
        Folder for LAMMPS's files.
    style
        Pair style.
    ranks, threads
        MPI ranks, and OpenMP threads of each.

    Raises
    ------
    LammpsError
        If LAMMPS fails.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    write_structure(atoms, run_dir / "structure.data", elements=elements)
    run_lammps(
        input_file("in.single_point"),
        run_dir=run_dir,
        variables={
            "structure": "structure.data",
            "elements": " ".join(elements),
            "style": style,
            "potential": potential,
        },
        ranks=ranks,
        threads=threads,
    )
    thermo = read_log(run_dir / "log.lammps")[-1]
    rows = np.loadtxt(run_dir / "single_point.dump", skiprows=9, ndmin=2)
    voigt = ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")
    pressure_bar = np.array([thermo.column(name)[-1] for name in voigt])
    return SinglePoint(
        energy_ev=float(thermo.column("PotEng")[-1]),
        forces_ev_per_angstrom=rows[:, 1:4],
        stress_ev_per_angstrom3=-pressure_bar / BAR_PER_EV_A3_LAMMPS,
        energies_ev=rows[:, 4],
    )
