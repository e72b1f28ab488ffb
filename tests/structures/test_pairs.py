"""Places of a second dopant: against group theory done by brute force, and against geometry."""

from itertools import permutations, product

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from moalloy_md.errors import ConfigError
from moalloy_md.structures.host import HostCell, host_atoms
from moalloy_md.structures.lattice import neighbour_shells
from moalloy_md.structures.pairs import pair_sites

CELLS = [
    HostCell(repeat=2),
    HostCell(repeat=3),
    HostCell(repeat=(2, 2, 3)),
    HostCell(repeat=(1, 2, 3)),
    HostCell(repeat=1),
    HostCell(lattice="fcc", repeat=2),
    HostCell(lattice="fcc", repeat=(1, 2, 2)),
    HostCell(lattice="fcc", repeat=1),
]
label = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.label)


def symmetry_of(atoms):
    """All permutations of the sites that rotations, reflections and translations make."""
    scaled = atoms.get_scaled_positions()
    axes = np.diag(atoms.cell.array)
    found = set()
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        matrix = np.zeros((3, 3))
        matrix[range(3), order] = signs
        turned = atoms.positions @ matrix.T
        if not np.allclose(axes[list(order)], axes):
            continue
        for shift in atoms.positions:
            images = (turned + shift) / axes
            away = images[:, None] - scaled[None]
            hits = np.abs(away - np.rint(away)).max(axis=2) < 1e-6
            assert (hits.sum(axis=1) == 1).all()
            found.add(tuple(hits.argmax(axis=1)))
    return np.array(sorted(found))


@label
def test_their_number_is_burnsides(cell):
    """Distinct colourings of two sites: the mean number that a symmetry leaves as they are."""
    group = symmetry_of(host_atoms(cell))
    n = group.shape[1]
    fixed = (group == np.arange(n)).sum(axis=1)
    swapped = (np.take_along_axis(group, group, axis=1) == np.arange(n)).sum(axis=1) - fixed
    equal = (fixed * (fixed - 1) // 2 + swapped // 2).sum() / len(group)  # X and X
    unequal = (fixed * (fixed - 1)).sum() / len(group)  # X and Y: which is where counts
    found = pair_sites(cell)
    assert len(found) == equal == unequal


@label
def test_no_two_are_alike_and_none_is_missing(cell):
    """Orbits of site 0's partners under the symmetries that leave site 0 in place."""
    group = symmetry_of(host_atoms(cell))
    keeping = group[group[:, 0] == 0]
    orbits = {frozenset(keeping[:, site].tolist()) for site in range(1, group.shape[1])}
    found = pair_sites(cell)
    assert len(orbits) == len(found)
    for pair in found:
        (orbit,) = [sites for sites in orbits if pair.site in sites]
        assert len(orbit) == pair.n_sites
        orbits.remove(orbit)


@label
def test_shell_and_contacts_are_those_of_the_geometry(cell):
    atoms = host_atoms(cell)
    a = cell.edge_angstrom
    shells = neighbour_shells(cell.lattice, 12)
    i, j, distances = neighbor_list("ijd", atoms, a * shells[-1].radius + 0.01)
    for pair in pair_sites(cell):
        mine = distances[(i == 0) & (j == pair.site)]
        assert mine.min() == pytest.approx(a * shells[pair.shell - 1].radius)
        assert (mine < mine.min() + 1e-6).sum() == pair.n_contacts


@pytest.mark.parametrize(
    ("lattice", "radii", "coordination"),
    [
        ("bcc", [3 / 4, 1, 2, 11 / 4, 3, 4, 19 / 4], [8, 6, 12, 24, 8, 6, 24]),
        ("fcc", [1 / 2, 1, 3 / 2, 2, 5 / 2, 3, 7 / 2], [12, 6, 24, 12, 24, 8, 48]),
    ],
)
def test_shells_are_those_of_the_textbook(lattice, radii, coordination):
    shells = neighbour_shells(lattice, 7)
    assert [shell.radius**2 for shell in shells] == pytest.approx(radii)
    assert [len(shell.vectors) for shell in shells] == coordination
    assert [shell.number for shell in shells] == [1, 2, 3, 4, 5, 6, 7]


def test_two_kinds_of_place_in_one_shell_are_told_apart():
    """At a·√27/2 lie (3,3,3)/2 and (5,1,1)/2, which no symmetry takes into each other."""
    tenth = [pair for pair in pair_sites(HostCell(repeat=8)) if pair.shell == 10]
    assert sorted((pair.label, pair.n_sites) for pair in tenth) == [("10a", 24), ("10b", 8)]


def test_the_cells_of_the_bundled_set_repeat_as_its_readme_says():
    """A second-shell partner in 2×2×2 makes a chain (2 contacts), a third-shell one has four."""
    contacts = {pair.shell: pair.n_contacts for pair in pair_sites(HostCell(repeat=2))}
    assert [contacts[shell] for shell in (1, 2, 3)] == [1, 2, 4]


@pytest.mark.parametrize("cell", [HostCell(), HostCell(lattice="fcc")], ids=lambda c: c.label)
def test_one_place_in_each_shell_of_the_papers_cells(cell):
    found = pair_sites(cell, shells=(1, 2, 3))
    assert [(pair.label, pair.n_contacts) for pair in found] == [("1", 1), ("2", 1), ("3", 1)]


def test_a_shell_beyond_the_cell_is_refused():
    with pytest.raises(ConfigError, match=r"2×2×2 bcc cell can hold \(1, 2, 3, 5\), found 4"):
        pair_sites(HostCell(repeat=2), shells=(1, 4))
