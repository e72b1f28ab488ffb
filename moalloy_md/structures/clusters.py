"""Spheres cut from large structures, to relax the surroundings of one site.

The atoms within a free radius of the centre may move. A shell around them stays where it is: it
gives the free atoms the neighbourhood that they have in the whole structure. Its outer surface is
in vacuum and of no meaning; its energy cancels in the difference with the same sphere without the
dopant.

How thick the shell has to be, a model of two layers of messages says: a free atom's force is the
change of the energies of atoms out to ``2 r_max``, which themselves feel atoms out to ``2 r_max``
more. It is exact at ``4 r_max``, but what comes from farther away gets small quickly, because it
comes through two cutoff functions.
"""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms
from ase.geometry import wrap_positions
from numpy.typing import NDArray

from moalloy_md.errors import ConfigError


@dataclass(frozen=True)
class Cluster:
    """A sphere of atoms.

    Attributes
    ----------
    atoms
        Not periodic, without a cell; the centre's atom is the first, at the origin. Atoms beyond
        the free radius are held by a constraint.
    indices
        Which atoms of the structure they are, ``(n_atoms,)``.
    n_free
        Atoms that may move; they are the first.
    """

    atoms: Atoms
    indices: NDArray[np.int64]
    n_free: int


def cut_cluster(
    atoms: Atoms, centre: int, *, free_radius_angstrom: float, shell_angstrom: float
) -> Cluster:
    """Cut a sphere about an atom.

    Parameters
    ----------
    atoms
        The structure.
    centre
        Index of the atom in the middle.
    free_radius_angstrom
        Atoms within it may move.
    shell_angstrom
        Thickness of the frozen shell around these.

    Raises
    ------
    ConfigError
        If the sphere does not fit between its own periodic images.
    """
    reach = free_radius_angstrom + shell_angstrom
    if atoms.pbc.any():
        heights = 1.0 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)
        height = float(heights[atoms.pbc].min())
        if 2 * reach > height:
            raise ConfigError(
                f"expected a cell that holds a sphere of {2 * reach:.1f} Å across (free radius and "
                f"shell), found one that is {height:.1f} Å wide. Take a larger structure or a "
                "smaller cluster"
            )
    # the cell is wider than the sphere, so what is inside lies within half of each cell vector
    vectors = wrap_positions(
        atoms.positions - atoms.positions[centre], atoms.cell, pbc=atoms.pbc, center=(0, 0, 0)
    )
    distances = np.linalg.norm(vectors, axis=1)
    inside = np.flatnonzero(distances <= reach)
    order = inside[np.argsort(distances[inside], kind="stable")]
    n_free = int((distances[order] <= free_radius_angstrom).sum())
    cluster = Atoms(atoms.numbers[order], positions=vectors[order])
    cluster.set_constraint(FixAtoms(indices=range(n_free, len(order))))
    return Cluster(cluster, order, n_free)
