"""Decorations: which element stands on which site of a lattice, told apart up to symmetry.

Relaxed, strained and unrelaxed cells of one arrangement of the elements are one decoration,
wherever the cell's origin is, however it is turned or mirrored, in whatever order its atoms are
listed, and whichever supercell of the same crystal was computed. So they belong in one group.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.lattice_sites import (
    PRIMITIVE,
    IntMatrix,
    LatticeFit,
    all_sites,
    fit_lattice,
    hermite,
    shell_vectors,
    site_indices,
)
from moalloy_md.elements import symbol
from moalloy_md.structures.lattice import LatticeName, cubic_rotations


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

    lattice: LatticeName
    period: IntMatrix
    elements: bytes

    @property
    def name(self) -> str:
        """Such as ``Mo15W-bcc-1f0c9a2e``: elements of the period, lattice, hash; ``Mo-bcc``."""
        elements = formula(self.elements)
        if len(self.elements) == 1:
            return f"{elements}-{self.lattice}"
        text = f"{self.lattice}{self.period}".encode() + self.elements
        return f"{elements}-{self.lattice}-{hashlib.sha256(text).hexdigest()[:8]}"


def formula(numbers: Iterable[int]) -> str:
    """Chemical formula such as ``Mo15W``, elements in alphabetical order; 0 is left out."""
    counts = sorted((symbol(z), n) for z, n in Counter(numbers).items() if z)
    return "".join(f"{x}{n if n > 1 else ''}" for x, n in counts)


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
    basis, elements = _smallest_period(basis, elements, fit.lattice)
    period, operations = _canonical_period(basis, fit.lattice)
    sites = all_sites(basis)
    origins = _rarest(sites, elements, basis, fit.lattice)
    return Decoration(
        fit.lattice, period, _first_text(sites @ operations, origins, elements, period)
    )


def _rarest(
    sites: NDArray[np.int64], elements: NDArray[np.uint8], basis: IntMatrix, lattice: LatticeName
) -> NDArray[np.intp]:
    """Find the sites whose element and neighbours occur least often.

    Only these have to be tried as origin. Sums over whole shells do not depend on orientation.
    """
    kinds = elements.astype(np.int64)
    for shell in (1, 2):
        neighbours = sites[:, None] + shell_vectors(lattice, shell)
        around = elements[site_indices(neighbours, basis)].astype(np.int64)
        kinds = kinds * 1_000_003 + (around**3).sum(axis=1)
    _, kind_of, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    return np.flatnonzero(kind_of == counts.argmin())


def _smallest_period(
    basis: IntMatrix, elements: NDArray[np.uint8], lattice: LatticeName
) -> tuple[IntMatrix, NDArray[np.uint8]]:
    """Add the translations that leave the arrangement as it is to its period."""
    sites = all_sites(basis)
    rare = _rarest(sites, elements, basis, lattice)
    if len(np.unique(elements)) == 1:
        return hermite(((1, 0, 0), (0, 1, 0), (0, 0, 1))), elements[:1]
    shifts = sites[rare] - sites[rare[0]]
    moved = elements[site_indices(sites + shifts[:, None], basis)]
    kept = shifts[(moved == elements).all(axis=1)]
    smaller = hermite((*basis, *(tuple(shift) for shift in kept.tolist() if any(shift))))
    return smaller, elements[site_indices(all_sites(smaller), basis)]


def _first_text(
    sites: NDArray[np.int64],
    origins: NDArray[np.intp],
    elements: NDArray[np.uint8],
    period: IntMatrix,
) -> bytes:
    """Write the arrangement down from each of the origins; return the first text.

    `sites` is ``(n_operations, n_sites, 3)``: all sites after each operation.
    """
    places = site_indices(sites[:, None, :] - sites[:, origins][:, :, None], period)
    places = places.reshape(-1, len(elements))
    texts = np.empty(places.shape, dtype=np.uint8)
    texts[np.arange(len(places))[:, None], places] = elements
    return min(map(bytes, texts))


@lru_cache(maxsize=4096)
def _canonical_period(
    basis: IntMatrix, lattice: LatticeName
) -> tuple[IntMatrix, NDArray[np.int64]]:
    """First of the periods that symmetry makes of one; operations to it, ``(n, 3, 3)``."""
    rows = np.array(basis)
    images = [
        (hermite(tuple(map(tuple, (rows @ operation).tolist()))), operation)
        for operation in _operations(lattice)
    ]
    period = min(image for image, _ in images)
    return period, np.array([operation for image, operation in images if image == period])


@lru_cache(maxsize=2)
def _operations(lattice: LatticeName) -> NDArray[np.int64]:
    """Return the cubic point group as it acts on sites (row vectors), ``(48, 3, 3)``."""
    primitive = PRIMITIVE[lattice]
    operations: NDArray[np.int64] = np.rint(
        primitive @ cubic_rotations() @ np.linalg.inv(primitive)
    ).astype(np.int64)
    return operations
