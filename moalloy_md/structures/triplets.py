"""Which triangles of three dopants are different by symmetry, and how three elements fill them.

As for pairs (`moalloy_md.structures.pairs`) everything is in whole numbers: vectors of the lattice
in halves of the cubic edge. Two triangles are alike if a rotation or reflection of the cube and a
shift by a lattice vector take one to the other, dopant by dopant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from moalloy_md.errors import ConfigError
from moalloy_md.structures.host import HostCell, site_coordinates
from moalloy_md.structures.lattice import cubic_rotations, neighbour_shells, shell_number

IntArray = NDArray[np.int64]
_Canonical = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Triangle:
    """Three sites, standing for all that are like them.

    Attributes
    ----------
    sites
        Indices in `host_atoms`; the first is site 0.
    elements
        What is on them.
    shells
        Neighbour shells of the sides: of sites 0-1, 0-2 and 1-2 of `sites`.
    label
        The shells of the sides, ascending, with a letter where the same elements fill triangles of
        these sides in different ways: ``1-1-2a``.
    """

    sites: tuple[int, int, int]
    elements: tuple[str, str, str]
    shells: tuple[int, int, int]
    label: str

    @property
    def sides(self) -> tuple[tuple[str, str, int], ...]:
        """The two elements and the shell of each side."""
        (x, y, z), (first, second, third) = self.elements, self.shells
        return ((x, y, first), (x, z, second), (y, z, third))


def triangles(cell: HostCell, elements: Sequence[str], *, shells: Sequence[int]) -> list[Triangle]:
    """Find the compact triangles of three dopants, each once.

    Parameters
    ----------
    cell
        The host's supercell.
    elements
        Three chemical symbols, which may be alike.
    shells
        Each side of a triangle is in one of these neighbour shells. In bcc first and second
        neighbours form one triangle, 1-1-2.

    Returns
    -------
    list of Triangle
        By the shells of their sides.

    Raises
    ------
    ConfigError
        If no triangle has such sides, or the cell is so small that periodic images are as near.
    """
    order = {symbol: k for k, symbol in enumerate(sorted(set(elements)))}
    found: dict[_Canonical, tuple[IntArray, tuple[str, ...]]] = {}
    for points in _shapes(cell, shells):
        for filling in permutations(elements):
            key = _canonical(points, [order[symbol] for symbol in filling])
            found.setdefault(key, (points, filling))
    if not found:
        raise ConfigError(
            f"triplet_shells: expected shells that are the sides of a triangle in {cell.lattice}, "
            f"found {', '.join(map(str, shells))}: first and second neighbours are for bcc, first "
            "neighbours for fcc"
        )
    made = [_triangle(cell, points, filling) for points, filling in found.values()]
    return _with_letters(sorted(made, key=lambda t: (sorted(t.shells), t.sites, t.elements)))


def _shapes(cell: HostCell, shells: Sequence[int]) -> list[IntArray]:
    """Triangles as ``(3, 3)`` points, the first at the origin; each shape once."""
    known = {s.number: s for s in neighbour_shells(cell.lattice, max(shells)) if s.number in shells}
    lengths = {shell.length_squared for shell in known.values()}
    vectors = np.concatenate([shell.vectors for shell in known.values()])
    found: dict[_Canonical, IntArray] = {}
    for second, third in combinations(vectors, 2):
        if int(((third - second) ** 2).sum()) in lengths:
            points = np.array([np.zeros(3, dtype=np.int64), second, third])
            found.setdefault(_canonical(points, (0, 0, 0)), points)
    return list(found.values())


def _canonical(points: IntArray, colours: Sequence[int]) -> _Canonical:
    """Name a coloured triangle: the least of all ways to write it, any corner first, any rotation."""
    rotated = np.einsum("rij,pj->rpi", cubic_rotations(), points)
    return min(
        tuple(sorted((colour, *point) for colour, point in zip(colours, one, strict=True)))
        for origin in range(len(points))
        for one in (rotated - rotated[:, origin : origin + 1]).tolist()
    )


def _triangle(cell: HostCell, points: IntArray, filling: Sequence[str]) -> Triangle:
    period = 2 * np.array(cell.cells)
    index = {tuple(site): k for k, site in enumerate(site_coordinates(cell).tolist())}
    first, second, third = (index[tuple((point % period).tolist())] for point in points)
    sides = [points[1] - points[0], points[2] - points[0], points[2] - points[1]]
    for side in sides:
        # from half of the period on, an image is as near as the atom itself
        if (2 * np.abs(side) >= period).any():
            size = "×".join(map(str, cell.cells))
            raise ConfigError(
                f"triplet_shells: expected a cell in which the sides of a triangle are shorter than "
                f"half of it, found {size}. Choose a larger cell (repeat)"
            )
    one, two, three = (shell_number(cell.lattice, int((side**2).sum())) for side in sides)
    x, y, z = filling
    label = "-".join(map(str, sorted((one, two, three))))
    return Triangle((first, second, third), (x, y, z), (one, two, three), label)


def _with_letters(found: Sequence[Triangle]) -> list[Triangle]:
    named = []
    for triangle in found:
        alike = [other for other in found if other.label == triangle.label]
        letter = chr(ord("a") + alike.index(triangle)) if len(alike) > 1 else ""
        named.append(
            Triangle(triangle.sites, triangle.elements, triangle.shells, triangle.label + letter)
        )
    return named
