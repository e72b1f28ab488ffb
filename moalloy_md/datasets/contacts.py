"""Who is whose neighbour, counted on the lattice behind a cell, periodic images included."""

from collections import Counter
from collections.abc import Collection
from functools import cached_property

from moalloy_md.datasets.lattice_sites import LatticeFit, hermite, shell_vectors, site_indices


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
        vectors = shell_vectors(self._fit.lattice, shell)
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
