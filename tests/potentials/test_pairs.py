"""Pairs of neighbours: all of them, each image once, whatever moved since they were listed."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cells import doped_cell, slab, two_atom_cell

from moalloy_md.potentials.pairs import NeighbourPairs

CUTOFF, SKIN = 4.5, 0.5


def images(atoms):
    """Lattice vectors that can bring an atom within the cutoff of another one."""
    extent = CUTOFF + np.linalg.norm(np.ptp(atoms.positions, axis=0))
    heights = np.abs(np.linalg.inv(atoms.cell.complete().array)).T
    most = np.ceil(extent * np.linalg.norm(heights, axis=1)).astype(int) * atoms.pbc
    shifts = itertools.product(*(range(-n, n + 1) for n in most))
    return np.array(list(shifts)) @ atoms.cell.array


def every_pair(atoms):
    """Ordered pairs by brute force: rows (receiver, sender, x, y, z), in no order."""
    rows = []
    for offset in images(atoms):
        for i, j in np.ndindex(len(atoms), len(atoms)):
            vector = atoms.positions[i] - atoms.positions[j] - offset
            if 1e-12 < np.linalg.norm(vector) < CUTOFF:
                rows.append([i, j, *vector])
    return np.array(rows).reshape(-1, 5)


def in_order(rows):
    """Sort; vectors are rounded, because each side has its own rounding."""
    keys = np.column_stack([rows[:, :2], rows[:, 2:].round(6)])
    return rows[np.lexsort(keys.T[::-1])]


def assert_all_pairs(edges, atoms):
    assert (np.diff(edges.receivers) >= 0).all()
    assert edges.senders.dtype == edges.receivers.dtype == np.int32
    rows = np.column_stack([edges.receivers, edges.senders, edges.vectors])
    found = rows[np.linalg.norm(edges.vectors, axis=1) < CUTOFF]
    expected = every_pair(atoms)
    assert len(found) == len(expected)
    np.testing.assert_allclose(in_order(found), in_order(expected), rtol=0, atol=1e-9)


def eight(seed=0):
    """Eight atoms in a thin triclinic cell: most neighbours are images."""
    atoms = doped_cell(("Mo", "W"), n=2, seed=seed)[:8]
    atoms.set_cell(atoms.cell.array * [[0.6], [0.9], [0.7]], scale_atoms=True)
    return atoms


def outside():
    """Atoms many cells away from the cell that they are counted to."""
    atoms = eight(1)
    shifts = np.random.default_rng(2).integers(-2, 3, size=(len(atoms), 3))
    atoms.positions += shifts @ atoms.cell.array
    return atoms


def with_boundaries(*pbc, cell=True):
    atoms = outside() if cell else eight()
    atoms.pbc = pbc
    atoms.positions += np.array([5.0, -3.0, 2.0])
    if not cell:
        atoms.set_cell(atoms.cell.array * np.array(pbc)[:, None])
    return atoms


CELLS = {
    "triclinic": eight,
    "two atoms": two_atom_cell,
    "one atom in a very thin cell": lambda: Atoms(
        "W", positions=[[9, 9, 9]], cell=[[1.7, 0, 0], [0.9, 2.1, 0], [-0.8, 0.3, 3.0]], pbc=True
    ),
    "left-handed": lambda: Atoms("W", cell=[[0, 2.5, 0.1], [2.9, 0, 0.2], [0, 0.3, 3]], pbc=True),
    "atoms outside of the cell": outside,
    "open in z": lambda: with_boundaries(True, True, False),
    "open in x": lambda: with_boundaries(False, True, True),
    "periodic in y": lambda: with_boundaries(False, True, False),
    "open": lambda: with_boundaries(False, False, False),
    "slab": lambda: slab(("Mo", "W"))[:12],
    "cell vectors only where periodic": lambda: with_boundaries(True, False, True, cell=False),
    "one cell vector": lambda: with_boundaries(False, False, True, cell=False),
    "no cell": lambda: with_boundaries(False, False, False, cell=False),
    "atoms in a plane, no cell": lambda: Atoms("W3", [[0, 0, 0], [2, 1, 0], [-1, 3, 0]]),
    "one atom, no cell": lambda: Atoms("W", [[3, 4, 5]]),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_pair_once(name):
    atoms = CELLS[name]()
    before = atoms.copy()
    assert_all_pairs(NeighbourPairs(CUTOFF, skin=SKIN).edges(atoms), atoms)
    assert atoms == before, "the caller's atoms are not changed"


def test_pair_just_within_the_cutoff_is_kept():
    for distance in (CUTOFF - 1e-12, CUTOFF, CUTOFF + 1e-12):
        atoms = Atoms("W2", [[0, 0, 0], [distance, 0, 0]])
        for skin in (0.0, SKIN):
            n = len(NeighbourPairs(CUTOFF, skin=skin).edges(atoms).senders)
            assert n == 2 or (n == 0 and distance >= CUTOFF)


@pytest.fixture
def pairs():
    return NeighbourPairs(CUTOFF, skin=SKIN)


def relisted(pairs, atoms, before):
    """Whether the pairs were searched for anew; and they are right in any case."""
    edges = pairs.edges(atoms)
    assert_all_pairs(edges, atoms)
    return edges.senders is not before.senders


def test_small_moves_keep_the_list(pairs):
    atoms = eight()
    before = pairs.edges(atoms)
    assert not relisted(pairs, atoms, before)
    moves = np.random.default_rng(3).normal(size=(len(atoms), 3))
    moves *= 0.49 * SKIN / np.linalg.norm(moves, axis=1).max()
    atoms.positions += moves
    assert not relisted(pairs, atoms, before)
    atoms.positions -= 2 * moves  # as far to the other side
    assert not relisted(pairs, atoms, before)


def test_one_atom_that_moved_far_is_enough(pairs):
    atoms = eight()
    before = pairs.edges(atoms)
    atoms.positions[5, 1] += 0.51 * SKIN
    assert relisted(pairs, atoms, before)


def test_small_moves_add_up(pairs):
    atoms = eight()
    before = pairs.edges(atoms)
    seen = []
    for _ in range(4):
        atoms.positions[2] += [0.1, 0, 0]
        seen.append(relisted(pairs, atoms, before))
    assert seen == [False, False, True, True]


def test_two_atoms_that_approach_from_beyond_the_skin(pairs):
    """The worst case: each moves by nearly half of the skin towards the other one."""
    atoms = Atoms("W2", [[0, 0, 0], [CUTOFF + SKIN + 1e-3, 0, 0]])
    before = pairs.edges(atoms)
    assert len(before.senders) == 0
    atoms.positions[0, 0] += 0.499 * SKIN
    atoms.positions[1, 0] -= 0.499 * SKIN
    assert not relisted(pairs, atoms, before)
    atoms.positions[1, 0] -= 0.01 * SKIN
    assert relisted(pairs, atoms, before)


def strain(atoms):
    atoms.set_cell(atoms.cell.array * 1.001, scale_atoms=True)


def strain_without_atoms(atoms):
    atoms.set_cell(atoms.cell.array @ np.diag([1, 1, 0.97]))


def open_one_direction(atoms):
    atoms.pbc = (True, False, True)


def remove_an_atom(atoms):
    del atoms[3]


def add_an_atom(atoms):
    atoms.append("W")


def wrap(atoms):
    atoms.translate([1.0, 1.0, 1.0])
    atoms.wrap()


CHANGES = [strain, strain_without_atoms, open_one_direction, remove_an_atom, add_an_atom, wrap]


@pytest.mark.parametrize("change", CHANGES, ids=[change.__name__ for change in CHANGES])
def test_what_makes_a_new_list(pairs, change):
    atoms = eight()
    before = pairs.edges(atoms)
    change(atoms)
    assert relisted(pairs, atoms, before)


def test_earlier_edges_stay_as_they_were(pairs):
    atoms = eight()
    edges = pairs.edges(atoms)
    vectors = edges.vectors.copy()
    atoms.positions[0] += 0.1
    assert not np.array_equal(pairs.edges(atoms).vectors, vectors)
    assert np.array_equal(edges.vectors, vectors)


@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.02, 0.1, 0.4]))
@settings(max_examples=6, deadline=None)
def test_any_walk_has_the_pairs_of_a_fresh_list(seed, size):
    rng = np.random.default_rng(seed)
    pairs, atoms = NeighbourPairs(CUTOFF, skin=SKIN), eight(4)[:5]
    for _ in range(6):
        atoms.positions += rng.normal(scale=size, size=(len(atoms), 3))
        if rng.random() < 0.3:
            atoms.wrap()
        assert_all_pairs(pairs.edges(atoms), atoms)
