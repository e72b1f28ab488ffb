"""Whether two cells are the same crystal: turned, mirrored, shifted, atoms listed otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
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
_GOLDEN = 0.6180339887498949


def surroundings(atoms: Atoms) -> NDArray[np.float64]:
    """One number an atom that tells its surroundings, the same in every orientation and order.

    s_i = w(Z_i) Σ_j (1 + w(Z_j)) (1 − r_ij² / r_c²)² over the neighbours j, with r_c = `SURROUNDINGS_RANGE_ANGSTROM` and w a different number from 1 to 2 for each element.
    It changes by less than about 2 per Å that a neighbour moves.

    Parameters
    ----------
    atoms
        A cell; positions in Å.

    Returns
    -------
    numpy.ndarray
        ``(n_atoms,)``.
    """
    i, j, r = neighbour_list("ijd", atoms, SURROUNDINGS_RANGE_ANGSTROM)
    weights = 1 + (atoms.numbers * _GOLDEN) % 1
    terms = (1 + weights[j]) * (1 - (r / SURROUNDINGS_RANGE_ANGSTROM) ** 2) ** 2
    numbers: NDArray[np.float64] = weights * np.bincount(i, weights=terms, minlength=len(atoms))
    return numbers


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
    slack = 30 * tolerance_angstrom  # 14 neighbours, each up to 2 per Å
    if np.abs(np.sort(environments[0]) - np.sort(environments[1])).max() > slack:
        return False
    cell, bases = _common_bases(one, other, tolerance_angstrom)
    fixed = _Points(_scaled(one, cell), one.numbers)
    anchor = _rarest(environments[0], slack)
    partners = np.flatnonzero(
        (other.numbers == one.numbers[anchor])
        & (np.abs(environments[1] - environments[0][anchor]) <= slack)
    )
    for basis in bases:
        turned = _scaled(other, basis)
        for partner in partners:
            moved = _Points(turned - turned[partner] + fixed.scaled[anchor], other.numbers)
            if _coincide(fixed, moved, cell, tolerance_angstrom):
                return True
    return False


def _common_bases(
    one: Atoms, other: Atoms, tolerance: float
) -> tuple[NDArray[np.float64], Iterator[NDArray[np.float64]]]:
    """Reduced cell vectors of `one`, and those of `other` that have the same shape."""
    cell = minkowski_reduce(one.cell.array)[0]
    gram = cell @ cell.T
    vectors = _SMALL @ minkowski_reduce(other.cell.array)[0]
    slack = 4 * tolerance * np.sqrt(np.diag(gram)).max()
    norms = (vectors**2).sum(axis=1)
    near = [vectors[np.abs(norms - gram[k, k]) < slack] for k in range(3)]

    def bases() -> Iterator[NDArray[np.float64]]:
        for a, b in product(near[0], near[1]):
            if abs(a @ b - gram[0, 1]) < slack:
                for c in near[2]:
                    if abs(a @ c - gram[0, 2]) < slack and abs(b @ c - gram[1, 2]) < slack:
                        yield np.array([a, b, c])

    return cell, bases()


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


@dataclass(frozen=True, eq=False)
class _Points:
    """Atoms of a cell: coordinates along its cell vectors, ``(n, 3)``, and atomic numbers."""

    scaled: NDArray[np.float64]
    numbers: NDArray[np.int64]


def _coincide(fixed: _Points, moved: _Points, cell: NDArray[np.float64], tolerance: float) -> bool:
    """Whether two sets of atoms coincide up to a shift of about the tolerance."""
    few = _Points(fixed.scaled[:4], fixed.numbers[:4])
    if (_to_nearest(few, moved, cell)[1] > 4 * tolerance).any():
        return False
    nearest, distances = _to_nearest(fixed, moved, cell)
    if (distances > 4 * tolerance).any() or len(np.unique(nearest)) < len(nearest):
        return False
    offsets = moved.scaled[nearest] - fixed.scaled
    offsets = (offsets - np.rint(offsets)) @ cell
    residual = np.linalg.norm(offsets - offsets.mean(axis=0), axis=1)
    return bool(residual.max() <= tolerance)


def _to_nearest(
    fixed: _Points, moved: _Points, cell: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Nearest atom of the same element in `moved` for each in `fixed`; distances, Å."""
    offsets = moved.scaled[None, :] - fixed.scaled[:, None]
    offsets -= np.rint(offsets)  # exact for the short distances that matter
    distances = np.linalg.norm(offsets @ cell, axis=2)
    distances[fixed.numbers[:, None] != moved.numbers[None, :]] = np.inf
    nearest = distances.argmin(axis=1)
    return nearest, distances[np.arange(len(nearest)), nearest]
