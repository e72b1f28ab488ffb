"""Spectra, profiles and excess against synthetic draws and planted profiles."""

import numpy as np
import pytest
from scipy.special import erfc
from scipy.stats import skewnorm

from moalloy_md.analysis.segregation import (
    boundary_energy,
    count_in_bins,
    fit_skew_normal,
    interfacial_excess,
    profile,
    segregation_energy,
)
from moalloy_md.errors import DataError

# ---- spectrum ----------------------------------------------------------------------------------------


def test_the_density_is_the_published_form():
    found = fit_skew_normal(skewnorm.rvs(-2, -0.1, 0.3, 300, random_state=2), bootstraps=2)
    e = np.linspace(-1.5, 0.8, 50)
    mu, sigma, alpha = found.location_ev, found.scale_ev, found.shape
    expected = (
        np.exp(-((e - mu) ** 2) / (2 * sigma**2))
        / (np.sqrt(2 * np.pi) * sigma)
        * erfc(-alpha * (e - mu) / (np.sqrt(2) * sigma))
    )
    np.testing.assert_allclose(found.density(e), expected, rtol=1e-9, atol=1e-12)


def test_the_likelihood_is_that_of_scipy():
    energies = skewnorm.rvs(3, 0.2, 0.4, 400, random_state=5)
    found = fit_skew_normal(energies, bootstraps=2)
    own = skewnorm.logpdf(energies, found.shape, found.location_ev, found.scale_ev).sum()
    scipys = skewnorm.logpdf(energies, *skewnorm.fit(energies)).sum()
    assert own > scipys - 1e-3


@pytest.mark.parametrize(("shape", "location", "scale"), [(-2.5, 0.25, 0.5), (4.0, -0.9, 0.35)])
def test_the_fit_finds_the_truth_within_its_errors(shape, location, scale):
    """Of the deviations over their errors, about two thirds are below one, few above two."""
    deviations = []
    for seed in range(14):
        draws = skewnorm.rvs(shape, location, scale, 400, random_state=seed)
        found = fit_skew_normal(draws, bootstraps=24, seed=seed)
        deviations += [
            (found.location_ev - location) / found.location_error_ev,
            (found.scale_ev - scale) / found.scale_error_ev,
            (found.mean_ev - skewnorm.mean(shape, location, scale)) / found.mean_error_ev,
        ]
        assert found.ks_distance < 0.06
    size = np.abs(deviations)
    assert 0.45 < np.mean(size < 1) < 0.9
    assert np.mean(size > 2.5) < 0.1


def test_energies_turned_around_turn_the_fit_around():
    energies = skewnorm.rvs(3, 0.2, 0.4, 300, random_state=1)
    found, turned = (fit_skew_normal(sign * energies, bootstraps=2) for sign in (1, -1))
    assert turned.shape == pytest.approx(-found.shape, rel=1e-3)
    assert turned.location_ev == pytest.approx(-found.location_ev, abs=1e-4)
    shifted = fit_skew_normal(2 * energies + 7, bootstraps=2)
    assert shifted.location_ev == pytest.approx(2 * found.location_ev + 7, abs=1e-3)
    assert shifted.scale_ev == pytest.approx(2 * found.scale_ev, rel=1e-3)


def test_a_poor_fit_has_a_large_distance():
    two_peaks = np.concatenate([np.full(100, -1.0), np.full(100, 1.0)])
    two_peaks += np.random.default_rng(0).normal(0, 0.05, 200)
    assert fit_skew_normal(two_peaks, bootstraps=2).ks_distance > 0.15


@pytest.mark.parametrize(
    ("energies", "sentence"),
    [
        ([0.1] * 9, "10 or more segregation energies for a spectrum, found 9"),
        ([0.1] * 12, "all equal"),
        ([*range(12), np.inf], "one that is not"),
    ],
)
def test_too_little_for_a_spectrum(energies, sentence):
    with pytest.raises(DataError, match=sentence):
        fit_skew_normal(energies)


# ---- profile and excess ------------------------------------------------------------------------------

EDGES = np.linspace(0.0, 40.0, 21)
#: Planted content of each bin: two boundaries, at 9 and 29 Å, in a bulk of 2 %.
CONTENT = 0.02 + 0.3 * np.exp(-(((EDGES[1:] + EDGES[:-1]) / 2 - 9) ** 2) / 8)
CONTENT += 0.3 * np.exp(-(((EDGES[1:] + EDGES[:-1]) / 2 - 29) ** 2) / 8)


def planted(n_frames, seed):
    rng = np.random.default_rng(seed)
    atoms = np.full((n_frames, 20), 60)
    return rng.binomial(atoms, CONTENT), atoms


def test_a_planted_profile_is_found_within_its_errors():
    dopants, atoms = planted(4000, seed=3)
    found = profile(dopants, atoms, EDGES)
    assert np.abs((found.fraction - CONTENT) / found.error).max() < 4
    expected = np.sqrt(CONTENT * (1 - CONTENT) / 60 / 4000)
    # white noise: right on the whole, and never too small (see `estimate_mean`)
    assert 0.95 < np.median(found.error / expected) < 1.4
    assert (found.error > 0.9 * expected).all()
    assert found.centres_angstrom[0] == 1.0


def test_a_planted_profile_has_the_planted_excess():
    area, is_bulk = 120.0, np.abs(CONTENT - 0.02) < 1e-3
    truth = 60 * (CONTENT - CONTENT[is_bulk].mean()).sum() / (2 * area)
    deviations = []
    for seed in range(40):
        dopants, atoms = planted(200, seed)
        found = interfacial_excess(
            dopants, atoms, is_bulk=is_bulk, area_angstrom2=area, n_boundaries=2
        )
        assert found.error is not None
        deviations.append((found.value - truth) / found.error)
    assert abs(np.mean(deviations)) < 0.5  # no bias
    assert 0.5 < np.mean(np.abs(deviations) < 1) < 0.95
    assert np.max(np.abs(deviations)) < 4


def test_no_segregation_has_no_excess():
    rng = np.random.default_rng(8)
    atoms = np.full((500, 20), 60)
    dopants = rng.binomial(atoms, 0.05)
    is_bulk = np.arange(20) % 10 > 5
    found = interfacial_excess(dopants, atoms, is_bulk=is_bulk, area_angstrom2=50, n_boundaries=2)
    assert found.error is not None
    assert abs(found.value) < 4 * found.error


def test_the_excess_does_not_depend_on_where_the_bulk_begins():
    """Gibbs: adding bulk to the region adds nothing."""
    dopants = np.outer(np.ones(50), [6, 6, 6, 30, 6, 6]).astype(int)
    atoms = np.full_like(dopants, 60)
    for bulk in ([1, 1, 1, 0, 1, 1], [1, 0, 0, 0, 0, 1]):
        found = interfacial_excess(
            dopants, atoms, is_bulk=np.array(bulk, bool), area_angstrom2=10, n_boundaries=1
        )
        assert found.value == pytest.approx(2.4)


def test_atoms_are_counted_where_they_are():
    dopants, atoms = count_in_bins([0.5, 1.5, 1.6, 2.5], [0, 1, 0, 1], [0, 1, 2, 3])
    np.testing.assert_array_equal(dopants, [0, 1, 1])
    np.testing.assert_array_equal(atoms, [1, 2, 1])


def test_empty_bins_are_not_numbers():
    found = profile([[1, 0]] * 40, [[4, 0]] * 40, [0, 1, 2])
    assert found.fraction[0] == 0.25
    assert np.isnan(found.fraction[1])


def test_a_cell_without_bulk_is_refused():
    with pytest.raises(DataError, match="expected bulk between the boundaries, found none"):
        interfacial_excess(
            [[1, 2]], [[5, 5]], is_bulk=[False, False], area_angstrom2=1, n_boundaries=1
        )


def test_energies_in_short():
    # two free surfaces of 1 J/m² each on 16.02 Å²
    energy = boundary_energy(
        -100.0 + 2.0, n_atoms=20, bulk_energy_ev_per_atom=-5.0, area_angstrom2=16.02176634,
        n_boundaries=2,
    )  # fmt: skip
    assert energy == pytest.approx(1.0)
    assert segregation_energy(-11.0, -10.0, -20.6, -20.0) == pytest.approx(-0.4)
