"""Random solid solutions: composition, geometry, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError
from moalloy_md.structures.solid_solution import RandomConfig, random_cells, solid_solution
from moalloy_md.structures.variants import Variant

A0 = 3.1625


@given(
    repeat=st.tuples(*[st.integers(2, 4)] * 3),
    fractions=st.dictionaries(st.sampled_from(["W", "Re", "Ti"]), st.floats(0.0, 0.2)),
    seed=st.integers(0, 2**31),
)
def test_composition_is_the_nearest(repeat, fractions, seed):
    atoms = solid_solution(
        dopants=fractions, repeat=repeat, lattice_parameter_angstrom=A0, seed=seed
    )
    n = 2 * int(np.prod(repeat))
    assert len(atoms) == n
    for symbol, fraction in fractions.items():
        count = int((atoms.symbols == symbol).sum())
        assert (count == 0) == (fraction == 0)
        assert abs(count - fraction * n) <= max(0.5, 1 - fraction * n)
    assert atoms.get_volume() == pytest.approx(n * A0**3 / 2)


def test_sites_are_those_of_bcc():
    atoms = solid_solution(
        dopants={"W": 0.1}, repeat=(3, 3, 3), lattice_parameter_angstrom=A0, seed=1
    )
    distances = np.sort(atoms.get_all_distances(mic=True), axis=1)[:, 1:15]
    assert distances[:, :8] == pytest.approx(np.sqrt(3) / 2 * A0)
    assert distances[:, 8:] == pytest.approx(A0)


def test_seeds_draw_other_sites_and_the_same_seed_the_same():
    draw = [
        solid_solution(
            dopants={"W": 0.1}, repeat=(4, 4, 4), lattice_parameter_angstrom=A0, seed=seed
        ).get_chemical_symbols()
        for seed in (1, 1, 2)
    ]
    assert draw[0] == draw[1] != draw[2]


@pytest.mark.parametrize(
    ("dopants", "message"),
    [
        ({"Wo": 0.1}, "expected a chemical symbol"),
        ({"Mo": 0.1}, "dopants other than Mo"),
        ({"W": 1.2}, "fractions from 0 to 1, found W 1.2"),
        ({"W": 0.6, "Re": 0.5}, "fewer dopants than the 16 sites, found 18"),
    ],
)
def test_refused(dopants, message):
    with pytest.raises(ConfigError, match=message):
        solid_solution(dopants=dopants, repeat=(2, 2, 2), lattice_parameter_angstrom=A0)


def test_more_atoms_than_fit_are_refused():
    with pytest.raises(ConfigError, match=r"repeat: .* found 2,000,000,000,000,000, which take"):
        solid_solution(dopants={"W": 0.1}, repeat=(100_000,) * 3, lattice_parameter_angstrom=A0)


@pytest.mark.parametrize(("lattice", "n", "coordination"), [("bcc", 54, 8), ("fcc", 108, 12)])
def test_random_cells(lattice, n, coordination):
    config = RandomConfig(
        dopants={"W": 0.1, "Fe": 0.05}, lattice=lattice, repeat=3, n_cells=3, seed=7,
        variants=(Variant(rattle_angstrom=0.05),),
    )  # fmt: skip
    cells = list(random_cells(config))
    assert len({atoms.info["name"] for atoms in cells}) == 6
    assert len({atoms.info["group"] for atoms in cells}) == 3
    assert [atoms.info["state"] for atoms in cells] == ["ideal", "noneq"] * 3
    n_host = n - round(0.1 * n) - round(0.05 * n)
    assert cells[0].info["group"].startswith(f"{lattice}3x3x3-Mo{n_host}Fe")
    decorations = {tuple(atoms.symbols) for atoms in cells[::2]}
    assert len(decorations) == 3
    for atoms in cells[::2]:
        assert len(atoms) == n
        assert (atoms.symbols == "W").sum() == round(0.1 * n)
        assert (atoms.symbols == "Fe").sum() == round(0.05 * n)
        distances = np.sort(atoms.get_all_distances(mic=True), axis=1)
        nearest = (distances[:, 1:] < distances[:, 1:2] + 1e-6).sum(axis=1)
        assert (nearest == coordination).all()
        assert atoms.get_initial_magnetic_moments().any()
    (again,) = random_cells(config.model_copy(update={"seed": 8, "n_cells": 1, "variants": ()}))
    assert again == cells[2]


def test_random_cells_want_dopants():
    with pytest.raises(ConfigError, match="expected at least one dopant"):
        validate({"dopants": {}}, RandomConfig, source="x.yaml")
    with pytest.raises(ConfigError, match=r"fractions from 0 to 1, found W 1\.5"):
        list(random_cells(RandomConfig(dopants={"W": 1.5})))
