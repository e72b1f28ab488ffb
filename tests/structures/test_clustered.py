"""Clustered starts: the same composition as a random one, and as compact as a lattice allows."""

from collections import Counter

import numpy as np
import pytest

from moalloy_md.errors import ConfigError
from moalloy_md.structures.clustered import clustered_solution
from moalloy_md.structures.solid_solution import solid_solution

CELL = {"repeat": (5, 5, 5), "lattice_parameter_angstrom": 3.16}


def radii(atoms, symbol):
    """Distances of a dopant's atoms from their middle, nearest images, over the edge."""
    sites = np.flatnonzero(atoms.symbols == symbol)
    best = min(
        (np.sort(atoms.get_distances(int(s), sites, mic=True)) for s in sites),
        key=lambda found: found.sum(),
    )
    return best / 3.16


def test_one_dopant_fills_shells_from_the_inside():
    """15 atoms of bcc: a site, its 8 nearest and 6 next neighbours."""
    atoms = clustered_solution(dopants={"W": 15 / 250}, seed=4, **CELL)
    expected = [0.0] + 8 * [np.sqrt(3) / 2] + 6 * [1.0]
    np.testing.assert_allclose(radii(atoms, "W"), expected, atol=1e-9)


def test_clusters_of_two_dopants_are_apart_and_as_many_as_in_a_random_cell():
    dopants = {"W": 0.06, "Ta": 0.036}
    atoms = clustered_solution(dopants=dopants, seed=1, **CELL)
    random = solid_solution(dopants=dopants, seed=1, **CELL)
    assert Counter(atoms.symbols) == Counter(random.symbols)
    np.testing.assert_allclose(atoms.positions, random.positions)
    np.testing.assert_allclose(radii(atoms, "Ta"), [0.0] + 8 * [np.sqrt(3) / 2], atol=1e-9)
    tungsten, tantalum = (np.flatnonzero(atoms.symbols == x) for x in ("W", "Ta"))
    apart = [atoms.get_distances(int(s), tantalum, mic=True).min() for s in tungsten]
    assert min(apart) > 2 * 3.16


def test_the_seed_draws_the_place_and_incomplete_shells():
    cells = [clustered_solution(dopants={"W": 0.02}, seed=seed, **CELL) for seed in (1, 1, 2)]
    assert cells[0] == cells[1]
    assert cells[0] != cells[2]
    np.testing.assert_allclose(radii(cells[2], "W"), [0.0] + 4 * [np.sqrt(3) / 2], atol=1e-9)


def test_a_cell_without_host_is_refused():
    with pytest.raises(ConfigError, match="expected fewer dopants than the 250 sites, found 250"):
        clustered_solution(dopants={"W": 1.0}, **CELL)
