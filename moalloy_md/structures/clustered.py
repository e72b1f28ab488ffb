"""Solid solutions whose dopants start together: the opposite of a random one."""

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from moalloy_md.elements import HOST
from moalloy_md.structures.host import HostCell, host_atoms
from moalloy_md.structures.lattice import LatticeName
from moalloy_md.structures.solid_solution import dopant_counts

#: Distances that differ by less are those of one shell, Å.
_SAME = 1e-6


def clustered_solution(
    *,
    dopants: dict[str, float],
    repeat: tuple[int, int, int],
    lattice_parameter_angstrom: float,
    host: str = HOST,
    lattice: LatticeName = "bcc",
    seed: int = 0,
) -> Atoms:
    """Build a supercell in which all atoms of a dopant sit in one compact cluster.

    The first dopant's cluster is about a site drawn at random, each further one's about the free
    site that is farthest from all dopants before it, the first of equally far ones. A cluster takes the free sites nearest to
    its middle, periodic images included; which of equally near ones is drawn at random.

    Parameters
    ----------
    dopants, repeat, lattice_parameter_angstrom, host, lattice
        As `moalloy_md.structures.solid_solution.solid_solution`, and the same numbers of atoms.
    seed
        Of NumPy's PCG64 generator.

    Returns
    -------
    Atoms
        Periodic, atoms on ideal sites.

    Raises
    ------
    ConfigError
        As `solid_solution`.
    """
    cell = HostCell(
        host=host,
        lattice=lattice,
        repeat=repeat,
        lattice_parameter_angstrom=lattice_parameter_angstrom,
    )
    atoms = host_atoms(cell)
    generator = np.random.default_rng(seed)
    is_free = np.ones(len(atoms), dtype=np.bool_)
    for symbol, count in dopant_counts(dopants, n_sites=len(atoms), host=host).items():
        if count == 0:
            continue
        middle = _middle(atoms, is_free, generator)
        distances = _distances(atoms, [middle])
        free = generator.permutation(np.flatnonzero(is_free))
        nearest = free[np.argsort(distances[free], kind="stable")][:count]
        atoms.symbols[nearest] = symbol
        is_free[nearest] = False
    return atoms


def _middle(atoms: Atoms, is_free: np.ndarray, generator: np.random.Generator) -> int:
    taken = np.flatnonzero(~is_free)
    if not len(taken):
        return int(generator.integers(len(atoms)))
    return int(np.argmax(np.where(is_free, _distances(atoms, taken), -1.0)))


def _distances(atoms: Atoms, sites: ArrayLike) -> np.ndarray:
    """Distance of each site to the nearest of some, images included, ``(n,)``, in `_SAME`."""
    from scipy.spatial import cKDTree

    tree = cKDTree(atoms.positions[sites], boxsize=atoms.cell.lengths())
    found, _ = tree.query(atoms.positions)
    return np.asarray(np.rint(found / _SAME))
