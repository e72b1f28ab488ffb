"""LAMMPS data files of cells (``atom_style atomic``, units ``metal``)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.lammps import Prism
from ase.io.lammpsdata import write_lammps_data

from moalloy_md.errors import ConfigError

#: What extended XYZ keeps of a cell, Å: a cell that went through a file is still the same.
_TOLERANCE_ANGSTROM = 1e-8


def is_turned_for_lammps(atoms: Atoms) -> bool:
    """Whether the first cell vector lies along x and the second in the xy plane."""
    return bool(np.allclose(_prism(atoms).lammps_cell, atoms.cell.array, atol=_TOLERANCE_ANGSTROM))


def write_data_file(
    path: Path, atoms: Atoms, *, elements: Sequence[str], force_skew: bool = False
) -> None:
    """Write a LAMMPS data file whose atom types follow `elements`.

    Parameters
    ----------
    path
        The file.
    atoms
        A cell in LAMMPS's orientation: its rows are lower triangular. So forces and stresses
        need no rotation.
    elements
        Chemical symbols in the order of the atom types; those that the cell lacks are types too.
    force_skew
        Write the tilts of a rectangular cell too: it may be tilted in the run.

    Raises
    ------
    ConfigError
        If an element of the cell is not listed, or the cell is oriented otherwise.
    """
    missing = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if missing:
        raise ConfigError(
            f"elements: expected all that the cell has, found {', '.join(elements)}, without "
            f"{', '.join(missing)}: add what is missing"
        )
    if not is_turned_for_lammps(atoms):
        raise ConfigError(
            "expected a cell whose first vector lies along x and whose second lies in the xy plane, "
            "found another: turn it with "
            "atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True) first"
        )
    write_lammps_data(
        path,
        atoms,
        specorder=list(elements),
        masses=True,
        atom_style="atomic",
        units="metal",
        prismobj=_prism(atoms),
        force_skew=force_skew,
    )


def _prism(atoms: Atoms) -> Prism:
    return Prism(atoms.cell.array, pbc=atoms.pbc)
