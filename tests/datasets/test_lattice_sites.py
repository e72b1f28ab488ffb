"""Atoms are mapped onto lattice sites in any supercell, orientation and strain."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bcc110, bulk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.labelled import bcc

from moalloy_md.datasets.lattice_sites import all_sites, fit_lattice, hermite, site_indices

SHAPES = {
    "cubic": np.diag([2, 2, 2]),
    "skew": np.array([[2, 0, 0], [1, 2, 0], [-1, 1, 3]]),
    "long": np.array([[1, 0, 0], [0, 1, 0], [2, 1, 5]]),
    "left-handed": np.array([[0, 2, 0], [2, 0, 0], [0, 0, 2]]),
}


def cell(lattice, shape, *, seed=0, scale=0.05, strain=0.0, rotate=True):
    """A supercell of the primitive cell, displaced, strained, shifted, turned, permuted."""
    rng = np.random.default_rng(seed)
    from ase.build import make_supercell

    atoms = make_supercell(
        bulk("Mo", lattice, a=3.16), SHAPES[shape] @ np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
    )
    shift = rng.normal(size=(len(atoms), 3))
    shift *= scale / np.linalg.norm(shift, axis=1).max()
    shift -= shift.mean(axis=0)
    atoms.positions += shift
    atoms.translate([0.3, -1.2, 0.7])
    order = rng.permutation(len(atoms))
    deformation = np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))
    if rotate:
        deformation = deformation @ Rotation.random(random_state=seed).as_matrix()
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    atoms.wrap()
    return atoms[order], (shift @ deformation)[order]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
@pytest.mark.parametrize(("strain", "rotate"), [(0.0, False), (0.0, True), (0.03, True)])
def test_displacements_are_found_again(lattice, shape, strain, rotate):
    atoms, shift = cell(lattice, shape, strain=strain, rotate=rotate)
    fit = fit_lattice(atoms)
    assert (fit.lattice, fit.n_vacant) == (lattice, 0)
    np.testing.assert_allclose(fit.displacements, shift, atol=1e-9)
    assert round(abs(np.linalg.det(fit.supercell))) == len(atoms)
    assert fit.distortion < 1e-8 if strain == 0 else 1e-3 < fit.distortion < 0.1
    # The geometry that the sites stand for is the cell: differences of sites are those of atoms.
    vectors = np.linalg.solve(fit.supercell, atoms.cell.array)
    apart = (atoms.positions - atoms.positions[0]) - (fit.displacements - fit.displacements[0])
    off = np.linalg.solve(atoms.cell.array.T, (apart - (fit.sites - fit.sites[0]) @ vectors).T)
    np.testing.assert_allclose(off, np.rint(off), atol=1e-8)


def test_ideal_means_sites_of_an_undistorted_lattice_of_any_volume():
    atoms = bcc(3)
    assert fit_lattice(atoms).is_ideal()
    atoms.set_cell(atoms.cell.array * 1.04, scale_atoms=True)
    assert fit_lattice(atoms).is_ideal()
    moved = atoms.copy()
    moved.positions[3, 1] += 0.05
    assert not fit_lattice(moved).is_ideal()
    atoms.set_cell(atoms.cell.array @ np.diag([1.01, 1, 1]), scale_atoms=True)
    assert not fit_lattice(atoms).is_ideal()


def test_vacancies_are_counted():
    atoms, _ = cell("bcc", "skew")
    assert fit_lattice(atoms[1:]).n_vacant == 1
    assert fit_lattice(atoms[[*range(3), *range(5, len(atoms))]]).n_vacant == 2


def liquid():
    rng = np.random.default_rng(0)
    return Atoms("Mo16", positions=rng.uniform(0, 6.3, (16, 3)), cell=np.eye(3) * 6.3, pbc=True)


def interstitial():
    atoms = bcc(2)
    return atoms + Atoms("Mo", positions=[[1.58, 0.0, 0.8]])


@pytest.mark.parametrize(
    "atoms",
    [
        bulk("C", "diamond", a=3.57),  # bcc with half of its sites vacant
        bulk("Ti", "hcp", a=2.95, c=4.68),
        bcc110("Mo", size=(1, 1, 6), vacuum=8, periodic=True),
        liquid(),
        interstitial(),
        Atoms("Mo2", positions=[[0, 0, 0], [2, 0, 0]]),
    ],
    ids=["diamond", "hcp", "surface", "liquid", "interstitial", "molecule"],
)
def test_what_is_no_lattice(atoms):
    assert fit_lattice(atoms) is None


matrices = st.lists(st.tuples(*[st.integers(-4, 4)] * 3), min_size=3, max_size=5).filter(
    lambda rows: np.linalg.matrix_rank(np.array(rows)) == 3
)


@given(matrices)
def test_the_hermite_form_spans_the_same_lattice(rows):
    basis = np.array(hermite(tuple(rows)))
    assert (np.diag(basis) > 0).all() and np.array_equal(basis, np.triu(basis))
    along = np.array(rows) @ np.linalg.inv(basis)  # rows are in the lattice of the basis
    np.testing.assert_allclose(along, np.rint(along), atol=1e-7)
    if len(rows) == 3:  # and it is no finer
        assert round(np.linalg.det(basis)) == round(abs(np.linalg.det(np.array(rows))))
    assert hermite(tuple(map(tuple, basis.tolist()))) == tuple(map(tuple, basis.tolist()))


@given(matrices, st.tuples(*[st.integers(-9, 9)] * 3), st.tuples(*[st.integers(-3, 3)] * 3))
def test_images_of_a_site_have_one_number(rows, site, steps):
    basis = hermite(tuple(rows))
    image = np.array(site) + np.array(steps) @ np.array(basis)
    assert site_indices(np.array(site), basis) == site_indices(image, basis)
    assert np.array_equal(site_indices(all_sites(basis), basis), np.arange(len(all_sites(basis))))
