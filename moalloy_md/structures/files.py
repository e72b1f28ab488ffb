"""Write unlabelled cells: extended XYZ, and LAMMPS data files."""

import filecmp
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.io.extxyz import write_xyz

from moalloy_md.errors import ConfigError, DataError
from moalloy_md.rundir import replacing, saying_what_cannot_be_written
from moalloy_md.structures.lammps_data import write_data_file


def write_cells(path: Path, cells: Sequence[Atoms]) -> None:
    """Write cells as extended XYZ: the whole file, or nothing.

    Parameters
    ----------
    path
        The file. One with the very same cells is left as it is.
    cells
        With ``info["name"]``.

    Raises
    ------
    ConfigError
        If two cells have one name: one variant was asked for twice.
    DataError
        If the file holds something else, there are no cells, or it cannot be written.
    """
    path = Path(path)
    refuse_equal_names(cells)
    if not cells:
        raise DataError(f"{path}: expected at least one cell to write, found none")
    with saying_what_cannot_be_written(path), replacing(path) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            write_xyz(file, list(cells))
        _refuse_another_file(path, temporary)


def write_lammps_structure(path: Path, atoms: Atoms, *, elements: Sequence[str]) -> None:
    """Write one cell as a LAMMPS data file (``atom_style atomic``, units ``metal``): all or nothing.

    Parameters
    ----------
    path
        The file. The very same one is left as it is.
    atoms
        Its first cell vector lies along x, its second in the xy plane.
    elements
        Chemical symbols in the order of the atom types; those that the cell lacks are types too.

    Raises
    ------
    ConfigError
        If an element of the cell is not listed, or the cell is oriented otherwise.
    DataError
        If the file holds something else, or it cannot be written.
    """
    with saying_what_cannot_be_written(path), replacing(path) as temporary:
        write_data_file(temporary, atoms, elements=elements)
        _refuse_another_file(path, temporary)


def refuse_equal_names(cells: Sequence[Atoms]) -> None:
    """Raise ConfigError where two cells have one name."""
    counts = Counter(atoms.info["name"] for atoms in cells)
    twice = [name for name, n in counts.items() if n > 1]
    if twice:
        raise ConfigError(
            f"expected cells that differ, found {twice[0]} {counts[twice[0]]} times "
            f"({len(twice)} such names): the same variant was asked for more than once. Use "
            "copies for more displacements"
        )


def _refuse_another_file(path: Path, wanted: Path) -> None:
    if path.exists() and not (path.is_file() and filecmp.cmp(path, wanted, shallow=False)):
        raise DataError(
            f"{path}: expected no file or one with these cells, found another. Choose another "
            "name, or remove it yourself"
        )
