"""Lattice planes of cubic crystals: how a crystal is stacked, and cells in the plane.

Vectors of a crystal are whole numbers of halves of the cubic edge, as in `moalloy_md.structures.lattice`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import gcd

import numpy as np
from numpy.typing import NDArray

from moalloy_md.structures.lattice import LatticeName, primitive_vectors

Miller = tuple[int, int, int]

#: Combinations of vectors in which a rectangular cell is looked for.
_REACH = 8
#: A rectangular cell so many times larger than the smallest is preferred to an oblique one.
_RECTANGLE_FACTOR = 4.0
_EPSILON = 1e-6


@dataclass(frozen=True)
class Layers:
    """A crystal as a stack of lattice planes, whole numbers of halves of the cubic edge.

    Attributes
    ----------
    plane
        Miller indices, the normal that points upwards.
    in_plane
        Primitive vectors of one lattice plane as rows, ``(2, 3)``.
    step
        From a lattice plane to the next above it, ``(3,)``.
    """

    plane: Miller
    in_plane: NDArray[np.int64]
    step: NDArray[np.int64]

    @property
    def spacing(self) -> float:
        """Distance of neighbouring planes over the cubic edge."""
        return float(self.step @ self.plane) / (2 * float(np.linalg.norm(self.plane)))


def layers(lattice: LatticeName, plane: Miller) -> Layers:
    """Take a crystal apart into its lattice planes.

    Parameters
    ----------
    lattice
        Of the crystal.
    plane
        Miller indices in the cubic axes, without a common divisor.
    """
    in_plane, steps = split_lattice(primitive_vectors(lattice), np.array(plane))
    step = steps[0] * np.sign(steps[0] @ plane)
    return Layers(plane, shortest(in_plane), step)


def split_lattice(
    vectors: NDArray[np.int64], normal: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Combine vectors of a lattice, by Euclid's algorithm, such that at most one leaves a plane.

    Parameters
    ----------
    vectors
        That generate the lattice, ``(n, dim)``.
    normal
        Of the plane, ``(dim,)``.

    Returns
    -------
    in_plane, out_of_plane
        They generate the same lattice; of the second there is one, or none.
    """
    rows = vectors.copy()
    while np.count_nonzero(heights := rows @ normal) > 1:
        used = np.flatnonzero(heights)
        smallest = used[np.argmin(np.abs(heights[used]))]
        for row in used:
            if row != smallest:
                rows[row] -= (heights[row] // heights[smallest]) * rows[smallest]
    return rows[heights == 0], rows[heights != 0]


def orientation_of(
    vector: NDArray[np.int64] | NDArray[np.float64], plane: Miller
) -> NDArray[np.float64]:
    """Crystal coordinates to those of a cell with x along a vector and z along a plane's normal.

    Returns
    -------
    array
        ``(3, 3)``, ``x_cell = orientation @ x_crystal``.
    """
    x, z = vector / np.linalg.norm(vector), np.array(plane) / np.linalg.norm(plane)
    return np.array([x, np.cross(z, x), z])


def rectangle(vectors: NDArray[np.int64], plane: Miller) -> NDArray[np.int64]:
    """Return the smallest rectangular cell of a lattice in a plane, or its own where that is large."""
    combined = np.array(list(_combinations())) @ vectors
    area = np.linalg.norm(np.cross(*vectors))
    lengths = (combined**2).sum(axis=1)
    pairs = [
        (lengths[i] * lengths[j], i, j)
        for i, j in combinations(range(len(combined)), 2)
        if combined[i] @ combined[j] == 0
    ]
    if pairs:
        squared, i, j = min(pairs)
        if np.sqrt(squared) <= _RECTANGLE_FACTOR * area + _EPSILON:
            vectors = np.array(
                sorted(combined[[i, j]].tolist(), key=lambda v: sum(x * x for x in v))
            )
    if np.dot(np.cross(*vectors), plane) < 0:
        vectors = np.array([vectors[0], -vectors[1]])
    return vectors


def _combinations() -> Iterator[tuple[int, int]]:
    """Factors of two vectors, of each line through the origin the shortest."""
    for i in range(_REACH + 1):
        for j in range(-_REACH, _REACH + 1):
            if gcd(i, j) == 1 and (i > 0 or j > 0):
                yield i, j


def shortest(basis: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reduce a basis of two vectors to the shortest ones (Lagrange)."""
    a, b = basis
    while True:
        if a @ a > b @ b:
            a, b = b, a
        factor = int(np.rint((a @ b) / (a @ a)))
        if factor == 0:
            return np.array([a, b])
        b = b - factor * a


def points_in(cell: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a plane lattice within a cell of it, ``(n, 2)``."""
    corners = np.array([[0, 0], cell[0], cell[1], cell[0] + cell[1]]) @ np.linalg.inv(vectors)
    low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 1
    factors = np.stack(np.meshgrid(*map(np.arange, low, high + 1), indexing="ij"), -1).reshape(
        -1, 2
    )
    points = factors @ vectors
    inside = points @ np.linalg.inv(cell)
    return np.asarray(points[((inside > -1e-6) & (inside < 1 - 1e-6)).all(axis=1)])


def wide_enough(cell: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Repeat a plane cell until it is as wide as wanted between its opposite sides."""
    lengths = np.linalg.norm(cell, axis=1)
    widths = abs(np.linalg.det(cell)) / lengths[::-1]
    return np.asarray(cell * np.ceil(width / widths - 1e-9).clip(1)[:, None])


def stacked(
    points: NDArray[np.float64], step: NDArray[np.float64], n_planes: int
) -> NDArray[np.float64]:
    """Positions of lattice planes on top of each other, ``(n_planes * n_points, 3)``, from z = 0 up.

    Parameters
    ----------
    points
        Of one plane, ``(n_points, 2)``.
    step
        From a plane to the next, ``(3,)``.
    n_planes
        How many.
    """
    flat = np.column_stack([points, np.zeros(len(points))])
    return np.asarray((flat[None] + np.arange(n_planes)[:, None, None] * step).reshape(-1, 3))


def reduced(indices: "Miller | list[int]") -> Miller:
    """Miller indices without a common divisor."""
    divisor = gcd(*indices)
    h, k, l = (int(index) // divisor for index in indices)  # noqa: E741  Miller's names
    return h, k, l


def indices_text(indices: Miller) -> str:
    """Say Miller indices: ``[3 1 0]``."""
    return f"[{' '.join(map(str, indices))}]"
