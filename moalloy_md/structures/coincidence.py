"""Coincidence-site lattices of cubic crystals: what two grains have in common at a boundary.

A boundary is named by the axis and the Σ of its rotation and by its plane, in the coordinates of the
lower grain: Σ5 [001] (310). All vectors
here are whole numbers of halves of the cubic edge where they belong to a crystal, and Å over the edge
where they belong to the cell.
"""

from dataclasses import dataclass
from functools import cached_property
from math import gcd, isqrt

import numpy as np
from numpy.typing import NDArray

from moalloy_md.errors import ConfigError, MoAlloyError
from moalloy_md.structures.lattice import LatticeName, cubic_rotations
from moalloy_md.structures.planes import (
    Layers,
    Miller,
    indices_text,
    layers,
    orientation_of,
    rectangle,
    reduced,
    shortest,
    split_lattice,
)

_EPSILON = 1e-6

#: Largest cell in the boundary plane, in squares of the cubic edge: with 20 Å of both grains some
#: 50,000 atoms of Mo.
_MAX_AREA = 200


@dataclass(frozen=True)
class Coincidence:
    """Two grains of one crystal that share a coincidence-site lattice, and a plane between them.

    The cell's x is along its first vector, z along the normal of the plane, upwards.

    Attributes
    ----------
    sigma
        Volume of the coincidence lattice's primitive cell over that of the crystal.
    axis
        Of the rotation, the same in both grains.
    angle_deg
        Of the rotation, degrees.
    lower, upper
        The grains' lattice planes; their Miller indices are those of each grain's own axes.
    orientations
        ``(2, 3, 3)``: crystal coordinates of the lower and of the upper grain to those of the cell,
        ``x_cell = orientation @ x_crystal``.
    plane_cell
        Vectors in the boundary plane after which both grains repeat, as rows, ``(2, 2)``, over the
        cubic edge; rectangular where a small one is.
    """

    sigma: int
    axis: Miller
    angle_deg: float
    lower: Layers
    upper: Layers
    orientations: NDArray[np.float64]
    plane_cell: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area of the cell in the boundary plane over the square of the cubic edge."""
        return float(abs(np.linalg.det(self.plane_cell)))

    @property
    def is_symmetric(self) -> bool:
        """Whether both grains end with the same kind of lattice plane."""
        return sorted(map(abs, self.lower.plane)) == sorted(map(abs, self.upper.plane))

    @property
    def kind(self) -> str:
        """``tilt`` (the axis lies in the plane), ``twist`` (it is its normal), or ``mixed``."""
        if not np.any(np.cross(self.axis, self.lower.plane)):
            return "twist"
        return "tilt" if np.dot(self.axis, self.lower.plane) == 0 else "mixed"

    def in_plane(self, grain: int) -> NDArray[np.float64]:
        """Primitive vectors of a lattice plane in the cell, as rows, ``(2, 2)``, over the edge."""
        vectors = (self.lower, self.upper)[grain].in_plane / 2 @ self.orientations[grain].T
        return np.asarray(vectors[:, :2], dtype=np.float64)

    def step(self, grain: int) -> NDArray[np.float64]:
        """From a lattice plane to the next above it in the cell, ``(3,)``, over the edge."""
        return np.asarray(
            self.orientations[grain] @ ((self.lower, self.upper)[grain].step / 2), dtype=np.float64
        )

    @cached_property
    def displacement_cell(self) -> NDArray[np.float64]:
        """Primitive vectors of the displacements that change nothing, as rows, ``(2, 2)``.

        Moving the upper grain by a vector of a lattice plane of either grain gives the same boundary:
        shifts differ only within the cell of the sum of both plane lattices. Over the cubic edge.
        """
        rotation = (
            self.orientations[0].T @ self.orientations[1]
        )  # upper grain's axes to the lower's
        scaled = np.rint(rotation * self.sigma)
        in_lower = np.vstack([self.sigma * self.lower.in_plane, self.upper.in_plane @ scaled.T])
        basis = shortest(_lattice_basis(np.rint(in_lower).astype(np.int64)))
        vectors = basis / (2 * self.sigma) @ self.orientations[0].T
        return np.asarray(vectors[:, :2], dtype=np.float64)

    def equivalent_shifts(
        self, shift: NDArray[np.float64], *, exchange: bool = True
    ) -> NDArray[np.float64]:
        """Shifts that give the same boundary, turned or mirrored, ``(n, 2)``, over the cubic edge.

        Of the operations of the cube those that leave both grains and the normal as they are, and those
        that exchange the grains and turn the normal round; each holds but for a displacement that
        changes nothing.

        Parameters
        ----------
        shift
            Of the upper grain from where the grains have a coincidence site in the boundary, ``(2,)``.
        exchange
            Whether to count those that exchange the grains.
        """
        one, two = self.orientations
        maps = [
            g[:2, :2]
            for g in (one @ o @ one.T for o in cubic_rotations())
            if _is_cubic(two.T @ g @ two) and abs(g[2, 2] - 1) < _EPSILON
        ]
        if exchange:
            maps += [
                -g[:2, :2]
                for g in (two @ o @ one.T for o in cubic_rotations())
                if _is_cubic(one.T @ g @ two) and abs(g[2, 2] + 1) < _EPSILON
            ]
        from_plane_to_plane = self.step(1)[:2]  # how the planes at the boundary lie at no shift
        return np.array([m @ (shift + from_plane_to_plane) - from_plane_to_plane for m in maps])

    def smallest_shift(
        self, shift: NDArray[np.float64], *, exchange: bool = True
    ) -> NDArray[np.float64]:
        """Smallest of all shifts that give the same boundary, ``(2,)``, over the cubic edge.

        Parameters
        ----------
        shift, exchange
            As of `equivalent_shifts`.
        """
        cell = self.displacement_cell
        images = self.equivalent_shifts(shift, exchange=exchange)
        factors = images @ np.linalg.inv(cell)
        inside = (factors - np.rint(factors)) @ cell
        near = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ cell
        every = (inside[:, None] + near[None]).reshape(-1, 2)
        # of those that are equally small the one farthest along x and y: the same one each time
        ranks = np.round(np.column_stack([-every[:, 1], -every[:, 0], np.hypot(*every.T)]), 6)
        return np.asarray(every[np.lexsort(ranks.T)[0]])


def coincidence(
    *, lattice: LatticeName, axis: Miller, sigma: int, plane: Miller, angle_deg: float | None = None
) -> Coincidence:
    """Find the rotation and the common cell of a boundary.

    Parameters
    ----------
    lattice
        Of the crystal.
    axis
        Of the rotation.
    sigma
        Density of lattice sites over that of coincidence sites; odd.
    plane
        Boundary plane in the lower grain's axes.
    angle_deg
        Angle of the rotation, degrees: one of those that have this Σ. Where None, the one with the
        smallest cell: for a plane that allows it, the symmetric boundary.

    Raises
    ------
    ConfigError
        If the axis has no rotation of this Σ, or none of this angle, or the plane has no small common
        cell.
    """
    axis, plane = reduced(axis), reduced(plane)
    angles = rotation_angles(axis, sigma)
    if angle_deg is not None:
        near = [angle for angle in angles if abs(angle - angle_deg) < 0.1]
        if not near:
            raise ConfigError(
                f"expected an angle of Σ{sigma} {indices_text(axis)}: "
                f"{', '.join(f'{angle:.2f}' for angle in angles)} degrees, found {angle_deg:g}"
            )
        angles = near
    found = [_coincidence(lattice, axis, sigma, plane, angle) for angle in angles]
    smallest = min(found, key=lambda one: (round(one.area, 6), one.angle_deg))
    if smallest.area > _MAX_AREA:
        raise ConfigError(
            f"plane: expected one with a common cell of at most {_MAX_AREA} squares of the cubic edge, "
            f"found {indices_text(plane)}, whose smallest with Σ{sigma} {indices_text(axis)} has "
            f"{smallest.area:.0f}. Choose lower indices"
        )
    return smallest


def rotation_angles(axis: Miller, sigma: int) -> list[float]:
    """Angles up to 180 degrees of the rotations about an axis that have this Σ.

    ``tan(θ/2) = (n/m) √N`` with ``N = h² + k² + l²``, where Σ is what remains of ``m² + N n²`` once it is
    divided by 2 as often as it can be (S. Ranganathan, Acta Crystallographica 21 (1966) 197).

    Raises
    ------
    ConfigError
        If there are none: the nearest Σ that the axis has are named.
    """
    found = _angles(axis, sigma)
    if not found:
        have = [s for s in range(3, max(sigma, 10) + 30, 2) if _angles(axis, s)]
        near = sorted(sorted(have, key=lambda s: abs(s - sigma))[:6])
        raise ConfigError(
            f"expected a Σ that rotations about {indices_text(axis)} have, such as "
            f"{', '.join(map(str, near))}, found {sigma}"
        )
    return found


def _angles(axis: Miller, sigma: int) -> list[float]:
    squared = sum(h * h for h in axis)
    found = set()
    for n in range(isqrt(4 * sigma // squared) + 2):
        for m in range(isqrt(4 * sigma) + 2):
            whole = m * m + squared * n * n
            while whole and whole % 2 == 0:
                whole //= 2
            if n and gcd(m, n) == 1 and whole == sigma:
                found.add(round(2 * np.degrees(np.arctan2(n * np.sqrt(squared), m)), 9))
    return sorted(float(angle) for angle in found)


def _coincidence(
    lattice: LatticeName, axis: Miller, sigma: int, plane: Miller, angle: float
) -> Coincidence:
    turn = _whole_rotation(axis, sigma, angle)
    lower = layers(lattice, plane)
    upper = layers(lattice, reduced((turn @ plane).tolist()))
    cell = rectangle(shortest(_common_plane(lower, upper, turn, sigma)), plane)
    orientation = orientation_of(cell[0], plane)
    return Coincidence(
        sigma=sigma,
        axis=axis,
        angle_deg=angle,
        lower=lower,
        upper=upper,
        orientations=np.array([orientation, orientation @ turn.T / sigma]),
        plane_cell=(cell / 2 @ orientation.T)[:, :2],
    )


def _whole_rotation(axis: Miller, sigma: int, angle: float) -> NDArray[np.int64]:
    """Σ times the rotation that takes directions of the lower grain's axes to the upper's, ``(3, 3)``."""
    from scipy.spatial.transform import Rotation

    unit = np.array(axis) / np.linalg.norm(axis)
    scaled = sigma * Rotation.from_rotvec(-np.radians(angle) * unit).as_matrix()
    whole: NDArray[np.int64] = np.rint(scaled).astype(np.int64)
    if np.abs(scaled - whole).max() > _EPSILON * sigma:
        raise MoAlloyError(  # `rotation_angles` gives none of these
            f"expected an angle of Σ{sigma} about {indices_text(axis)}, found {angle}"
        )
    return whole


def _common_plane(
    lower: Layers, upper: Layers, turn: NDArray[np.int64], sigma: int
) -> NDArray[np.int64]:
    """Basis of what a lattice plane of each grain have in common, ``(2, 3)``, in the lower's halves.

    The lattice that two lattices share is the reciprocal of the sum of their reciprocals
    (H. Grimmer, Acta Crystallographica A 30 (1974) 680). Whole numbers throughout. pymatgen-core's
    ``GrainBoundaryGenerator`` finds the same cells for low indices, and several times too large ones
    for Σ25 (710), Σ41 (910) and others.
    """
    one = lower.in_plane
    scaled = upper.in_plane @ turn  # Σ times the upper grain's vectors, in the lower's axes
    two = np.rint(np.linalg.lstsq(one.T, scaled.T)[0].T).astype(np.int64)  # in steps of `one`
    (a, b), (c, d) = two
    determinant = int(a * d - b * c)
    reciprocal = sigma * np.array([[d, -c], [-b, a]]) * np.sign(determinant)
    both = _lattice_basis(np.vstack([abs(determinant) * np.eye(2, dtype=np.int64), reciprocal]))
    common = np.rint(abs(determinant) * np.linalg.inv(both).T).astype(np.int64)
    return np.asarray(common @ one)


def _is_cubic(matrix: NDArray[np.float64]) -> bool:
    """Whether a rotation or reflection is one of the cube's."""
    return bool(np.abs(matrix - np.rint(matrix)).max() < _EPSILON)


def _lattice_basis(generators: NDArray[np.int64]) -> NDArray[np.int64]:
    """Basis of the lattice that whole-number vectors generate."""
    rows, basis = generators, list[NDArray[np.int64]]()
    for normal in np.eye(generators.shape[1], dtype=np.int64):
        rows, out_of_plane = split_lattice(rows, normal)
        basis.extend(out_of_plane)
    return np.array(basis)
