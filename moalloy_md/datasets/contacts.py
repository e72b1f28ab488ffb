"""Who is whose neighbour, counted on the lattice behind a cell, periodic images included."""

from collections import Counter
from collections.abc import Collection
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from moalloy_md.datasets.lattice_sites import PRIMITIVE, LatticeFit, hermite, site_indices


class Neighbours:
    """Neighbours of atoms by shell of the lattice: strain and displacements do not matter.

    Parameters
    ----------
    fit
        Sites of the atoms.
    """

    def __init__(self, fit: LatticeFit) -> None:
        self._fit = fit
        first, second, third = ((int(x), int(y), int(z)) for x, y, z in fit.supercell.tolist())
        self._period = hermite((first, second, third))

    @cached_property
    def _atom_at(self) -> dict[int, int]:
        indices = site_indices(self._fit.sites, self._period)
        return {index: atom for atom, index in enumerate(indices.tolist())}

    def of(self, atom: int, shell: int) -> list[int]:
        """Atoms in neighbour shell `shell` (from 1) of `atom`, one entry for each periodic image.

        In a small cell an atom may occur several times, and `atom` among its own neighbours. A
        vacant site is left out.
        """
        vectors = shell_vectors(self._fit.lattice, shell)[shell - 1]
        indices = site_indices(self._fit.sites[atom] + vectors, self._period).tolist()
        return [self._atom_at[index] for index in indices if index in self._atom_at]

    def between(self, i: int, j: int, *, n_shells: int) -> tuple[int, int] | None:
        """Nearest shell in which atom i has images of atom j, and how many; None if beyond."""
        for shell in range(1, n_shells + 1):
            n_contacts = self.of(i, shell).count(j)
            if n_contacts:
                return shell, n_contacts
        return None

    def contacts(self, atoms: Collection[int], shell: int) -> Counter[tuple[int, int]]:
        """Contacts of some atoms with each other in a shell, by pair of atoms ``(i, j)``, i ≤ j.

        Each contact counts once: n for an atom with n images of another, n/2 for one with n
        images of itself.
        """
        chosen = set(atoms)
        ends = Counter(
            (min(i, j), max(i, j)) for i in chosen for j in self.of(i, shell) if j in chosen
        )
        return Counter({pair: n // 2 for pair, n in ends.items()})  # each was met from either end


@cache
def shell_vectors(lattice: str, n_shells: int) -> tuple[NDArray[np.int64], ...]:
    """Vectors from a site to its neighbours, along the primitive vectors, shell by shell.

    Parameters
    ----------
    lattice
        ``bcc`` or ``fcc``.
    n_shells
        How many shells, nearest first.

    Returns
    -------
    tuple of ``(coordination, 3)``
        Whole numbers.
    """
    primitive = PRIMITIVE[lattice]
    inverse = np.linalg.inv(primitive)
    reach = 1.0  # in cubic edges
    while True:
        # |m_i| is at most the distance times the length of the i-th reciprocal vector.
        n = int(np.ceil(reach * np.linalg.norm(inverse, axis=0).max()))
        grid = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), axis=-1)
        vectors = grid.reshape(-1, 3).astype(np.int64)
        # Points of both lattices are whole numbers of half cubic edges: exact.
        squares = np.rint((2 * vectors @ primitive) ** 2).sum(axis=1).astype(np.int64)
        radii = np.unique(squares[(squares > 0) & (squares <= (2 * reach) ** 2)])
        if len(radii) >= n_shells:
            return tuple(vectors[squares == radius] for radius in radii[:n_shells])
        reach += 1.0
