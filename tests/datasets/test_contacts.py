"""Neighbour shells from the geometry, against distances in the undistorted crystal."""

import numpy as np
import pytest
from ase.build import bulk, make_supercell
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from moalloy_md.datasets.contacts import Neighbours
from moalloy_md.datasets.lattice_sites import PRIMITIVE, fit_lattice, shell_vectors

EDGE = {"bcc": 3.16, "fcc": 4.0}
SQUARES = {"bcc": (0.75, 1.0, 2.0, 2.75, 3.0), "fcc": (0.5, 1.0, 1.5, 2.0, 2.5)}


def neighbours_by_distance(ideal, lattice, n_shells=5):
    """For each shell the sorted list of (atom, neighbour), images counted."""
    radii = EDGE[lattice] * np.sqrt(SQUARES[lattice][:n_shells])
    i, j, d = neighbor_list("ijd", ideal, radii[-1] + 0.01)
    return [sorted(zip(i[m], j[m], strict=True)) for m in (abs(d - r) < 0.01 for r in radii)]


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
@pytest.mark.parametrize("seed", range(6))
def test_shells_survive_strain_rotation_displacement_and_odd_supercells(lattice, seed):
    rng = np.random.default_rng(seed)
    while True:
        matrix = rng.integers(-3, 4, (3, 3))
        if 6 <= round(np.linalg.det(matrix)) <= 30:
            break
    ideal = make_supercell(bulk("Mo", lattice, a=EDGE[lattice]), matrix)
    expected = neighbours_by_distance(ideal, lattice)
    atoms = ideal.copy()
    strain = np.eye(3) + rng.normal(scale=0.015, size=(3, 3))
    turned = Rotation.random(random_state=seed).as_matrix()
    atoms.set_cell(atoms.cell.array @ strain @ turned, scale_atoms=True)
    atoms.positions += rng.normal(scale=0.1, size=(len(atoms), 3)) + rng.normal(size=3)
    atoms.wrap()
    fit = fit_lattice(atoms)
    assert fit is not None
    assert fit.lattice == lattice
    neighbours = Neighbours(fit)
    for shell, pairs in enumerate(expected, start=1):
        found = sorted((i, j) for i in range(len(atoms)) for j in neighbours.of(i, shell))
        assert found == pairs


def test_contacts_count_each_pair_once():
    """Among all atoms there are N z / 2 contacts in a shell, images and self-images included."""
    for n in (1, 2, 3):
        atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(n)
        neighbours = Neighbours(fit_lattice(atoms))
        for shell, z in enumerate((8, 6, 12, 24, 8), start=1):
            contacts = neighbours.contacts(range(len(atoms)), shell)
            assert sum(contacts.values()) == len(atoms) * z / 2


def test_a_vacancy_is_nobodys_neighbour():
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(3)
    near = [i for i in range(1, 54) if atoms.get_distance(0, i, mic=True) < 2.8]
    del atoms[0]
    neighbours = Neighbours(fit_lattice(atoms))
    assert sorted(i for i in range(53) if len(neighbours.of(i, 1)) == 7) == [i - 1 for i in near]


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
def test_shell_vectors_are_as_long_as_the_shell_is_wide(lattice):
    primitive = bulk("Mo", lattice, a=1.0).cell.array  # ASE's, whose vectors are other ones
    change = np.rint(PRIMITIVE[lattice] @ np.linalg.inv(primitive))
    assert abs(np.linalg.det(change)) == pytest.approx(1)
    for shell, square in enumerate(SQUARES[lattice], start=1):
        lengths = np.linalg.norm(shell_vectors(lattice, shell) @ change @ primitive, axis=1)
        np.testing.assert_allclose(lengths**2, square, atol=1e-12)
