"""Surroundings of sites: of crystals, slabs and vacancies, where they are known."""

import numpy as np
import pytest
from ase.build import bcc110, bulk

from moalloy_md.analysis.sites import (
    alike_sites,
    distance_to_atoms,
    distance_to_planes,
    site_geometry,
)
from moalloy_md.errors import DataError

EDGE = 3.17


@pytest.fixture(scope="module")
def slab():
    atoms = bcc110("Mo", (2, 3, 8), a=EDGE, vacuum=8)
    atoms.pbc = True
    return atoms


def test_a_crystal_with_a_vacancy():
    atoms = bulk("Mo", "bcc", a=EDGE, cubic=True).repeat(6)
    del atoms[100]
    found = site_geometry(atoms, lattice_parameter_angstrom=EDGE)
    assert np.bincount(found.coordination)[13:].tolist() == [14, 417]
    beside = found.coordination == 13
    np.testing.assert_array_equal(found.is_crystal, ~beside)
    assert found.volume_angstrom3[~beside].mean() == pytest.approx(EDGE**3 / 2, rel=1e-6)
    assert found.volume_angstrom3.sum() == pytest.approx(atoms.get_volume())  # it fills the cell
    assert (found.volume_angstrom3[beside] > 1.02 * EDGE**3 / 2).all()


def test_a_slab_is_open_at_its_surfaces(slab):
    found = site_geometry(slab, lattice_parameter_angstrom=EDGE)
    layers = slab.positions[:, 2].argsort(kind="stable").reshape(8, 6)
    for surface in (layers[0], layers[-1]):
        # (110) of bcc: two of eight nearest and two of six next neighbours are missing
        assert (found.coordination[surface] == 10).all()
        assert np.isnan(found.volume_angstrom3[surface]).all()
        assert not found.is_crystal[surface].any()
    assert (found.coordination[layers[1:-1]] == 14).all()
    assert found.is_crystal[layers[1:-1]].all()


def test_alike_sites_of_a_slab_are_its_layers_from_both_sides(slab):
    names = alike_sites(slab, tolerance_angstrom=0.02)
    layers = slab.positions[:, 2].argsort(kind="stable").reshape(8, 6)
    for k in range(4):
        assert len(set(names[np.concatenate([layers[k], layers[7 - k]])])) == 1
    assert len(set(names)) == 4
    moved = slab.copy()
    moved.rattle(0.1, seed=0)
    assert len(set(alike_sites(moved, tolerance_angstrom=0.02))) == len(slab)


def test_distances_to_planes_go_around_the_cell():
    distance, which = distance_to_planes([0.5, 4.0, 9.5, 6.0], [0.0, 5.0], period_angstrom=10.0)
    np.testing.assert_allclose(distance, [0.5, 1.0, 0.5, 1.0])
    np.testing.assert_array_equal(which, [0, 1, 0, 1])
    distance, which = distance_to_planes([9.5], [0.0, 5.0], period_angstrom=None)
    assert (distance[0], which[0]) == (4.5, 1)


def test_distances_to_atoms_are_those_of_ase():
    atoms = bulk("Mo", "bcc", a=EDGE, cubic=True).repeat((4, 3, 5))
    skew = np.array([[0, 0, 0], [2.0, 0, 0], [0.5, -1.0, 0]])
    atoms.set_cell(atoms.cell.array + skew, scale_atoms=True)
    atoms.positions += 7.7
    chosen = np.zeros(len(atoms), bool)
    chosen[[3, 50]] = True
    expected = np.minimum(
        *(atoms.get_distances(k, range(len(atoms)), mic=True) for k in np.flatnonzero(chosen))
    )
    np.testing.assert_allclose(distance_to_atoms(atoms, chosen), expected, atol=1e-9)
    with pytest.raises(DataError, match="found none"):
        distance_to_atoms(atoms, np.zeros(len(atoms), bool))
