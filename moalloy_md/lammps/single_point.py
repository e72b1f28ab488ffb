"""Energy, forces and stress of one structure, computed by LAMMPS."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data
from numpy.typing import NDArray

from moalloy_md.errors import LammpsError
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_log
from moalloy_md.lammps.run import run_lammps
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


def is_turned_for_lammps(atoms: Atoms) -> bool:
    """Whether the first cell vector lies along x and the second in the xy plane."""
    prism = Prism(atoms.cell.array, pbc=atoms.pbc)
    return bool(np.allclose(prism.lammps_cell, atoms.cell.array, atol=1e-10))


def write_structure(atoms: Atoms, path: Path, *, elements: list[str]) -> None:
    """Write a LAMMPS data file whose atom types follow `elements`.

    Parameters
    ----------
    atoms
        A cell in LAMMPS's orientation: its rows are lower triangular. So forces and stresses
        need no rotation.
    path
        The data file.
    elements
        Symbol of each atom type.

    Raises
    ------
    LammpsError
        If the cell is oriented otherwise, or has an element that is not listed.
    """
    if not is_turned_for_lammps(atoms):
        raise LammpsError(
            f"{path.name}: expected a cell whose first vector lies along x and whose second lies "
            "in the xy plane, found another: turn it with "
            "atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True) first"
        )
    missing = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if missing:
        raise LammpsError(
            f"{path.name}: expected atoms of {', '.join(elements)}, found {', '.join(missing)}: "
            "add them to the elements"
        )
    write_lammps_data(
        path,
        atoms,
        specorder=list(elements),
        masses=True,
        atom_style="atomic",
        units="metal",
        prismobj=Prism(atoms.cell.array, pbc=atoms.pbc),
        force_skew=True,
    )


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
