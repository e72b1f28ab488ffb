"""Equal cells are recognised in every disguise; nearly equal ones are not equal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from support.cells import doped_cell, slab, two_atom_cell
from support.labelled import bcc

from moalloy_md.datasets.isometry import same_crystal, solute_distances, surroundings


def disguise(atoms, seed):
    """The same cell turned or mirrored, shifted, reordered, with other cell vectors."""
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    turn = ortho_group.rvs(3, random_state=rng)
    order = rng.permutation(len(atoms))
    change = np.eye(3)
    if atoms.pbc.all():
        change = np.array([[1, rng.integers(-1, 2), 0], [0, 1, 0], [rng.integers(-1, 2), 1, 1]])
    atoms.set_cell(change @ atoms.cell.array @ turn)
    atoms.positions = atoms.positions @ turn + rng.uniform(-4, 4, 3)
    atoms.wrap()
    return atoms[order]


CELLS = {
    "triclinic": doped_cell(["Mo", "W", "Ti"], n=2),
    "two atoms": two_atom_cell(),
    "slab": slab(["Mo", "W"]),
    "perfect": bcc(3),
    "ideal pair": bcc(3, {0: "W", 17: "Ti"}),
}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(CELLS)))
def test_disguised_cells_are_the_same(seed, name):
    atoms = CELLS[name]
    other = disguise(atoms, seed)
    np.testing.assert_allclose(
        np.sort(surroundings(other)), np.sort(surroundings(atoms)), atol=1e-9
    )
    np.testing.assert_allclose(solute_distances(other), solute_distances(atoms), atol=1e-9)
    assert same_crystal(atoms, other, tolerance_angstrom=1e-6)


@pytest.mark.parametrize("name", ["triclinic", "slab", "ideal pair"])
def test_a_moved_atom_an_exchange_and_a_strain_are_seen(name):
    atoms = CELLS[name]
    moved = disguise(atoms, 1)
    moved.positions[4] += [0.002, 0, 0]
    assert not same_crystal(atoms, moved, tolerance_angstrom=1e-3)
    assert same_crystal(atoms, moved, tolerance_angstrom=3e-3)
    exchanged = disguise(atoms, 2)
    i = int(np.flatnonzero(exchanged.numbers == 42)[0])
    j = int(np.flatnonzero(exchanged.numbers != 42)[0])
    exchanged.symbols[[i, j]] = exchanged.symbols[[j, i]]
    assert not same_crystal(atoms, exchanged) or name == "ideal pair"
    strained = atoms.copy()
    strained.set_cell(strained.cell.array * 1.002, scale_atoms=True)
    assert not same_crystal(atoms, strained)


def test_pairs_in_different_shells_differ_although_near_surroundings_agree():
    one, other = bcc(4, {0: "W", 40: "W"}), bcc(4, {0: "W", 70: "W"})
    assert np.abs(solute_distances(one) - solute_distances(other)).max() > 1
    assert not same_crystal(one, other)


def test_a_mirror_image_is_the_same_and_a_supercell_is_not():
    atoms = CELLS["triclinic"]
    mirrored = atoms.copy()
    mirrored.set_cell(atoms.cell.array * [1, 1, -1], scale_atoms=False)
    mirrored.positions *= [1, 1, -1]
    assert same_crystal(atoms, mirrored)
    assert not same_crystal(atoms, atoms.repeat((2, 1, 1)))
