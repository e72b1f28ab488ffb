"""Which site of a bcc or fcc lattice each atom of a cell stands on.

The cell may be any supercell of the lattice in any orientation, strained by some percent, with
displaced atoms and a few vacant sites. Rows are vectors throughout: a cell is ``(3, 3)`` with one
cell vector a row, a site three integers, its coordinates along the primitive vectors.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import gcd

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from moalloy_md.structures.lattice import (
    LATTICES,
    SITES_PER_CUBE,
    LatticeName,
    neighbour_shells,
    primitive_vectors,
)

#: Primitive vectors of each lattice, one a row, in units of the cubic cell's edge.
PRIMITIVE = {lattice: primitive_vectors(lattice) / 2 for lattice in LATTICES}

#: Largest principal logarithmic strain that a supercell is recognised under.
MAX_DISTORTION = 0.08
#: Largest displacement from a site, as a fraction of the nearest-neighbour distance.
_MAX_DISPLACEMENT = 0.3
#: How many supercells of nearly the same shape are tried on the atoms.
_N_TRIED = 6

_NEIGHBOURS = np.array(list(product((-1, 0, 1), repeat=3)))

IntMatrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, eq=False)
class LatticeFit:
    """The atoms of a cell as sites of a lattice.

    Attributes
    ----------
    lattice
        ``bcc`` or ``fcc``.
    supercell
        Cell vectors along the primitive vectors, ``(3, 3)`` integers, one cell vector a row.
    sites
        Site of each atom, ``(n_atoms, 3)`` integers; sites that differ by rows of `supercell`
        are periodic images.
    n_vacant
        Sites without an atom.
    displacements
        Of each atom from its site in the (strained) lattice, ``(n_atoms, 3)``, Å; mean zero.
    distortion
        Largest principal logarithmic strain of the cell against an undistorted lattice of the
        same volume.
    """

    lattice: LatticeName
    supercell: NDArray[np.int64]
    sites: NDArray[np.int64]
    n_vacant: int
    displacements: NDArray[np.float64]
    distortion: float

    @property
    def max_displacement_angstrom(self) -> float:
        """Largest distance of an atom from its site, Å."""
        return float(np.linalg.norm(self.displacements, axis=1).max())

    def is_ideal(self, *, displacement_angstrom: float = 0.01, distortion: float = 1e-3) -> bool:
        """Whether all atoms stand on the sites of an undistorted lattice (of any volume)."""
        return (
            self.max_displacement_angstrom <= displacement_angstrom
            and self.distortion <= distortion
        )


def fit_lattice(atoms: Atoms, *, max_vacancies: int = 2) -> LatticeFit | None:
    """Map the atoms of a periodic cell onto the sites of a bcc or fcc lattice.

    Parameters
    ----------
    atoms
        Periodic along all three cell vectors; positions in Å.
    max_vacancies
        How many sites may be empty, and no more than a tenth of them.

    Returns
    -------
    LatticeFit or None
        None where the atoms do not fit, each one to a site of its own: liquids, surfaces,
        interstitials, other crystal structures, strains above `MAX_DISTORTION`.
    """
    if not atoms.pbc.all() or abs(np.linalg.det(atoms.cell.array)) < 1e-6:
        return None
    cell = atoms.cell.array
    scaled = np.linalg.solve(cell.T, atoms.positions.T).T
    for supercells in (_aligned_supercell, _supercells):  # the quick way for all, then the other
        for n_vacant in range(min(max_vacancies, len(atoms) // 10) + 1):
            for lattice in LATTICES:
                for supercell, distortion in supercells(cell, len(atoms) + n_vacant, lattice):
                    found = _match(scaled, cell, supercell, lattice)
                    if found is not None:
                        sites, displaced = found
                        return LatticeFit(
                            lattice, supercell, sites, n_vacant, displaced, distortion
                        )
    return None


def _aligned_supercell(
    cell: NDArray[np.float64], n_sites: int, lattice: LatticeName
) -> list[tuple[NDArray[np.int64], float]]:
    """Find the supercell if the lattice's cubic axes lie along x, y and z, as they mostly do."""
    scaled = cell / _edge(cell, n_sites, lattice)
    aligned = np.rint(scaled @ np.linalg.inv(PRIMITIVE[lattice])).astype(np.int64)
    if round(abs(np.linalg.det(aligned))) != n_sites:
        return []
    distortion = float(_distortions(aligned, scaled @ scaled.T, lattice))
    return [(aligned, distortion)] if distortion < MAX_DISTORTION / 2 else []


def _supercells(
    cell: NDArray[np.float64], n_sites: int, lattice: LatticeName
) -> list[tuple[NDArray[np.int64], float]]:
    """Find supercells that have the shape of `cell`, in any orientation; the nearest first."""
    reduced, change = minkowski_reduce(cell / _edge(cell, n_sites, lattice))
    metric = tuple(np.round(reduced @ reduced.T, 5).ravel().tolist())
    back = np.rint(np.linalg.inv(change)).astype(np.int64)
    return [
        (back @ np.array(rows), distortion)
        for rows, distortion in _supercells_of_shape(metric, n_sites, lattice)
    ]


def _edge(cell: NDArray[np.float64], n_sites: int, lattice: LatticeName) -> float:
    """Edge of the cubic cell, Å."""
    return float((SITES_PER_CUBE[lattice] * abs(np.linalg.det(cell)) / n_sites) ** (1 / 3))


@lru_cache(maxsize=4096)
def _supercells_of_shape(
    metric: tuple[float, ...], n_sites: int, lattice: LatticeName
) -> list[tuple[IntMatrix, float]]:
    """Triples of lattice vectors whose lengths and angles are nearly those of a reduced cell."""
    gram = np.array(metric).reshape(3, 3)
    lengths = np.sqrt(np.diag(gram))
    vectors = _lattice_vectors(lattice, float(lengths.max() * np.exp(MAX_DISTORTION)))
    places = vectors @ PRIMITIVE[lattice]
    norms = np.linalg.norm(places, axis=1)
    near = [np.flatnonzero(np.abs(np.log(norms / length)) < MAX_DISTORTION) for length in lengths]
    slack = 2 * MAX_DISTORTION * np.outer(lengths, lengths)
    found: list[tuple[IntMatrix, float]] = []
    for first in _one_of_each_kind(places, near[0]):
        dots = places @ places[first]
        seconds = near[1][np.abs(dots[near[1]] - gram[0, 1]) < slack[0, 1]]
        thirds = near[2][np.abs(dots[near[2]] - gram[0, 2]) < slack[0, 2]]
        pairs = np.abs(places[seconds] @ places[thirds].T - gram[1, 2]) < slack[1, 2]
        i, j = np.nonzero(pairs)
        rows = vectors[np.stack([np.full(len(i), first), seconds[i], thirds[j]], axis=1)]
        rows = rows[np.rint(np.abs(np.linalg.det(rows))) == n_sites]
        distortions = _distortions(rows, gram, lattice)
        found += [
            (_as_matrix(rows[k]), float(distortions[k]))
            for k in np.flatnonzero(distortions < MAX_DISTORTION)
        ]
    found.sort(key=lambda item: (round(item[1], 9), item[0]))
    different: dict[tuple[tuple[int, ...], ...], tuple[IntMatrix, float]] = {}
    for rows, distortion in found:
        different.setdefault(_up_to_symmetry(np.array(rows), lattice), (rows, distortion))
    return list(different.values())[:_N_TRIED]


def _up_to_symmetry(rows: NDArray[np.int64], lattice: LatticeName) -> tuple[tuple[int, ...], ...]:
    """Cubic components of vectors, the same for all that the cubic point group makes of them.

    The group exchanges components and changes their signs, so sorting and a rule for the signs
    suffice.
    """
    columns = np.rint(2 * rows @ PRIMITIVE[lattice]).astype(int).T
    signs = [np.sign(column[np.flatnonzero(column)[0]]) for column in columns]
    return tuple(sorted(tuple((s * c).tolist()) for s, c in zip(signs, columns, strict=True)))


def _distortions(
    rows: NDArray[np.int64], gram: NDArray[np.float64], lattice: LatticeName
) -> NDArray[np.float64]:
    """Largest principal logarithmic strains that take supercells to a cell of this metric."""
    ideal = rows @ PRIMITIVE[lattice]
    stretches = np.linalg.eigvals(np.linalg.solve(ideal @ np.swapaxes(ideal, -1, -2), gram)).real
    strains: NDArray[np.float64] = np.abs(np.log(np.maximum(stretches, 1e-12))).max(axis=-1) / 2
    return strains


@lru_cache(maxsize=64)
def _lattice_vectors(lattice: LatticeName, longest: float) -> NDArray[np.int64]:
    inverse = np.linalg.inv(PRIMITIVE[lattice])
    n = int(np.ceil(longest * np.linalg.norm(inverse, axis=0).max()))
    grid = np.arange(-n, n + 1)
    vectors = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    norms = np.linalg.norm(vectors @ PRIMITIVE[lattice], axis=1)
    chosen: NDArray[np.int64] = vectors[(norms > 0) & (norms <= longest)]
    return chosen


def _one_of_each_kind(
    places: NDArray[np.float64], candidates: NDArray[np.intp]
) -> NDArray[np.intp]:
    """One of the vectors that the cubic point group takes into each other."""
    kinds = np.sort(np.abs(np.rint(2 * places[candidates])), axis=1)
    _, chosen = np.unique(kinds, axis=0, return_index=True)
    return candidates[chosen]


def _match(
    scaled: NDArray[np.float64],
    cell: NDArray[np.float64],
    supercell: NDArray[np.int64],
    lattice: LatticeName,
) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Nearest site of each atom and its displacement (Å); None if two atoms share one."""
    vectors = np.linalg.solve(supercell.astype(float), cell)  # strained primitive vectors
    along = scaled @ supercell
    # The phase of the mean of exp(2πix) is the origin that suits all atoms.
    along = along - np.angle(np.exp(2j * np.pi * along).mean(axis=0)) / (2 * np.pi)
    for _ in range(2):  # the second time about the mean of the displacements
        sites = np.rint(along).astype(np.int64)
        around = (along - sites)[:, None] - _NEIGHBOURS
        distances = np.linalg.norm(around @ vectors, axis=2)
        nearest = distances.argmin(axis=1)
        sites = sites + _NEIGHBOURS[nearest]
        displacements = (along - sites) @ vectors
        mean = displacements.mean(axis=0)
        along = along - np.linalg.solve(vectors.T, mean)
        displacements = displacements - mean
    edge = _edge(vectors, 1, lattice)
    limit = _MAX_DISPLACEMENT * neighbour_shells(lattice, 1)[0].radius * edge
    if np.linalg.norm(displacements, axis=1).max() > limit:
        return None
    indices = site_indices(sites, hermite(_as_matrix(supercell)))
    return None if len(np.unique(indices)) < len(sites) else (sites, displacements)


@lru_cache(maxsize=4096)
def hermite(rows: tuple[tuple[int, int, int], ...]) -> IntMatrix:
    """Hermite normal form: the one upper triangular basis of the lattice that `rows` span.

    Parameters
    ----------
    rows
        Three or more integer vectors of rank 3.

    Returns
    -------
    IntMatrix
        ``((a, b, c), (0, d, e), (0, 0, f))`` with a, d, f > 0, 0 ≤ b < d and 0 ≤ c, e < f.
    """
    left = [list(row) for row in rows]
    basis: list[list[int]] = []
    for column in range(3):
        pivot, left = _clear(left, column)
        basis.append(pivot)
    for upper, lower in ((0, 1), (0, 2), (1, 2)):
        factor = basis[upper][lower] // basis[lower][lower]
        basis[upper] = [x - factor * y for x, y in zip(basis[upper], basis[lower], strict=True)]
    return _as_matrix(np.array(basis))


def _clear(rows: list[list[int]], column: int) -> tuple[list[int], list[list[int]]]:
    """Combine `rows` so that only one, the first that is returned, has an entry in `column`."""
    rows = [list(row) for row in rows]
    while True:
        holders = [row for row in rows if row[column]]
        if not holders:
            raise ValueError("rows do not span three dimensions")  # our own invariant
        pivot = min(holders, key=lambda row: abs(row[column]))
        if len(holders) == 1:
            break
        for row in holders:
            if row is not pivot:
                factor = row[column] // pivot[column]
                row[:] = [x - factor * y for x, y in zip(row, pivot, strict=True)]
    sign = 1 if pivot[column] > 0 else -1
    rest = [row for row in rows if row is not pivot and gcd(*row)]
    return [sign * x for x in pivot], rest


def site_indices(sites: NDArray[np.int64], basis: IntMatrix) -> NDArray[np.int64]:
    """Give sites their numbers among those that are not images of each other, from 0.

    Parameters
    ----------
    sites
        ``(..., 3)`` integers.
    basis
        Periodicity, a Hermite normal form.
    """
    (a, b, c), (_, d, e), (_, _, f) = basis
    x, y, z = sites[..., 0], sites[..., 1], sites[..., 2]
    q = x // a
    x, y, z = x - q * a, y - q * b, z - q * c
    q = y // d
    y, z = y - q * d, z - q * e
    indices: NDArray[np.int64] = (x * d + y) * f + z % f
    return indices


@lru_cache(maxsize=64)
def all_sites(basis: IntMatrix) -> NDArray[np.int64]:
    """Sites of one period, ``(n_sites, 3)``, in the order of `site_indices`."""
    (a, _, _), (_, d, _), (_, _, f) = basis
    grid = np.meshgrid(np.arange(a), np.arange(d), np.arange(f), indexing="ij")
    return np.stack(grid, axis=-1).reshape(-1, 3).astype(np.int64)


@lru_cache(maxsize=64)
def shell_vectors(lattice: LatticeName, shell: int) -> NDArray[np.int64]:
    """Vectors from a site to its neighbours in a shell, as sites are counted.

    Parameters
    ----------
    lattice
        ``bcc`` or ``fcc``.
    shell
        1 for the nearest neighbours.

    Returns
    -------
    numpy.ndarray
        ``(coordination, 3)`` integers along the primitive vectors.
    """
    halves = neighbour_shells(lattice, shell)[-1].vectors
    along = halves @ np.linalg.inv(primitive_vectors(lattice))
    vectors: NDArray[np.int64] = np.rint(along).astype(np.int64)
    return vectors


def _as_matrix(rows: NDArray[np.int64]) -> IntMatrix:
    first, second, third = ((int(x), int(y), int(z)) for x, y, z in rows.tolist())
    return first, second, third
