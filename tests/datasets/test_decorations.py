"""One arrangement of elements is one decoration, and different ones are told apart."""

import json
from itertools import combinations

import numpy as np
import pytest
from ase.build import bulk, make_supercell
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group
from support.labelled import bcc

from moalloy_md.datasets.decorations import find_decoration, formula


def disguise(atoms, seed, *, scale=0.06, strain=0.01):
    """The same decoration: relaxed a little, strained, mirrored or turned, shifted, reordered."""
    rng = np.random.default_rng(seed)
    atoms = atoms.copy()
    atoms.positions += rng.normal(scale=scale, size=(len(atoms), 3)).clip(-0.15, 0.15)
    deformation = (np.eye(3) + strain * rng.uniform(-1, 1, (3, 3))) @ ortho_group.rvs(
        3, random_state=rng
    )
    atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    atoms.positions += rng.uniform(-3, 3, 3)
    change = np.array([[1, rng.integers(-1, 2), 0], [0, 1, rng.integers(-1, 2)], [0, 0, 1]])
    atoms.set_cell(change @ atoms.cell.array)
    atoms.wrap()
    return atoms[rng.permutation(len(atoms))]


def alloy(lattice, n, seed, elements=("Mo", "W", "Ti")):
    rng = np.random.default_rng(seed)
    atoms = bulk("Mo", lattice, a=3.16, cubic=True).repeat(n)
    atoms.set_chemical_symbols(rng.choice(elements, size=len(atoms)))
    return atoms


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from(["bcc", "fcc"]), st.sampled_from([(2, 2, 2), (1, 2, 3)])
)
def test_a_disguised_cell_is_the_same_decoration(seed, lattice, n):
    atoms = alloy(lattice, n, seed)
    found = find_decoration(atoms)
    assert found == find_decoration(disguise(atoms, seed))
    other = atoms.copy()  # two atoms exchanged: another decoration, or the same up to symmetry
    i, j = np.random.default_rng(seed).permutation(len(atoms))[:2]
    other.symbols[[i, j]] = other.symbols[[j, i]]
    assert (found == find_decoration(other)) == (find_decoration(disguise(other, seed)) == found)


def orbits(n, n_marked):
    """Sets of marked sites in an n×n×n bcc cell, up to symmetry, by brute force in Cartesians."""
    sites = np.array(
        [
            [x, y, z]
            for x in range(2 * n)
            for y in range(2 * n)
            for z in range(2 * n)
            if x % 2 == y % 2 == z % 2
        ]
    )
    index = {tuple(site): k for k, site in enumerate(sites)}
    images = set()
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 2, 1], [2, 1, 0], [1, 0, 2]):
        for signs in np.ndindex(2, 2, 2):
            turned = sites[:, order] * (1 - 2 * np.array(signs))
            images.update(
                tuple(index[tuple(site)] for site in (turned + shift) % (2 * n)) for shift in sites
            )
    seen, first = set(), []
    for marked in combinations(range(len(sites)), n_marked):
        if marked not in seen:
            first.append(marked)
            seen.update(tuple(sorted(image[k] for k in marked)) for image in images)
    return sites, first, seen


def marked_cell(sites, n, marked):
    atoms = bcc(n)
    atoms.positions = sites * 3.16 / 2
    atoms.symbols[:] = "Mo"
    atoms.symbols[list(marked)] = "W"
    return atoms


@pytest.mark.parametrize(("n", "n_marked"), [(2, 2), (2, 3), (2, 4), (3, 2)])
def test_as_many_decorations_as_by_brute_force(n, n_marked):
    sites, first, everything = orbits(n, n_marked)
    found = {find_decoration(marked_cell(sites, n, marked)) for marked in first}
    assert len(found) == len(first)
    some = sorted(everything)[:: max(1, len(everything) // 60)]
    assert {find_decoration(marked_cell(sites, n, marked)) for marked in some} <= found


def test_a_supercell_of_the_same_crystal_is_the_same_decoration():
    b2 = bulk("Mo", "bcc", a=3.16, cubic=True)
    b2.symbols[1] = "W"
    assert find_decoration(b2).name.startswith("MoW-bcc-")
    larger = make_supercell(b2, [[2, 0, 0], [1, 2, 0], [0, 1, 2]])
    assert find_decoration(disguise(larger, 3)) == find_decoration(b2)
    assert find_decoration(bcc(3)).name == "Mo-bcc"


def test_a_vacancy_belongs_to_the_decoration():
    atoms = bcc(3, {0: "W"})
    tungsten = int(np.flatnonzero(atoms.numbers == 74)[0])
    distances = atoms.get_distances(tungsten, range(len(atoms)), mic=True)
    near, far = np.argsort(distances)[1], np.argsort(distances)[20]
    beside = atoms[[k for k in range(len(atoms)) if k != near]]
    away = atoms[[k for k in range(len(atoms)) if k != far]]
    assert find_decoration(beside) != find_decoration(away)
    assert find_decoration(beside) == find_decoration(disguise(beside, 1))
    assert find_decoration(beside) != find_decoration(atoms)


def test_names():
    assert formula([42, 74, 42, 0, 22]) == "Mo2TiW"
    assert find_decoration(bcc(2, {0: "W"})).name.startswith("Mo15W-bcc-")
    assert find_decoration(bulk("Mo", "fcc", a=4.0)).name == "Mo-fcc"


@pytest.mark.parametrize("name", ["MoW_SS", "MoTa_SS", "NbMo_SS"])
def test_published_relaxed_cells_are_matched_to_their_unrelaxed_ones(shared, name):
    """The lists number their decorations in `notes`: one relaxed and one unrelaxed entry each."""
    from moalloy_md.datasets.importers.mvl import _atoms

    content = json.loads((shared / f"data/mvl_monbtaw/{name}.json").read_text())
    numbers = {}
    for item in content:
        ((tag, number),) = item["notes"].items()
        numbers.setdefault(find_decoration(_atoms(item)), []).append((number, tag))
    assert len(numbers) == 329
    for members in numbers.values():
        (one, first), (other, second) = members
        assert one == other
        assert {first, second} == {"relax", "unrelax"}
