"""Binding energies of cells whose energies are known in closed form."""

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from moalloy_md.analysis.interactions import (
    binding_energy,
    many_body_part,
    pair_matrix,
    size_limit,
)

STRENGTH = {"Mo": 1.0, "W": 1.4, "Re": 0.7, "Ti": -0.3}


def pairwise(atoms):
    """Energy ½ Σ s_i s_j exp(-r), from every image within 6 Å."""
    i, j, r = neighbor_list("ijd", atoms, 6.0)
    s = np.array([STRENGTH[symbol] for symbol in atoms.symbols])
    return 0.5 * float((s[i] * s[j] * np.exp(-r)).sum())


def embedded(atoms):
    """Energy -Σ √ρ_i, ρ_i = Σ_j s_j exp(-r): no sum of pairs."""
    i, j, r = neighbor_list("ijd", atoms, 6.0)
    s = np.array([STRENGTH[symbol] for symbol in atoms.symbols])
    density = np.bincount(i, weights=s[j] * np.exp(-r), minlength=len(atoms))
    return -float(np.sqrt(density).sum())


def cell(**dopants):
    """A 5×5×5 cell with dopants by the number of their site: ``a3="W"``."""
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(5)
    for site, symbol in dopants.items():
        atoms.symbols[int(site[1:])] = symbol
    return atoms


def binding(energy, **dopants):
    alone = [energy(cell(**{site: symbol})) for site, symbol in dopants.items()]
    return binding_energy(energy(cell(**dopants)), energy(cell()), alone)


@pytest.mark.parametrize(("x", "y"), [("W", "W"), ("W", "Re"), ("Re", "Ti")])
def test_a_pair_of_a_pair_potential(x, y):
    """All that is left of the energies is the pair's own bond: (s_x - 1)(s_y - 1) exp(-r)."""
    bond = (STRENGTH[x] - 1) * (STRENGTH[y] - 1) * np.exp(-3.16 * np.sqrt(3) / 2)
    assert binding(pairwise, a0=x, a1=y) == pytest.approx(bond, abs=1e-9)
    assert binding(pairwise, a0=y, a1=x) == pytest.approx(bond, abs=1e-9)


def test_far_apart_nothing_is_left():
    far = int(np.argmax(cell().get_distances(0, range(250), mic=True)))
    assert binding(pairwise, a0="W", **{f"a{far}": "Re"}) == pytest.approx(0, abs=1e-9)


def test_three_of_a_pair_potential_are_the_sum_of_their_pairs():
    three = binding(pairwise, a0="W", a1="Re", a2="Ti")
    pairs = [
        binding(pairwise, a0="W", a1="Re"),
        binding(pairwise, a0="W", a2="Ti"),
        binding(pairwise, a1="Re", a2="Ti"),
    ]
    assert abs(three) > 1e-3
    assert many_body_part(three, pairs) == pytest.approx(0, abs=1e-9)


def test_three_of_an_embedded_potential_are_not():
    """By hand: what a site feels of three neighbours that change, less what it feels of two."""
    members = {"a0": "W", "a1": "Re", "a2": "Ti"}
    energies = {
        chosen: embedded(cell(**{site: members[site] for site in chosen}))
        for chosen in [(), ("a0",), ("a1",), ("a2",), ("a0", "a1"), ("a0", "a2"), ("a1", "a2")]
    }
    inclusion = embedded(cell(**members)) - sum(
        energies[c] for c in (("a0", "a1"), ("a0", "a2"), ("a1", "a2"))
    )
    inclusion += sum(energies[c] for c in (("a0",), ("a1",), ("a2",))) - energies[()]
    pairs = [
        binding(embedded, **{site: members[site] for site in chosen})
        for chosen in (("a0", "a1"), ("a0", "a2"), ("a1", "a2"))
    ]
    found = many_body_part(binding(embedded, **members), pairs)
    assert found == pytest.approx(inclusion, abs=1e-9)
    assert abs(found) > 1e-5


def test_size_limit_of_dipoles_among_their_images():
    """Two elastic dipoles among their images: the sum over shells of images goes as 1/N."""
    n_sites = [54, 128, 250, 432]
    edges = (np.array(n_sites) / 2) ** (1 / 3)
    energies = [0.1 + 0.02 * (6 / edge**3 + 12 / (edge * np.sqrt(2)) ** 3) for edge in edges]
    limit = size_limit(n_sites, energies)
    assert limit.limit_ev == pytest.approx(0.1, abs=1e-12)
    assert limit.slope_ev == pytest.approx(0.02 * 2 * (6 + 12 / 2**1.5), rel=1e-9)
    assert limit.residual_ev == pytest.approx(0, abs=1e-12)


def test_size_limit_says_how_far_off_a_line_is():
    limit = size_limit([50, 100, 200], [0.1, 0.13, 0.11])
    x = 1 / np.array([50, 100, 200])
    (intercept, slope), (sum_of_squares,), *_ = np.linalg.lstsq(
        np.stack([np.ones(3), x], axis=1), np.array([0.1, 0.13, 0.11]), rcond=None
    )
    assert (limit.limit_ev, limit.slope_ev) == pytest.approx((intercept, slope))
    assert limit.residual_ev == pytest.approx(np.sqrt(sum_of_squares / 3))
    assert size_limit([50, 100], [0.1, 0.2]).residual_ev is None
    assert size_limit([50, 50], [0.1, 0.2]) is None
    assert size_limit([], []) is None


def test_a_pair_has_no_order():
    matrix = pair_matrix(["W", "Re", "Ta"], {("Re", "W"): 1.0, ("Ta", "Ta"): 2.0, ("V", "W"): 9.0})
    assert matrix[0, 1] == matrix[1, 0] == 1.0
    assert matrix[2, 2] == 2.0
    assert np.isnan(matrix[0, 0])
    assert np.isnan(matrix).sum() == 6
