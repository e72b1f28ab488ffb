"""Isotherms against McLean's formula, limits, mass balance and Gibbs's adsorption equation."""

import numpy as np
import pytest
from ase.units import kB
from hypothesis import given
from hypothesis import strategies as st

from moalloy_md.analysis.isotherms import boundary_energy_change, closed_filling, site_filling
from moalloy_md.errors import DataError

SPECTRUM = np.random.default_rng(1).normal(-0.2, 0.35, 60)


@given(
    st.floats(1e-6, 0.5),
    st.floats(-1.0, 1.0),
    st.floats(200.0, 3000.0),
)
def test_one_energy_is_mclean(bulk, energy, temperature):
    ratio = bulk / (1 - bulk) * np.exp(-energy / (kB * temperature))
    found = site_filling(bulk, [energy, energy], temperature)
    assert found.fraction == pytest.approx(ratio / (1 + ratio), rel=1e-9)
    assert found.bulk_fraction == pytest.approx(bulk)


def test_a_textbook_number():
    # 1000 K, 0.5 eV, 1e-3: exp(0.5/0.08617333) = 331.0
    assert site_filling(1e-3, [-0.5], 1000.0).fraction == pytest.approx(0.331 / 1.330, rel=2e-3)


def test_sites_are_filled_each_by_itself():
    found = site_filling(0.01, SPECTRUM, 900.0)
    alone = [site_filling(0.01, [e], 900.0).fraction for e in SPECTRUM]
    np.testing.assert_allclose(found.site_fractions, alone)
    assert found.fraction == pytest.approx(np.mean(alone))
    # the mean of a spectrum is not the filling of the mean energy
    assert found.fraction > 1.5 * site_filling(0.01, [SPECTRUM.mean()], 900.0).fraction


def test_limits_of_temperature():
    cold = site_filling(0.01, SPECTRUM, 1e-3)
    np.testing.assert_array_equal(cold.site_fractions, (SPECTRUM < 0).astype(float))
    hot = site_filling(0.01, SPECTRUM, 1e9)
    np.testing.assert_allclose(hot.site_fractions, 0.01, rtol=1e-4)
    # a closed system: cold, the few dopants are where they like it best; hot, everywhere alike
    closed = closed_filling(3.5 / 600, SPECTRUM, 1.0, n_bulk_sites=540)
    best = np.sort(closed.site_fractions)[::-1]
    np.testing.assert_allclose(best[:3], 1.0, atol=1e-6)
    assert closed.site_fractions.sum() == pytest.approx(3.5)
    assert closed.bulk_fraction < 1e-12
    warm = closed_filling(3.5 / 600, SPECTRUM, 1e9, n_bulk_sites=540)
    np.testing.assert_allclose(warm.site_fractions, 3.5 / 600, rtol=1e-4)


@given(
    st.floats(1e-9, 0.999),
    st.floats(20.0, 4000.0),
    st.floats(0.0, 1e6),
)
def test_a_closed_system_keeps_its_dopants(total, temperature, n_bulk):
    found = closed_filling(total, SPECTRUM, temperature, n_bulk_sites=n_bulk)
    held = n_bulk * found.bulk_fraction + found.site_fractions.sum()
    assert held == pytest.approx(total * (n_bulk + len(SPECTRUM)), rel=1e-9)


def test_a_large_bulk_is_an_open_system():
    closed = closed_filling(0.01, SPECTRUM, 900.0, n_bulk_sites=1e9)
    opened = site_filling(0.01, SPECTRUM, 900.0)
    np.testing.assert_allclose(closed.site_fractions, opened.site_fractions, rtol=1e-5)


def test_nothing_and_everything():
    for content in (0.0, 1.0):
        for found in (
            site_filling(content, SPECTRUM, 500.0),
            closed_filling(content, SPECTRUM, 500.0, n_bulk_sites=100),
        ):
            np.testing.assert_array_equal(found.site_fractions, content)


def test_the_boundary_energy_follows_gibbs():
    """dγ/dμ is minus the excess, by finite differences of the bulk's chemical potential."""
    bulk, temperature, area, step = 0.02, 1100.0, 75.0, 1e-4
    log_odds = np.log(bulk / (1 - bulk))
    nearby = [1 / (1 + np.exp(-(log_odds + s * step))) for s in (1, -1)]
    gammas = [boundary_energy_change(c, SPECTRUM, temperature, area_angstrom2=area) for c in nearby]
    slope = (gammas[0] - gammas[1]) / (2 * step * kB * temperature)
    excess = (site_filling(bulk, SPECTRUM, temperature).site_fractions - bulk).sum() / area
    assert slope == pytest.approx(-excess, rel=1e-6)
    assert boundary_energy_change(0.0, SPECTRUM, temperature, area_angstrom2=area) == 0.0
    # at rest: the sum of what each site that is filled gains
    cold = boundary_energy_change(bulk, SPECTRUM, 1e-2, area_angstrom2=area)
    assert cold == pytest.approx(SPECTRUM[SPECTRUM < 0].sum() / area, rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0.1, [], 300.0), "found none"),
        ((0.1, [np.nan], 300.0), "one that is not"),
        ((0.1, [0.1], 0.0), "above 0 K, found 0"),
        ((1.1, [0.1], 300.0), "fraction from 0 to 1, found 1.1"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, sentence):
    with pytest.raises(DataError, match=sentence):
        site_filling(*arguments)
    with pytest.raises(DataError, match=sentence):
        closed_filling(*arguments, n_bulk_sites=5)


def test_bulk_sites_and_areas_are_checked():
    with pytest.raises(DataError, match="0 or more bulk sites, found -1"):
        closed_filling(0.1, [0.1], 300.0, n_bulk_sites=-1)
    with pytest.raises(DataError, match="positive area, found 0"):
        boundary_energy_change(0.1, [0.1], 300.0, area_angstrom2=0)
