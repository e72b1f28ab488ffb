"""VASP inputs for cells: one folder a cell with POSCAR, INCAR and KPOINTS. POTCAR is the user's."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.io.vasp import write_vasp
from pydantic import Field

from moalloy_md.config import StrictModel
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.rundir import new_folder, saying_what_cannot_be_written, slug
from moalloy_md.structures.cell_info import CELL_INFO, write_cell_info
from moalloy_md.structures.files import refuse_equal_names
from moalloy_md.structures.magnetism import set_start_moments

README = "README.md"

_Grid = tuple[int, int, int]


class VaspConfig(StrictModel):
    """Settings of the VASP inputs: PBE is what a PBE POTCAR gives."""

    task: Literal["auto", "relax", "static"] = "auto"
    """``relax``: positions relaxed in a fixed cell, as in the paper. ``static``: the cell as it
    is. ``auto``: ideal cells are relaxed, displaced and deformed ones are computed as they are."""
    encut_ev: float = Field(default=520.0, gt=0.0)
    """Plane-wave cutoff, eV: one for all cells, whatever their POTCARs ask for, or their energies
    cannot be compared."""
    kspacing_per_angstrom: float = Field(default=0.2, gt=0.0)
    """Largest distance between k-points, 1/Å (2π included). All cells of a group get the same
    Γ-centred grid, or a strained cell could not be compared with its parent."""
    kpoints: _Grid | None = None
    """A Γ-centred grid for every cell instead."""
    sigma_ev: float = Field(default=0.1, gt=0.0)
    """Width of the Methfessel-Paxton smearing of first order, eV."""
    ediff_ev: float = Field(default=1e-6, gt=0.0)
    """Electronic convergence, eV."""
    max_force_ev_per_angstrom: float = Field(default=0.01, gt=0.0)
    """A relaxation ends below this force, eV/Å."""
    incar: dict[str, str | int | float | bool] = Field(default={})
    """More INCAR tags, or other values of those above: ``{NCORE: 8, GGA: PS}``."""


def write_vasp_inputs(
    out: Path,
    cells: Sequence[Atoms],
    config: VaspConfig,
    *,
    watch: Callable[[Iterable[Atoms]], Iterable[Atoms]] = iter,
) -> None:
    """Write a folder with one folder a cell, whole or not at all.

    Parameters
    ----------
    out
        The folder to make; it must be absent or empty.
    cells
        With ``info["name"]``, which names the folder (characters that have no place in a folder's
        name become ``_``; `CELL_INFO` has the name as it is). ``initial_magmoms`` become MAGMOM; a cell
        that has none but a magnetic dopant gets the usual ones.
    config
        Settings.
    watch
        Wraps the iteration over the cells, for a progress bar.

    Raises
    ------
    ConfigError
        If two cells have one name, or would have one folder.
    DataError
        If the folder holds something already, or cannot be written.
    """
    out = Path(out)
    refuse_equal_names(cells)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(
            f"{out}: expected no folder or an empty one, found something in it. Choose another name"
        )
    grids = _grids(cells, config)
    folders = _folders(cells)
    with saying_what_cannot_be_written(out), new_folder(out) as temporary:
        for atoms in watch(cells):
            folder = temporary / folders[str(atoms.info["name"])]
            _write_cell(folder, atoms, grids[_group(atoms)], config)
        (temporary / README).write_text(_readme(config), encoding="utf-8")


def incar_tags(atoms: Atoms, config: VaspConfig) -> dict[str, Any]:
    """INCAR tags for a cell whose atoms stand in the order of its POSCAR."""
    tags: dict[str, Any] = {
        "SYSTEM": atoms.info["name"],
        "PREC": "Accurate",
        "ENCUT": config.encut_ev,
        "EDIFF": config.ediff_ev,
        "NELM": 200,
        "ISMEAR": 1,
        "SIGMA": config.sigma_ev,
        "LASPH": True,
        "LREAL": False,
        "LWAVE": False,
        "LCHARG": False,
        "ISIF": 2,
    }
    task = config.task
    if task == "auto":
        task = "relax" if atoms.info.get("state") == "ideal" else "static"
    if task == "relax":
        force = -config.max_force_ev_per_angstrom
        tags |= {"IBRION": 2, "NSW": 200, "EDIFFG": force}
    else:
        tags |= {"IBRION": -1, "NSW": 0}
    moments = atoms.get_initial_magnetic_moments()
    if moments.any():
        tags |= {"ISPIN": 2, "LORBIT": 11, "MAGMOM": _magmom(moments.tolist())}
    else:
        tags |= {"ISPIN": 1}
    return {**tags, **{key.upper(): value for key, value in config.incar.items()}}


def kpoint_grid(atoms: Atoms, kspacing_per_angstrom: float) -> _Grid:
    """Γ-centred grid whose points are at most `kspacing_per_angstrom` apart (2π included)."""
    lengths = 2 * math.pi * np.linalg.norm(atoms.cell.reciprocal().array, axis=1)
    # A grid that fits to the last digit must not become denser by a rounding error.
    x, y, z = (max(1, math.ceil(b / kspacing_per_angstrom - 1e-6)) for b in lengths)
    return x, y, z


def _grids(cells: Sequence[Atoms], config: VaspConfig) -> dict[str, _Grid]:
    """One grid for all cells of a group: the densest that one of them needs."""
    grids: dict[str, _Grid] = {}
    for atoms in cells:
        found = config.kpoints or kpoint_grid(atoms, config.kspacing_per_angstrom)
        known = grids.get(_group(atoms), (1, 1, 1))
        grids[_group(atoms)] = (
            max(known[0], found[0]), max(known[1], found[1]), max(known[2], found[2]),
        )  # fmt: skip
    return grids


def _group(atoms: Atoms) -> str:
    return str(atoms.info.get("group", atoms.info["name"]))


def _folders(cells: Iterable[Atoms]) -> dict[str, str]:
    """Name each cell's folder, by the cell's name."""
    found: dict[str, str] = {}
    taken = {README: README}
    for atoms in cells:
        name = str(atoms.info["name"])
        folder = slug(name)
        if folder in taken:
            raise ConfigError(
                f"expected names of cells that make different folders, found {taken[folder]!r} and "
                f"{name!r}, both {folder}: give one of them another info name"
            )
        taken[folder] = name
        found[name] = folder
    return found


def _write_cell(cell: Path, atoms: Atoms, grid: _Grid, config: VaspConfig) -> None:
    atoms = atoms.copy()
    if not atoms.get_initial_magnetic_moments().any():
        set_start_moments(atoms)
    atoms = atoms[_order(atoms)]
    cell.mkdir()
    with (cell / "POSCAR").open("w", encoding="utf-8") as file:
        write_vasp(file, atoms, direct=True)
    lines = [f"{tag} = {_vasp_value(value)}" for tag, value in incar_tags(atoms, config).items()]
    (cell / "INCAR").write_text("\n".join(lines) + "\n", encoding="utf-8")
    points = " ".join(map(str, grid))
    (cell / "KPOINTS").write_text(
        f"{atoms.info['name']}\n0\nGamma\n{points}\n0 0 0\n", encoding="utf-8"
    )
    write_cell_info(cell, atoms)


def _order(atoms: Atoms) -> list[int]:
    """Atoms by species, the host first: VASP wants each species in one block."""
    host = atoms.info.get("host")
    symbols = list(atoms.symbols)
    return sorted(range(len(atoms)), key=lambda i: (symbols[i] != host, symbols[i], i))


def _magmom(moments: Sequence[float]) -> str:
    """Moments as VASP abbreviates them: ``126*0.0 1*3.0 1*-3.0``."""
    runs: list[tuple[int, float]] = []
    for moment in moments:
        if runs and runs[-1][1] == moment:
            runs[-1] = (runs[-1][0] + 1, moment)
        else:
            runs.append((1, moment))
    return " ".join(f"{n}*{moment:g}" for n, moment in runs)


def _vasp_value(value: Any) -> str:
    if isinstance(value, bool):
        return ".TRUE." if value else ".FALSE."
    return f"{value:g}" if isinstance(value, float) else str(value)


def _readme(config: VaspConfig) -> str:
    settings: Mapping[str, Any] = config.model_dump()
    listed = "\n".join(f"- {key}: {value}" for key, value in settings.items())
    return f"""\
# VASP inputs

Written by `moalloy structures`. One folder a cell: POSCAR, INCAR, KPOINTS, and `{CELL_INFO}`, which says what the
cell is (name, formula, host, group, state). Leave it beside vasprun.xml or OUTCAR: `moalloy dataset import` takes it over.

POTCAR is missing: it is licensed, and yours to add. Its parts go in the order of the elements in line 6 of POSCAR, one
kind of pseudopotential an element in all cells. In bash, with the PBE folder in POTPAW:

    for cell in */; do
        (cd "$cell" && for x in $(sed -n 6p POSCAR); do cat "$POTPAW/$x/POTCAR"; done > POTCAR)
    done

Cells with Cr, Mn, Fe, Co or Ni are spin-polarised (ISPIN = 2, MAGMOM), the others are not. ENCUT is the same in all.

Settings:

{listed}
"""
