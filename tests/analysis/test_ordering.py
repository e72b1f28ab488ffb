"""Order on sites: known crystals, random alloys, heat, drift; and what two starts say together."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.neighborlist import neighbor_list

from moalloy_md.analysis.ordering import ordering, random_alpha
from moalloy_md.analysis.quantities import mean_of
from moalloy_md.analysis.radial import radial_distribution
from moalloy_md.analysis.two_starts import joint
from moalloy_md.structures.solid_solution import solid_solution

A0 = 3.16


def measured(path, frames, *, lattice="bcc", n_shells=3, **options):
    write(path, frames, format="extxyz")
    return ordering([path], lattice=lattice, n_shells=n_shells, rdf_cutoff_angstrom=6.0, **options)


def b2(repeat=(4, 4, 4)):
    cube = Atoms("MoTa", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[A0] * 3, pbc=True)
    return cube * repeat


def l12():
    atoms = bulk("Mo", "fcc", a=4.0, cubic=True)
    atoms.symbols[0] = "Ta"
    return atoms * (3, 3, 3)


def d03():
    """Mo3Ta: one of the two simple cubic halves of bcc is Mo, the other a rock salt of Mo and Ta."""
    atoms = bulk("Mo", "bcc", a=A0, cubic=True) * (2, 2, 2)
    halves = np.rint(atoms.positions / (A0 / 2)).astype(int)
    even = (halves % 2 == 0).all(axis=1)
    atoms.symbols[even & (halves.sum(axis=1) % 4 == 0)] = "Ta"
    return atoms * (2, 2, 2)


@pytest.mark.parametrize(
    ("atoms", "lattice", "mixed", "own"),
    [
        # neighbours of Ta that are Mo: all of shell 1, none of shells 2 and 3; half is Mo
        (b2(), "bcc", [-1, 1, 1], [1, -1, -1]),
        # of Ta's neighbours all twelve are Mo, none of six, all of 24; 3/4 of the atoms are
        (l12(), "fcc", [-1 / 3, 1, -1 / 3], [1, -3, 1]),
        # shells 1 and 2 of Ta are Mo, shell 3 is Ta
        (d03(), "bcc", [-1 / 3, -1 / 3, 1], [1, 1, -3]),
    ],
    ids=["B2", "L1_2", "D0_3"],
)
def test_ordered_crystals_have_their_exact_alpha(tmp_path, atoms, lattice, mixed, own):
    found = measured(tmp_path / "a.xyz", atoms, lattice=lattice)
    np.testing.assert_allclose(found.alpha["Mo-Ta"][0], mixed, atol=1e-9)
    np.testing.assert_allclose(found.alpha["Ta-Ta"][0], own, atol=1e-9)


def test_heat_and_drift_move_no_neighbour_to_another_shell(tmp_path):
    """0.25 Å a coordinate is Mo near melting; by distance the same frames are far from B2."""
    generator, ideal = np.random.default_rng(1), b2()
    frames = [ideal]
    for k in range(1, 4):
        hot = ideal.copy()
        hot.set_cell(hot.cell.array * [1.01, 1.0 + 0.01 * k, 0.99], scale_atoms=True)
        hot.positions += generator.normal(scale=0.25, size=(len(hot), 3)) + 0.4 * k
        hot.wrap()
        frames.append(hot)
    found = measured(tmp_path / "hot.xyz", frames)
    np.testing.assert_allclose(found.alpha["Mo-Ta"], [[-1, 1, 1]] * 4, atol=1e-9)
    i, j, distance = neighbor_list("ijd", frames[-1], 1.207 * A0)
    first = distance < 0.933 * A0
    unlike = frames[-1].numbers[i] != frames[-1].numbers[j]
    assert 1 - unlike[first].mean() / 0.5 > -0.9
    assert found.off_site == 0.0


def test_atoms_that_leave_their_sites_are_seen(tmp_path):
    """Two atoms change places by themselves: a diffusion that swaps do not know."""
    start = b2()
    end = start.copy()
    end.positions[[0, 1]] = end.positions[[1, 0]]
    assert measured(tmp_path / "a.xyz", [start, end]).off_site == pytest.approx(2 / 128)


def test_a_random_alloy_has_the_alpha_of_chance(tmp_path):
    """300 random cells: within four errors of the exact mean, which is far from zero for W-W."""
    frames = [
        solid_solution(
            dopants={"W": 0.06, "Ta": 0.1}, repeat=(4, 4, 4), lattice_parameter_angstrom=A0, seed=k
        )
        for k in range(300)
    ]
    found = measured(tmp_path / "random.xyz", frames)
    chance = random_alpha(Counter(frames[0].get_chemical_symbols()))
    assert chance["W-W"] > 0.1
    assert set(found.alpha) == set(chance)
    for pair, alpha in found.alpha.items():
        errors = alpha.std(axis=0, ddof=1) / np.sqrt(len(alpha))
        assert (errors < 0.05).all()
        assert (np.abs(alpha.mean(axis=0) - chance[pair]) < 4 * errors).all(), pair


def test_the_alpha_of_chance_is_the_mean_of_all_arrangements():
    """Three W on 16 sites: each of the 560 cells counted by ASE's neighbour list."""
    host = bulk("Mo", "bcc", a=A0, cubic=True) * (2, 2, 2)
    i, j = neighbor_list("ij", host, 0.933 * A0)
    own, mixed = [], []
    for sites in combinations(range(16), 3):
        is_w = np.isin(np.arange(16), sites)
        own.append(1 - is_w[j][is_w[i]].mean() / (3 / 16))
        mixed.append(1 - (~is_w)[j][is_w[i]].mean() / (13 / 16))
    chance = random_alpha({"Mo": 13, "W": 3})
    assert chance["W-W"] == pytest.approx(np.mean(own), abs=1e-12)
    assert chance["Mo-W"] == pytest.approx(np.mean(mixed), abs=1e-12)


def test_pair_correlations_add_up_to_that_of_all_atoms(tmp_path):
    """``g = Σ_ij c_i c_j g_ij``, with the g of another function."""
    generator = np.random.default_rng(3)
    frames = []
    for k in range(10):
        atoms = solid_solution(
            dopants={"W": 0.2, "Ta": 0.1}, repeat=(3, 3, 3), lattice_parameter_angstrom=A0, seed=k
        )
        atoms.positions += generator.normal(scale=0.1, size=(54, 3))
        frames.append(atoms)
    found = measured(tmp_path / "a.xyz", frames).pair_correlations
    write(tmp_path / "later.xyz", frames[2:], format="extxyz")  # the first fifth is left out
    whole = radial_distribution([tmp_path / "later.xyz"], cutoff_angstrom=6.0, n_bins=120)
    counts = Counter(frames[0].get_chemical_symbols())
    total = np.zeros(120)
    for pair, g in found.items():
        a, b = pair.split("-")
        total += counts[a] * counts[b] / 54**2 * (1 if a == b else 2) * g.values
    assert set(found) == {"Mo-Mo", "Mo-Ta", "Mo-W", "Ta-Ta", "Ta-W", "W-W"}
    np.testing.assert_allclose(found["Mo-W"].distances_angstrom, whole.distances_angstrom)
    np.testing.assert_allclose(total, whole.values, atol=1e-6)


# ---- two starts ------------------------------------------------------------------------------------


def correlated(generator, *, mean=0.0, n=2000, phi=0.8):
    """Return an autoregressive series of variance 1."""
    noise = generator.normal(size=n) * np.sqrt(1 - phi**2)
    series = np.empty(n)
    series[0] = generator.normal()
    for k in range(1, n):
        series[k] = phi * series[k - 1] + noise[k]
    return mean_of(series + mean, label="x", unit="").as_dict()


def test_equal_runs_agree_and_unequal_ones_do_not():
    generator = np.random.default_rng(8)
    equal = [joint([correlated(generator), correlated(generator)]) for _ in range(100)]
    assert sum(found.agree is False for found in equal) <= 2
    known = [found for found in equal if found.error is not None]
    assert len(known) > 90  # some series look as if they drifted
    assert np.mean([abs(found.value) < 2 * found.error for found in known]) > 0.9
    # an error is about sqrt(9 / 2000) = 0.067 each, 0.095 together; some rest on two numbers only
    apart = [joint([correlated(generator), correlated(generator, mean=1.5)]) for _ in range(30)]
    known = [found for found in apart if found.error is not None]
    told = [found for found in known if found.agree is False]
    assert len(told) > 0.9 * len(known) > 20
    for found in told:
        assert found.error > 0.5  # half of what lies between them
        assert found.sigmas > 3


def test_what_has_no_error_says_nothing_together():
    short = mean_of(np.arange(10.0), label="x", unit="eV").as_dict()
    long = correlated(np.random.default_rng(1))
    found = joint([short, long])
    assert (found.error, found.agree, found.sigmas, found.n_effective) == (None,) * 4
    assert found.value == pytest.approx(
        (45 + long["value"] * long["n_samples"]) / (10 + long["n_samples"])
    )
    alone = joint([long])
    assert alone.agree is None
    assert alone.error == pytest.approx(long["error"])
