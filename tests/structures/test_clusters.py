"""Spheres: what is in them, and that forces inside are those of the whole structure."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from moalloy_md.errors import ConfigError
from moalloy_md.structures.clusters import cut_cluster


@pytest.fixture
def crystal():
    atoms = bulk("Cu", "fcc", a=3.6, cubic=True).repeat((7, 8, 7))
    skew = np.array([[0, 0, 0], [1.0, 0, 0], [0.4, -0.6, 0]])
    atoms.set_cell(atoms.cell.array + skew, scale_atoms=True)
    atoms.rattle(0.1, seed=3)
    atoms.positions += 5.3
    return atoms


def test_a_sphere_holds_the_atoms_within_reach(crystal):
    centre = 17  # near a corner: the sphere crosses the cell's faces
    found = cut_cluster(crystal, centre, free_radius_angstrom=4.0, shell_angstrom=6.0)
    distances = crystal.get_distances(centre, range(len(crystal)), mic=True)
    assert set(found.indices) == set(np.flatnonzero(distances <= 10.0))
    assert found.indices[0] == centre
    np.testing.assert_allclose(found.atoms.positions[0], 0.0, atol=1e-12)
    own = np.linalg.norm(found.atoms.positions, axis=1)
    np.testing.assert_allclose(own, distances[found.indices], atol=1e-9)
    assert found.n_free == (distances <= 4.0).sum()
    fixed = found.atoms.constraints[0].index
    np.testing.assert_array_equal(fixed, np.arange(found.n_free, len(own)))
    assert not found.atoms.pbc.any()


def test_forces_inside_are_those_of_the_whole_structure(crystal):
    """ASE's EMT reaches out to two of its cutoffs, as a model of two layers does."""
    crystal.calc = EMT()
    whole = crystal.get_forces()
    worst = []
    for shell in (3.0, 8.5):
        found = cut_cluster(crystal, 40, free_radius_angstrom=3.5, shell_angstrom=shell)
        found.atoms.calc = EMT()
        free = found.indices[: found.n_free]
        forces = found.atoms.get_forces(apply_constraint=False)[: found.n_free]
        worst.append(np.abs(forces - whole[free]).max())
    assert worst[0] > 1e-2  # it matters
    assert worst[1] < 5e-3


def test_a_sphere_that_meets_itself_is_refused(crystal):
    with pytest.raises(ConfigError, match=r"sphere of 26\.0 Å across"):
        cut_cluster(crystal, 0, free_radius_angstrom=5.0, shell_angstrom=8.0)
