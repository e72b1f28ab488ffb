"""Triangles of dopants: counted by brute force over the space group that spglib finds."""

import warnings
from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest
import spglib

from moalloy_md.errors import ConfigError
from moalloy_md.structures.host import HostCell, host_atoms
from moalloy_md.structures.lattice import neighbour_shells
from moalloy_md.structures.triplets import triangles


@cache
def site_permutations(lattice, repeat):
    """Where each symmetry of the crystal takes each site, ``(n_operations, n_sites)``."""
    atoms = host_atoms(HostCell(lattice=lattice, repeat=repeat))
    scaled = atoms.get_scaled_positions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of how it reports errors
        found = spglib.get_symmetry((atoms.cell.array, scaled, atoms.numbers), symprec=1e-4)
    moved = np.einsum("oij,sj->osi", found["rotations"], scaled) + found["translations"][:, None]
    n = 2 * repeat
    codes = (np.rint(moved * n).astype(int) % n) @ [n * n, n, 1]
    site_of = np.full(n**3, -1)
    site_of[(np.rint(scaled * n).astype(int) % n) @ [n * n, n, 1]] = np.arange(len(atoms))
    assert len(codes) == 48 * len(atoms)
    return site_of[codes]


def count_by_brute_force(cell, elements, shells):
    """Orbits of coloured triangles with one corner on site 0."""
    atoms = host_atoms(cell)
    group = site_permutations(cell.lattice, cell.cells[0])
    radii = [s.radius * cell.edge_angstrom for s in neighbour_shells(cell.lattice, max(shells))]
    wanted = np.array([radii[shell - 1] for shell in shells])
    near = (np.abs(atoms.get_all_distances(mic=True)[..., None] - wanted) < 1e-3).any(axis=2)
    colours = {symbol: k for k, symbol in enumerate(elements)}
    orbits = set()
    for j, k in combinations(np.flatnonzero(near[0]), 2):
        if near[j, k]:
            images = group[:, [0, j, k]]
            for filling in set(permutations(elements)):
                codes = np.sort(3 * images + [colours[symbol] for symbol in filling], axis=1)
                orbits.add(int((codes @ [10**8, 10**4, 1]).min()))
    return len(orbits)


@pytest.mark.parametrize("elements", [("W", "W", "W"), ("W", "W", "Re"), ("W", "Re", "Ta")])
@pytest.mark.parametrize(
    ("lattice", "repeat", "shells"),
    [("bcc", 4, (1, 2)), ("bcc", 4, (1, 2, 3)), ("fcc", 3, (1,)), ("fcc", 4, (1, 2))],
)
def test_their_number(lattice, repeat, shells, elements):
    cell = HostCell(lattice=lattice, repeat=repeat)
    found = triangles(cell, elements, shells=shells)
    assert len(found) == count_by_brute_force(cell, elements, shells)


def test_first_and_second_neighbours_of_bcc():
    """One triangle, two first neighbours and one second: filled in one, two or three ways."""
    cell = HostCell(repeat=4)
    for elements, n in ((("W",) * 3, 1), (("W", "W", "Re"), 2), (("W", "Re", "Ta"), 3)):
        found = triangles(cell, elements, shells=(1, 2))
        assert len(found) == n
        assert {sorted(t.shells) == [1, 1, 2] for t in found} == {True}
    assert [t.label for t in found] == ["1-1-2a", "1-1-2b", "1-1-2c"]
    assert {t.elements[0] for t in found} | {t.elements[2] for t in found} == {"W", "Re", "Ta"}


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
def test_sides_are_as_long_as_they_say(lattice):
    cell = HostCell(lattice=lattice, repeat=5)
    atoms = host_atoms(cell)
    shells = neighbour_shells(lattice, 3)
    found = triangles(cell, ("W", "Re", "Ta"), shells=(1, 2, 3))
    assert len({t.label for t in found}) == len(found)
    for triangle in found:
        i, j, k = triangle.sites
        for (a, b), shell in zip(((i, j), (i, k), (j, k)), triangle.shells, strict=True):
            length = shells[shell - 1].radius * cell.edge_angstrom
            assert atoms.get_distance(a, b, mic=True) == pytest.approx(length)


def test_what_is_refused():
    with pytest.raises(ConfigError, match="sides of a triangle in bcc, found 1:"):
        triangles(HostCell(repeat=4), ("W", "W", "W"), shells=(1,))
    with pytest.raises(ConfigError, match="shorter than half of it, found 2×2×2"):
        triangles(HostCell(repeat=2), ("W", "W", "W"), shells=(1, 2))
