"""Decorations: which element stands on which site of a lattice, told apart up to symmetry.

Relaxed, strained and unrelaxed cells of one arrangement of the elements are one decoration,
wherever the cell's origin is, however it is turned or mirrored, in whatever order its atoms are
listed, and whichever supercell of the same crystal was computed. So they belong in one group.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product

import numpy as np
from ase import Atoms
from ase.formula import Formula
from numpy.typing import NDArray

from moalloy_md.datasets.lattice_sites import (
    PRIMITIVE,
    IntMatrix,
    LatticeFit,
    all_sites,
    fit_lattice,
    hermite,
    site_indices,
)


@dataclass(frozen=True)
class Decoration:
    """An arrangement of elements on the sites of a lattice, up to symmetry.

    Attributes
    ----------
    lattice
        ``bcc`` or ``fcc``.
    period
        Smallest period of the arrangement, a Hermite normal form in primitive vectors.
    elements
        Atomic number of each site of that period, 0 for a vacant one; of all the ways to write
        the arrangement down the first in alphabetical order.
    """

    lattice: str
    period: IntMatrix
    elements: bytes

    @property
    def name(self) -> str:
        """Such as ``Mo15W-bcc-1f0c9a2e``: elements of the period, lattice, hash; ``Mo-bcc``."""
        symbols = Atoms(numbers=[z for z in self.elements if z]).symbols
        formula = str(Formula(str(symbols)).convert("metal"))
        if len(self.elements) == 1:
            return f"{formula}-{self.lattice}"
        text = f"{self.lattice}{self.period}".encode() + self.elements
        return f"{formula}-{self.lattice}-{hashlib.sha256(text).hexdigest()[:8]}"


def find_decoration(atoms: Atoms) -> Decoration | None:
    """Return the decoration of a cell; None if its atoms fit no bcc or fcc lattice."""
    fit = fit_lattice(atoms)
    return None if fit is None else decoration(fit, atoms.numbers)


def decoration(fit: LatticeFit, numbers: Sequence[int] | NDArray[np.int64]) -> Decoration:
    """Return the decoration of a cell whose atoms were mapped onto lattice sites.

    Parameters
    ----------
    fit
        Sites of the atoms.
    numbers
        Atomic numbers, ``(n_atoms,)``.
    """
    basis = hermite(tuple(map(tuple, fit.supercell.tolist())))
    elements = np.zeros(len(numbers) + fit.n_vacant, dtype=np.uint8)
    elements[site_indices(fit.sites, basis)] = numbers
    basis, elements = _smallest_period(basis, elements)
    period, operations = _canonical_period(basis, fit.lattice)
    sites = all_sites(basis)
    first = min(
        _first_text(sites @ operation, elements, period) for operation in operations
    )
    return Decoration(fit.lattice, period, first)


def _rarest(elements: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Indices of the sites of the rarest element (the lighter of two that are equally rare)."""
    kinds, counts = np.unique(elements, return_counts=True)
    return np.flatnonzero(elements == kinds[counts.argmin()])


def _smallest_period(
    basis: IntMatrix, elements: NDArray[np.uint8]
) -> tuple[IntMatrix, NDArray[np.uint8]]:
    """Add the translations that leave the arrangement as it is to its period."""
    sites = all_sites(basis)
    rare = _rarest(elements)
    shifts = sites[rare] - sites[rare[0]]
    if len(rare) == len(sites):
        return hermite(((1, 0, 0), (0, 1, 0), (0, 0, 1))), elements[:1]
    moved = elements[site_indices(sites + shifts[:, None], basis)]
    kept = shifts[(moved == elements).all(axis=1)]
    smaller = hermite((*basis, *(tuple(shift) for shift in kept.tolist() if any(shift))))
    return smaller, elements[site_indices(all_sites(smaller), basis)]


def _first_text(
    sites: NDArray[np.int64], elements: NDArray[np.uint8], period: IntMatrix
) -> bytes:
    """Write the arrangement from each rarest site as origin; return the first text."""
    rare = _rarest(elements)
    places = site_indices(sites[None, :] - sites[rare][:, None], period)
    texts = np.zeros(places.shape, dtype=np.uint8)
    np.put_along_axis(texts, places, np.broadcast_to(elements, places.shape), axis=1)
    return min(row.tobytes() for row in texts)


@lru_cache(maxsize=4096)
def _canonical_period(
    basis: IntMatrix, lattice: str
) -> tuple[IntMatrix, tuple[NDArray[np.int64], ...]]:
    """First of the periods that symmetry makes of one, and the operations that lead to it."""
    rows = np.array(basis)
    images = [
        (hermite(tuple(map(tuple, (rows @ operation).tolist()))), operation)
        for operation in _operations(lattice)
    ]
    period = min(image for image, _ in images)
    return period, tuple(operation for image, operation in images if image == period)


@lru_cache(maxsize=2)
def _operations(lattice: str) -> tuple[NDArray[np.int64], ...]:
    """Return the 48 operations of the cubic point group as they act on sites (row vectors)."""
    primitive = PRIMITIVE[lattice]
    inverse = np.linalg.inv(primitive)
    operations = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            cubic = np.eye(3)[list(order)] * np.array(signs)
            operations.append(np.rint(primitive @ cubic @ inverse).astype(np.int64))
    return tuple(operations)
