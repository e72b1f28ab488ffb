"""Supercells of the pure host."""

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from moalloy_md.config import StrictModel
from moalloy_md.elements import HOST, ChemicalSymbol
from moalloy_md.errors import ConfigError
from moalloy_md.memory import free_memory_bytes
from moalloy_md.structures.lattice import SITES_PER_CUBE, LatticeName, neighbour_shells

#: Cubic edges of Mo, Å: those of the paper's cells, 12.65 Å / 4 and 12.02 Å / 3 (PBE).
MO_EDGE_ANGSTROM: dict[LatticeName, float] = {"bcc": 12.65 / 4, "fcc": 12.02 / 3}

#: Cubic cells along each axis in the paper: 128 atoms of bcc, 108 of fcc.
DEFAULT_REPEAT: dict[LatticeName, int] = {"bcc": 4, "fcc": 3}

#: Resident memory while a structure is made and written, bytes, measured with voids of 432,000 and
#: 1,024,000 atoms: 119 and 116.
_BYTES_PER_ATOM = 120


class HostCrystal(StrictModel):
    """The crystal of the host."""

    host: ChemicalSymbol = HOST
    """Chemical symbol of the host."""
    lattice: LatticeName = "bcc"
    """Crystal structure: bcc or fcc."""
    lattice_parameter_angstrom: float | None = Field(default=None, gt=1.0, le=10.0)
    """Edge of the cubic cell, Å. For Mo, unless said, 3.1625 Å (bcc) and 4.0067 Å (fcc): DFT with
    PBE. Other hosts have no default."""

    @model_validator(mode="after")
    def _edge_is_known(self) -> "HostCrystal":
        if self.lattice_parameter_angstrom is None and self.host != HOST:
            raise ValueError(
                f"expected lattice_parameter_angstrom for the host {self.host} (--a0-angstrom), found "
                f"none: only {HOST} has a default"
            )
        return self

    @property
    def edge_angstrom(self) -> float:
        """Edge of the cubic cell, Å."""
        return self.lattice_parameter_angstrom or MO_EDGE_ANGSTROM[self.lattice]

    @property
    def nearest_neighbour_angstrom(self) -> float:
        """Distance of nearest neighbours, Å."""
        return neighbour_shells(self.lattice, 1)[0].radius * self.edge_angstrom

    @property
    def has_default_edge(self) -> bool:
        """Whether the edge is the host's usual one, which names need not repeat."""
        return self.host == HOST and self.edge_angstrom == MO_EDGE_ANGSTROM[self.lattice]


class HostCell(HostCrystal):
    """The supercell of the host in which dopants are put."""

    repeat: tuple[int, int, int] | None = None
    """Cubic cells along x, y and z; one number stands for three equal ones. 4 for bcc (128
    atoms) and 3 for fcc (108 atoms) unless said."""

    @field_validator("repeat", mode="before")
    @classmethod
    def _one_for_three(cls, value: Any) -> Any:
        if isinstance(value, int):
            return (value,) * 3
        if isinstance(value, list | tuple) and len(value) != 3:
            raise ValueError(f"expected one number of cells or three, found {len(value)}")
        return value

    @field_validator("repeat")
    @classmethod
    def _at_least_one(cls, value: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if value is not None and min(value) < 1:
            raise ValueError("expected numbers of cells from 1 on")
        return value

    @property
    def cells(self) -> tuple[int, int, int]:
        """Cubic cells along x, y and z."""
        return self.repeat or (DEFAULT_REPEAT[self.lattice],) * 3

    @property
    def n_sites(self) -> int:
        """Sites of the supercell."""
        x, y, z = self.cells
        return x * y * z * SITES_PER_CUBE[self.lattice]

    @property
    def label(self) -> str:
        """Lattice and size in a name, such as ``bcc4x4x4``."""
        return self.lattice + "x".join(map(str, self.cells))


def host_atoms(cell: HostCell) -> Atoms:
    """Build the pure host: periodic, atoms on ideal sites, site 0 at the origin.

    Raises
    ------
    ConfigError
        If it does not fit into the memory.
    """
    refuse_what_does_not_fit(cell.n_sites, "repeat")
    return bulk(cell.host, cell.lattice, a=cell.edge_angstrom, cubic=True).repeat(cell.cells)


def site_coordinates(cell: HostCell) -> NDArray[np.int64]:
    """Sites of `host_atoms` in halves of the cubic edge, ``(n_sites, 3)``, whole numbers."""
    halves = host_atoms(cell).positions * (2 / cell.edge_angstrom)
    sites: NDArray[np.int64] = np.rint(halves).astype(np.int64)
    return sites


def refuse_what_does_not_fit(n_atoms: float, setting: str) -> None:
    """Say so before a structure is made that is larger than the memory.

    Parameters
    ----------
    n_atoms
        Atoms that it will have, about.
    setting
        What the user makes smaller.

    Raises
    ------
    ConfigError
        If they take more than is free.
    """
    free = free_memory_bytes()
    if free is not None and n_atoms * _BYTES_PER_ATOM > free:
        raise ConfigError(
            f"{setting}: expected atoms that fit into the memory, found {n_atoms:,.0f}, which take "
            f"about {n_atoms * _BYTES_PER_ATOM / 1e9:,.0f} GB of {free / 1e9:,.1f} GB that are free. "
            "Make the cell smaller, or take a machine with more memory"
        )
