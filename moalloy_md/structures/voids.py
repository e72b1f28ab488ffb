"""Voids: spheres without atoms in a crystal."""

import numpy as np
from ase import Atoms
from ase.geometry import wrap_positions
from pydantic import Field

from moalloy_md.errors import ConfigError
from moalloy_md.structures.host import HostCell, host_atoms


class VoidConfig(HostCell):
    """A spherical void in a supercell of the host."""

    radius_angstrom: float = Field(gt=0.0)
    """Atoms whose centres are closer than this to the void's centre are removed, Å."""
    centre: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Of the void, in fractions of the cell's edges."""


def void(config: VoidConfig) -> Atoms:
    """Build a supercell with a void.

    Returns
    -------
    Atoms
        On ideal sites, with ``info``: ``host``, ``lattice``, ``n_removed``, ``radius_angstrom``,
        ``centre_angstrom`` and ``name``.

    Raises
    ------
    ConfigError
        If the void touches its image or removes no atom.
    """
    atoms = host_atoms(config)
    edges = atoms.cell.lengths()
    # walls as thick as the crystal's edge hold a crystal between a void and its image
    if 2 * config.radius_angstrom > edges.min() - config.edge_angstrom:
        raise ConfigError(
            f"radius_angstrom: expected a void that leaves a cell's edge of crystal to its image, up to "
            f"{(edges.min() - config.edge_angstrom) / 2:.1f} Å in this supercell, found "
            f"{config.radius_angstrom:g}: repeat the cell more often"
        )
    centre = np.array(config.centre) * edges
    # right angles: the nearest image lies within half of each edge
    from_centre = wrap_positions(atoms.positions - centre, atoms.cell, center=(0, 0, 0))
    distances = np.linalg.norm(from_centre, axis=1)
    inside = distances < config.radius_angstrom
    if not inside.any():
        raise ConfigError(
            f"radius_angstrom: expected a void that removes atoms, {config.radius_angstrom:g} Å about "
            f"{tuple(config.centre)} removes none: from {distances.min() + 0.01:.2f} Å on it does"
        )
    del atoms[inside]
    atoms.info.update(
        name=f"{config.host}-{config.label}-void{config.radius_angstrom:g}-{len(atoms)}",
        host=config.host,
        lattice=config.lattice,
        lattice_parameter_angstrom=config.edge_angstrom,
        n_removed=int(inside.sum()),
        radius_angstrom=config.radius_angstrom,
        centre_angstrom=centre.tolist(),
    )
    return atoms
