"""The pure host of a segregation simulation: built with the model's own crystal, relaxed, kept."""

from dataclasses import dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.optimize import LBFGS
from numpy.typing import NDArray

from moalloy_md.errors import ConfigError, DataError, MoAlloyError
from moalloy_md.rundir import replacing
from moalloy_md.workflows.segregation.config import (
    BoundaryHost,
    FileHost,
    PolycrystalHost,
    SlabHost,
    VoidHost,
)

#: Steps that the relaxation of a host may take.
_MAX_STEPS = 1000


@dataclass(frozen=True)
class Host:
    """A pure crystal with something in it that dopants may segregate to.

    Attributes
    ----------
    name
        For people.
    atoms
        The cell.
    edge_angstrom
        Cubic edge of the crystal, Å.
    plane_fractions
        Where boundaries or surfaces lie across the third cell vector, over the cell's height; empty
        where they are not planes.
    repeats_along_normal
        Whether the third vector leads to an image; not through vacuum.
    relax_cell
        What of the cell relaxes with the pure host: ``no``, ``normal`` or ``all``.
    """

    name: str
    atoms: Atoms
    edge_angstrom: float
    plane_fractions: tuple[float, ...] = ()
    repeats_along_normal: bool = True
    relax_cell: str = "no"

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the first two cell vectors, ``(3,)``."""
        across = np.cross(self.atoms.cell[0], self.atoms.cell[1])
        return np.asarray(across / np.linalg.norm(across))

    @property
    def height_angstrom(self) -> float:
        """Of the cell along the normal, Å."""
        return float(self.atoms.cell[2] @ self.normal)

    @property
    def heights_angstrom(self) -> NDArray[np.float64]:
        """Of the atoms along the normal, ``(n_atoms,)``, Å."""
        return np.asarray(self.atoms.positions @ self.normal)

    @property
    def planes_angstrom(self) -> tuple[float, ...]:
        """Heights of the boundaries, Å."""
        return tuple(f * self.height_angstrom for f in self.plane_fractions)

    @property
    def period_angstrom(self) -> float | None:
        """The height, where the cell repeats along the normal."""
        return self.height_angstrom if self.repeats_along_normal else None

    @property
    def n_boundaries(self) -> int:
        """Planes, or one."""
        return max(1, len(self.plane_fractions))

    @property
    def area_angstrom2(self) -> float | None:
        """Of one boundary, Å²; None where it is not a plane."""
        if not self.plane_fractions:
            return None
        return float(np.linalg.norm(np.cross(self.atoms.cell[0], self.atoms.cell[1])))

    def repeats(self, width_angstrom: float) -> tuple[int, int, int]:
        """How often the cell is repeated in the plane to be as wide as wanted."""
        if not self.plane_fractions:
            return (1, 1, 1)
        in_plane = self.atoms.cell.array[:2]
        area = np.linalg.norm(np.cross(*in_plane))
        widths = area / np.linalg.norm(in_plane, axis=1)[::-1]
        x, y = np.ceil(width_angstrom / widths - 1e-9).astype(int).clip(1)
        return (int(x), int(y), 1)

    def with_atoms(self, atoms: Atoms) -> "Host":
        """Return the same with a relaxed cell; surfaces lie where the outermost atoms do."""
        host = replace(self, atoms=atoms)
        if host.repeats_along_normal or not host.plane_fractions:
            return host
        heights = host.heights_angstrom / host.height_angstrom
        return replace(host, plane_fractions=(float(heights.min()), float(heights.max())))

    def with_plain(self, atoms: Atoms) -> "Host":
        """Return the same with a cell of which elements, positions and vectors alone are kept."""
        return self.with_atoms(_plain(atoms))


@singledispatch
def build_host(config: Any, *, edge_angstrom: float) -> Host:
    """Build a host that is not relaxed.

    Parameters
    ----------
    config
        One of the kinds of `moalloy_md.workflows.segregation.config`.
    edge_angstrom
        The model's cubic edge, Å, which is taken unless the settings have one.

    Raises
    ------
    ConfigError
        If the settings do not go together.
    DataError
        If a file cannot be read or is not of the host.
    """
    raise TypeError(f"no host of {config!r} with an edge of {edge_angstrom} Å")


@build_host.register
def _boundary(config: BoundaryHost, *, edge_angstrom: float) -> Host:
    from moalloy_md.structures.grain_boundaries import grain_boundary

    edge = config.lattice_parameter_angstrom or edge_angstrom
    # as narrow as can be: the sizes repeat it
    found = grain_boundary(
        config.model_copy(update={"lattice_parameter_angstrom": edge, "min_width_angstrom": 0.1})
    )
    height = float(found.atoms.cell[2, 2])
    return Host(
        name=str(found.atoms.info["name"]),
        atoms=_plain(found.atoms),
        edge_angstrom=edge,
        plane_fractions=tuple(float(z) / height for z in found.boundary_z_angstrom),
        relax_cell=config.relax_cell,
    )


@build_host.register
def _slab(config: SlabHost, *, edge_angstrom: float) -> Host:
    from moalloy_md.structures.slabs import slab

    edge = config.lattice_parameter_angstrom or edge_angstrom
    atoms = slab(
        config.model_copy(update={"lattice_parameter_angstrom": edge, "min_width_angstrom": 0.1})
    )
    host = Host(
        str(atoms.info["name"]), _plain(atoms), edge, (0.0, 1.0), repeats_along_normal=False
    )
    return host.with_atoms(host.atoms)


@build_host.register
def _void(config: VoidHost, *, edge_angstrom: float) -> Host:
    from moalloy_md.structures.voids import void

    edge = config.lattice_parameter_angstrom or edge_angstrom
    atoms = void(config.model_copy(update={"lattice_parameter_angstrom": edge}))
    return Host(str(atoms.info["name"]), _plain(atoms), edge)


@build_host.register
def _polycrystal(config: PolycrystalHost, *, edge_angstrom: float) -> Host:
    from moalloy_md.structures.polycrystal import polycrystal

    edge = config.lattice_parameter_angstrom or edge_angstrom
    atoms = polycrystal(config.model_copy(update={"lattice_parameter_angstrom": edge})).atoms
    return Host(str(atoms.info["name"]), _plain(atoms), edge, relax_cell=config.relax_cell)


@build_host.register
def _file(config: FileHost, *, edge_angstrom: float) -> Host:
    if not config.path.exists():
        raise DataError(
            f"{config.path}: expected a structure (host.path), found nothing there. Check the path, or "
            "make the file first: moalloy structures gb-search --out FOLDER writes "
            "FOLDER/boundary.extxyz"
        )
    try:
        atoms = read(config.path)
    except Exception as error:  # each of ASE's readers has its own
        raise DataError(
            f"{config.path}: expected a structure that ASE can read, found: {error}"
        ) from error
    strangers = sorted(set(atoms.symbols) - {config.host})
    if strangers:
        raise DataError(
            f"{config.path}: expected atoms of the pure host {config.host}, found "
            f"{', '.join(strangers)} besides: give the host without dopants"
        )
    if atoms.cell.rank < 3:
        raise DataError(f"{config.path}: expected a periodic cell, found none in the file")
    edge = float(atoms.info.get("lattice_parameter_angstrom", edge_angstrom))
    name = str(atoms.info.get("name", config.path.stem))
    host = Host(name, _plain(atoms), edge, relax_cell=config.relax_cell)
    height = host.height_angstrom
    planes = config.planes_angstrom
    if not planes and "boundary_z" in atoms.info:  # a boundary of 'moalloy structures'
        planes = tuple(float(z) for z in np.atleast_1d(atoms.info["boundary_z"]))
        if atoms.info.get("n_boundaries") == 1:
            raise DataError(
                f"{config.path}: expected a periodic cell with two boundaries, found one with vacuum: "
                "its surfaces attract dopants too"
            )
    outside = [z for z in planes if not 0 <= z <= height]
    if outside:
        raise ConfigError(
            f"host.planes_angstrom: expected heights from 0 to {height:.2f} Å, found {outside[0]:g}"
        )
    return replace(host, plane_fractions=tuple(z / height for z in planes))


def relax_host(host: Host, calculator: Calculator, *, fmax_ev_per_angstrom: float) -> Host:
    """Relax the pure host, and of its cell what the host allows.

    Parameters
    ----------
    host
        As built.
    calculator
        With energies, forces and stresses; the energy of the result is in its own calculator.
    fmax_ev_per_angstrom
        Largest force that may be left, eV/Å.

    Raises
    ------
    MoAlloyError
        If it does not relax.
    """
    atoms = host.atoms.copy()
    atoms.calc = calculator
    moving = {
        "no": lambda: atoms,
        "normal": lambda: FrechetCellFilter(atoms, mask=[0, 0, 1, 0, 0, 0]),
        "all": lambda: FrechetCellFilter(atoms, hydrostatic_strain=True),
    }[host.relax_cell]()
    if not LBFGS(moving, logfile=None).run(fmax=fmax_ev_per_angstrom, steps=_MAX_STEPS):
        raise MoAlloyError(
            f"{host.name}: expected a host that relaxes to forces below {fmax_ev_per_angstrom:g} eV/Å, "
            f"found {np.abs(atoms.get_forces()).max():.3f} eV/Å after {_MAX_STEPS} steps: the model "
            "does not hold it. Try another structure of the boundary"
        )
    return host.with_atoms(atoms)


def write_host(host: Host, path: Path) -> None:
    """Write the cell as extended XYZ, whole or not at all."""
    from ase.io.extxyz import write_xyz

    with replacing(path) as temporary, temporary.open("w") as file:
        write_xyz(file, _plain(host.atoms))


def read_host(like: Host, path: Path) -> Host:
    """Read what `write_host` wrote of a host like this one."""
    return like.with_atoms(read(path))


def _plain(atoms: Atoms) -> Atoms:
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array, pbc=True)
