"""Whether two cells are the same crystal: turned, mirrored, shifted, atoms listed otherwise."""

from collections.abc import Iterator
from itertools import product

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

#: A basis that is Minkowski-reduced has all others of the same shape at such coefficients.
_SMALL = np.array([row for row in product((-1, 0, 1), repeat=3) if any(row)])

#: Range of `surroundings`, Å: first and second neighbours of bcc and fcc metals.
SURROUNDINGS_RANGE_ANGSTROM = 3.6
_MOST_SOLUTES = 16

#: How much the surroundings change per Å that all atoms move: in bcc Mo at most 31 (each neighbour
#: straight towards the atom), and 6 in the root mean square for directions at random.
_MOST_CHANGE = 31
_USUAL_CHANGE = 8
_GOLDEN = 0.6180339887498949


def surroundings(
    atoms: Atoms,
    neighbours: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]] | None = None,
) -> NDArray[np.float64]:
    """One number an atom that tells its surroundings, the same in every orientation and order.

    s_i = w(Z_i) Σ_j (1 + w(Z_j)) (1 − r_ij² / r_c²)² over the neighbours j, with r_c = `SURROUNDINGS_RANGE_ANGSTROM` and w a different number from 1 to 2 for each element.
    It changes by less than about 2 per Å that a neighbour moves.

    Parameters
    ----------
    atoms
        A cell; positions in Å.
    neighbours
        Indices i and j and distances (Å) of all pairs closer than r_c, where known already.

    Returns
    -------
    numpy.ndarray
        ``(n_atoms,)``.
    """
    i, j, r = neighbours or neighbour_list("ijd", atoms, SURROUNDINGS_RANGE_ANGSTROM)
    weights = 1 + (atoms.numbers * _GOLDEN) % 1
    terms = (1 + weights[j]) * (1 - (r / SURROUNDINGS_RANGE_ANGSTROM) ** 2) ** 2
    numbers: NDArray[np.float64] = weights * np.bincount(i, weights=terms, minlength=len(atoms))
    return numbers


def alike(
    one: NDArray[np.float64], others: NDArray[np.float64], tolerance_angstrom: float
) -> NDArray[np.bool_]:
    """Whether two cells may be the same, by the sorted `surroundings` of their atoms.

    Parameters
    ----------
    one
        ``(n_atoms,)``, ascending.
    others
        ``(..., n_atoms)``, ascending along the last axis.
    tolerance_angstrom
        How far atoms may be from their counterparts, in directions that have nothing in common.
    """
    change = np.abs(others - one)
    likely = np.sqrt((change**2).mean(axis=-1)) <= _USUAL_CHANGE * tolerance_angstrom
    same: NDArray[np.bool_] = likely & (change.max(axis=-1) <= _MOST_CHANGE * tolerance_angstrom)
    return same


def solute_distances(atoms: Atoms) -> NDArray[np.float64]:
    """Distances that tell ideal solid solutions apart, the same in every orientation and order.

    Parameters
    ----------
    atoms
        A cell; positions in Å.

    Returns
    -------
    numpy.ndarray
        Shortest distance, Å, between each two atoms that are not of the most frequent element, sorted
        within each pair of elements; empty where there are more than 16 such atoms.
    """
    kinds, counts = np.unique(atoms.numbers, return_counts=True)
    solutes = np.flatnonzero(atoms.numbers != kinds[counts.argmax()])
    if len(solutes) < 2 or len(solutes) > _MOST_SOLUTES:
        return np.empty(0)
    cell = minkowski_reduce(atoms.cell.array)[0]
    i, j = np.triu_indices(len(solutes), k=1)
    apart = _scaled(atoms[solutes], cell)
    apart = apart[j] - apart[i]
    images = (apart - np.rint(apart))[:, None] + np.vstack([np.zeros(3), _SMALL])
    distances = np.linalg.norm(images @ cell, axis=2).min(axis=1)
    pairs = np.sort(atoms.numbers[solutes][np.stack([i, j])], axis=0)
    ordered: NDArray[np.float64] = distances[np.lexsort((distances, pairs[1], pairs[0]))]
    return ordered


def same_crystal(
    one: Atoms,
    other: Atoms,
    *,
    tolerance_angstrom: float = 1e-3,
    surroundings_of: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> bool:
    """Whether an isometry takes one periodic cell into the other, element by element.

    The cell vectors may be chosen differently, as long as they span the same period: a cell and
    its supercell are not the same.

    Parameters
    ----------
    one, other
        Periodic cells; positions in Å.
    tolerance_angstrom
        How far an atom may be from its counterpart, beyond a common shift.
    surroundings_of
        What `surroundings` gave for the two, where it is known already.
    """
    if len(one) != len(other) or sorted(one.numbers) != sorted(other.numbers):
        return False
    if (one.pbc != other.pbc).any() or min(one.cell.rank, other.cell.rank) < 3:
        return False
    environments = surroundings_of or (surroundings(one), surroundings(other))
    slack = _MOST_CHANGE * tolerance_angstrom
    if not alike(np.sort(environments[0]), np.sort(environments[1]), tolerance_angstrom):
        return False
    cell = minkowski_reduce(one.cell.array)[0]
    turned_cell = minkowski_reduce(other.cell.array)[0]
    fixed, turned = _scaled(one, cell), _scaled(other, turned_cell)
    anchor = _rarest(environments[0], slack)
    partners = np.flatnonzero(
        (other.numbers == one.numbers[anchor])
        & (np.abs(environments[1] - environments[0][anchor]) <= slack)
    )
    unlike = one.numbers[:, None] != other.numbers[None, :]
    for change in _common_bases(cell, turned_cell, tolerance_angstrom):
        moved = turned @ np.linalg.inv(change)  # coordinates along the new basis
        for partner in partners:
            shifted = moved + (fixed[anchor] - moved[partner])
            if _coincide(fixed, shifted, unlike, cell, tolerance_angstrom):
                return True
    return False


def _common_bases(
    cell: NDArray[np.float64], turned: NDArray[np.float64], tolerance: float
) -> Iterator[NDArray[np.float64]]:
    """Integer combinations of the rows of `turned` (reduced) that have the shape of `cell`."""
    gram = cell @ cell.T
    vectors = _SMALL @ turned
    slack = 4 * tolerance * np.sqrt(np.diag(gram)).max()
    dots = vectors @ vectors.T
    near = [np.flatnonzero(np.abs(np.diag(dots) - gram[k, k]) < slack) for k in range(3)]
    for a, b in product(near[0], near[1]):
        if abs(dots[a, b] - gram[0, 1]) < slack:
            for c in near[2]:
                if abs(dots[a, c] - gram[0, 2]) < slack and abs(dots[b, c] - gram[1, 2]) < slack:
                    yield _SMALL[[a, b, c]]


def _scaled(atoms: Atoms, cell: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = np.linalg.solve(cell.T, atoms.positions.T).T
    return scaled


def _rarest(environments: NDArray[np.float64], slack: float) -> int:
    """Return the atom whose surroundings the fewest others share."""
    ordered = np.sort(environments)
    alike = np.searchsorted(ordered, environments + slack) - np.searchsorted(
        ordered, environments - slack
    )
    return int(alike.argmin())


def _coincide(
    fixed: NDArray[np.float64],
    moved: NDArray[np.float64],
    unlike: NDArray[np.bool_],
    cell: NDArray[np.float64],
    tolerance: float,
) -> bool:
    """Whether two sets of atoms (coordinates along `cell`) coincide up to a small shift.

    ``unlike[i, j]`` says that atom i of the one and atom j of the other are different elements.
    """
    if (_to_nearest(fixed[:4], moved, unlike[:4], cell)[1] > 4 * tolerance).any():
        return False
    nearest, distances = _to_nearest(fixed, moved, unlike, cell)
    if (distances > 4 * tolerance).any() or len(np.unique(nearest)) < len(nearest):
        return False
    offsets = moved[nearest] - fixed
    offsets = (offsets - np.rint(offsets)) @ cell
    residual = np.linalg.norm(offsets - offsets.mean(axis=0), axis=1)
    return bool(residual.max() <= tolerance)


def _to_nearest(
    fixed: NDArray[np.float64],
    moved: NDArray[np.float64],
    unlike: NDArray[np.bool_],
    cell: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Nearest atom of the same element in `moved` for each in `fixed`; distances, Å."""
    offsets = moved[None, :] - fixed[:, None]
    offsets -= np.rint(offsets)  # exact for the short distances that matter
    squares = ((offsets @ cell) ** 2).sum(axis=2)
    squares[unlike] = np.inf
    nearest = squares.argmin(axis=1)
    return nearest, np.sqrt(squares[np.arange(len(nearest)), nearest])
