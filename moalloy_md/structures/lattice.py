"""The cubic lattices bcc and fcc: sites, neighbour shells, symmetry.

Everything here is exact, in whole numbers: a lattice point is counted in halves of the cubic
cell's edge a, ``r = a/2 · (x, y, z)``. Points of bcc have coordinates that are all even or all
odd, those of fcc an even sum. An integer length squared ``x² + y² + z²`` names a distance without
any rounding.
"""

from dataclasses import dataclass
from functools import cache
from itertools import permutations, product
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

LatticeName = Literal["bcc", "fcc"]
LATTICES: tuple[LatticeName, ...] = get_args(LatticeName)

#: Primitive vectors as rows, in halves of the cubic edge.
_PRIMITIVE: dict[LatticeName, tuple[tuple[int, int, int], ...]] = {
    "bcc": ((-1, 1, 1), (1, -1, 1), (1, 1, -1)),
    "fcc": ((0, 1, 1), (1, 0, 1), (1, 1, 0)),
}

#: Sites in a cubic cell.
SITES_PER_CUBE: dict[LatticeName, int] = {"bcc": 2, "fcc": 4}


@dataclass(frozen=True)
class Shell:
    """A neighbour shell of the infinite lattice.

    Attributes
    ----------
    number
        1 for the nearest neighbours.
    length_squared
        Square of the distance, in (a/2)².
    vectors
        ``(coordination, 3)``, in a/2, to every site of the shell.
    """

    number: int
    length_squared: int
    vectors: NDArray[np.int64]

    @property
    def radius(self) -> float:
        """Distance over the cubic edge a."""
        return float(np.sqrt(self.length_squared) / 2)


def primitive_vectors(lattice: LatticeName) -> NDArray[np.int64]:
    """Primitive vectors as rows, ``(3, 3)``, in halves of the cubic edge."""
    return np.array(_PRIMITIVE[lattice], dtype=np.int64)


@cache
def neighbour_shells(lattice: LatticeName, n_shells: int) -> tuple[Shell, ...]:
    """Return the first `n_shells` neighbour shells, nearest first."""
    reach = 2
    while True:
        lengths, vectors = _points(lattice, reach)
        # Shells beyond the edge of the cube of points are incomplete.
        complete = np.unique(lengths[(lengths > 0) & (lengths <= reach**2)])
        if len(complete) >= n_shells:
            break
        reach += 2
    return tuple(
        Shell(number, int(length), vectors[lengths == length])
        for number, length in enumerate(complete[:n_shells], start=1)
    )


@cache
def shell_number(lattice: LatticeName, length_squared: int) -> int:
    """Return the number of the shell at a distance whose square, in (a/2)², is `length_squared`."""
    n_shells = 1
    while True:
        shells = neighbour_shells(lattice, n_shells)
        if shells[-1].length_squared >= length_squared:
            break
        n_shells *= 2
    return next(s.number for s in shells if s.length_squared == length_squared)


@cache
def cubic_rotations() -> NDArray[np.int64]:
    """Return the 48 rotations and reflections of a cube, ``(48, 3, 3)``: signed permutations."""
    matrices = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.zeros((3, 3), dtype=np.int64)
            matrix[range(3), order] = signs
            matrices.append(matrix)
    return np.array(matrices)


def _points(lattice: LatticeName, reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lattice points within a cube around the origin, with their squared lengths."""
    axis = np.arange(-reach, reach + 1)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    if lattice == "bcc":
        points = points[(points % 2 == points[:, :1] % 2).all(axis=1)]
    else:
        points = points[points.sum(axis=1) % 2 == 0]
    return (points**2).sum(axis=1), points
