"""Slabs: lattice planes of a crystal between vacuum."""

import numpy as np
from ase import Atoms
from pydantic import Field, field_validator

from moalloy_md.structures.host import HostCrystal, refuse_what_does_not_fit
from moalloy_md.structures.lattice import SITES_PER_CUBE
from moalloy_md.structures.planes import (
    Miller,
    layers,
    orientation_of,
    points_in,
    rectangle,
    reduced,
    stacked,
    wide_enough,
)


class SlabConfig(HostCrystal):
    """A slab of the host with two equal surfaces, their normal along z."""

    plane: Miller = (1, 1, 0)
    """Miller indices of the surface."""
    n_layers: int = Field(default=12, ge=1)
    """Lattice planes, one above the other."""
    vacuum_angstrom: float = Field(default=16.0, ge=1.0)
    """Between the slab and its image, Å."""
    min_width_angstrom: float = Field(default=0.1, gt=0.0)
    """Smallest width of the cell in either direction of the surface, Å; the smallest rectangular cell
    unless said."""

    @field_validator("plane")
    @classmethod
    def _not_zero(cls, value: Miller) -> Miller:
        if not any(value):
            raise ValueError("expected Miller indices that are not all zero")
        return value


def slab(config: SlabConfig) -> Atoms:
    """Build a slab: periodic in all directions, vacuum below and above, atoms on the crystal's sites.

    Returns
    -------
    Atoms
        With ``info``: ``host``, ``lattice``, ``plane``, ``n_layers``, ``layer_spacing_angstrom``,
        ``area_angstrom2`` and ``name``.

    Raises
    ------
    ConfigError
        If it does not fit into the memory.
    """
    plane = reduced(config.plane)
    edge = config.edge_angstrom
    planes = layers(config.lattice, plane)
    cell = rectangle(planes.in_plane, plane)
    orientation = orientation_of(cell[0], plane)
    wide = wide_enough((cell / 2 @ orientation.T)[:, :2] * edge, config.min_width_angstrom)
    step = orientation @ planes.step / 2 * edge
    volume = abs(np.linalg.det(wide)) * step[2] * config.n_layers
    n_atoms = volume / edge**3 * SITES_PER_CUBE[config.lattice]
    refuse_what_does_not_fit(n_atoms, "n_layers, min_width_angstrom")
    points = points_in(wide, (planes.in_plane / 2 @ orientation.T)[:, :2] * edge)
    positions = stacked(points, step, config.n_layers)
    height = (config.n_layers - 1) * step[2]
    box = np.zeros((3, 3))
    box[:2, :2], box[2, 2] = wide, height + config.vacuum_angstrom
    positions[:, 2] += config.vacuum_angstrom / 2
    atoms = Atoms(f"{config.host}{len(positions)}", positions, cell=box, pbc=True)
    atoms.wrap(eps=1e-9)
    faces = "".join(map(str, map(abs, plane)))
    atoms.info.update(
        name=f"{config.host}-{config.lattice}-slab{faces}-{config.n_layers}layers-{len(atoms)}",
        host=config.host,
        lattice=config.lattice,
        lattice_parameter_angstrom=edge,
        plane=list(plane),
        n_layers=config.n_layers,
        layer_spacing_angstrom=float(step[2]),
        area_angstrom2=float(abs(np.linalg.det(wide))),
    )
    return atoms
