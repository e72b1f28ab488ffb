import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from moalloy_md.analysis.statistics import (
    MIN_EFFECTIVE,
    Estimate,
    SeriesTooShortError,
    equilibration,
    estimate_mean,
    statistical_inefficiency,
)
from moalloy_md.errors import DataError

MEAN = -7.25


def autoregressive(rng, *, n, phi, count=1):
    """x_t = φ x_(t-1) + noise; its inefficiency is (1 + φ)/(1 − φ)."""
    noise = rng.standard_normal((count, n + 2000))
    return MEAN + lfilter([1], [1, -phi], noise, axis=1)[:, 2000:]


def ringing(rng, *, n, damping, omega, count=1):
    """Damped oscillation driven by noise, as a volume under a barostat."""
    noise = rng.standard_normal((count, n + 2000))
    poles = [1, -2 * damping * np.cos(omega), damping**2]
    return MEAN + lfilter([1], poles, noise, axis=1)[:, 2000:]


def slow_below_ringing(rng, *, n, slow_variance, tau, count=1):
    """Oscillation of period 13 with an envelope that wanders over 60 samples, as the volume of
    a small cell under a barostat, and an AR(1) part of this share of the variance."""

    def wander(noise, time):
        phi = np.exp(-1 / time)
        return np.sqrt(1 - phi**2) * lfilter([1], [1, -phi], noise, axis=1)[:, 2000:]

    real, imaginary, slow = rng.standard_normal((3, count, n + 2000))
    rings = (wander(real + 1j * imaginary, 60) * np.exp(2j * np.pi * np.arange(n) / 13)).real
    return (
        MEAN + np.sqrt(1 - slow_variance) * rings + np.sqrt(slow_variance) * wander(slow, tau or 1)
    )


def outcomes(series):
    """Fractions of the series that were taken, and whose 95 % interval missed the mean."""
    taken = missed = 0
    for one in series:
        try:
            low, high = estimate_mean(one).interval(0.95)
        except DataError:
            continue
        taken += 1
        missed += not low < MEAN < high
    return taken / len(series), missed / len(series)


@pytest.mark.parametrize(("n", "phi"), [(1000, 0.0), (1000, 0.5), (4000, 0.9), (8000, 0.97)])
def test_95_percent_intervals_of_autoregressive_series_hold_the_mean(n, phi):
    taken, missed = outcomes(autoregressive(np.random.default_rng(11), n=n, phi=phi, count=500))
    assert taken > 0.9
    assert 0.02 <= missed / taken <= 0.10


@pytest.mark.parametrize("slow_variance", [0.05, 0.1])
@pytest.mark.parametrize(("n", "tau"), [(300, 10), (300, 20), (300, 30), (1000, 30), (5000, 30)])
def test_slow_motion_below_a_ringing_is_paid_for(n, tau, slow_variance):
    rng = np.random.default_rng(20)
    series = slow_below_ringing(rng, n=n, slow_variance=slow_variance, tau=tau, count=300)
    taken, missed = outcomes(series)
    assert taken > 0.7
    assert missed / taken <= 0.10


@pytest.mark.parametrize("n", [300, 1000])
def test_a_ringing_alone_is_taken(n):
    series = slow_below_ringing(
        np.random.default_rng(21), n=n, slow_variance=0.0, tau=None, count=200
    )
    taken, missed = outcomes(series)
    assert taken > 0.95
    assert missed / taken <= 0.10


def test_slow_motion_below_white_noise_is_paid_for():
    rng = np.random.default_rng(22)
    white = np.sqrt(0.9) * rng.standard_normal((300, 300))
    slow = autoregressive(rng, n=300, phi=0.95, count=300) - MEAN
    taken, missed = outcomes(MEAN + white + np.sqrt(0.1) * slow / slow.std())
    assert taken > 0.8
    assert missed / taken <= 0.10


def test_interval_uses_the_degrees_of_freedom_of_the_error():
    """Student's t for 95 %: 4.303 at two degrees of freedom, 2.045 at 29 (any table)."""
    few = Estimate(1.0, 0.1, 300, 30.0, 0, degrees_of_freedom=2)
    assert few.interval() == pytest.approx((1 - 0.4303, 1 + 0.4303), abs=1e-4)
    many = Estimate(1.0, 0.1, 300, 30.0, 0)
    assert many.interval() == pytest.approx((1 - 0.2045, 1 + 0.2045), abs=1e-4)


@pytest.mark.parametrize(("n", "damping", "omega"), [(300, 0.95, 0.5), (2000, 0.99, 0.1)])
def test_intervals_of_oscillating_series_are_on_the_safe_side(n, damping, omega):
    series = ringing(np.random.default_rng(12), n=n, damping=damping, omega=omega, count=200)
    taken, missed = outcomes(series)
    assert taken > 0.9
    assert missed / taken <= 0.08


@pytest.mark.parametrize(("n", "phi"), [(300, 0.0), (1000, 0.5), (4000, 0.9)])
def test_a_start_up_transient_is_paid_for(n, phi):
    series = autoregressive(np.random.default_rng(13), n=n, phi=phi, count=200)
    series += 5 * series.std() * np.exp(-20 * np.arange(n) / n)
    taken, missed = outcomes(series)
    assert taken > 0.9
    assert missed / taken <= 0.11


@pytest.mark.parametrize("n", [40, 100, 300])
def test_short_series_are_refused_rather_than_given_made_up_error_bars(n):
    taken, missed = outcomes(autoregressive(np.random.default_rng(14), n=n, phi=0.95, count=200))
    assert taken < 0.15
    assert missed < 0.10


def test_inefficiency_is_the_textbook_value():
    for phi in (0.0, 0.5, 0.9):
        (series,) = autoregressive(np.random.default_rng(15), n=200_000, phi=phi)
        assert statistical_inefficiency(series) == pytest.approx((1 + phi) / (1 - phi), rel=0.08)


def test_white_noise_has_the_error_sigma_over_root_n():
    series = 3.0 + 0.5 * np.random.default_rng(16).standard_normal(10_000)
    estimate = estimate_mean(series, discard=0)
    assert estimate.error == pytest.approx(0.5 / 100, rel=0.1)
    assert estimate.value == pytest.approx(series.mean(), rel=1e-12)
    low, high = estimate.interval(0.6827)  # one sigma
    assert (high - low) / 2 == pytest.approx(estimate.error, rel=1e-3)


def test_errors_of_white_noise_are_sigma_over_root_n_in_the_middle():
    """Some are larger, where chance has put more than its share at low frequency; none smaller."""
    noise = 0.5 * np.random.default_rng(23).standard_normal((200, 900))
    errors = []
    for one in noise:
        with contextlib.suppress(SeriesTooShortError):  # three sigma of drift, by chance
            errors.append(estimate_mean(one, discard=0).error * 30 / 0.5)
    assert len(errors) >= 197
    assert np.median(errors) == pytest.approx(1, abs=0.12)
    assert np.mean(errors) == pytest.approx(1.15, abs=0.12)
    assert min(errors) > 0.85


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -1e9])
def test_a_constant_series_has_no_error(value):
    estimate = estimate_mean(np.full(MIN_EFFECTIVE, value))
    assert estimate.value == pytest.approx(value, rel=1e-12)
    assert estimate.error == 0
    assert estimate.n_discarded == 0
    assert estimate.n_effective == MIN_EFFECTIVE


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e4, 1e4), seed=st.integers(0, 1000))
def test_unit_and_origin_of_the_series_do_not_matter(scale, shift, seed):
    (series,) = autoregressive(np.random.default_rng(seed), n=600, phi=0.3)
    one, other = (estimate_mean(s, discard=10) for s in (series, scale * series + shift))
    assert other.value == pytest.approx(scale * one.value + shift, rel=1e-9, abs=1e-6 * scale)
    assert other.error == pytest.approx(scale * one.error, rel=1e-5)


def test_repeating_every_sample_does_not_shrink_the_error():
    """The error bar must not follow the output interval: the naive one falls by sqrt(5) here."""
    (series,) = autoregressive(np.random.default_rng(17), n=4000, phi=0.5)
    once = estimate_mean(series, discard=0)
    often = estimate_mean(np.repeat(series, 5), discard=0)
    assert often.n_samples == 5 * once.n_samples
    assert often.error == pytest.approx(once.error, rel=0.1)


def test_equilibration_finds_the_end_of_a_step():
    series = np.random.default_rng(18).standard_normal(1000)
    series[:100] += 30
    assert 100 <= equilibration(series) <= 250
    assert equilibration(series[:6]) <= 3
    assert equilibration(series[:3]) == 0


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.zeros((3, 4)), r"the volume: expected a series \(n,\), found .* \(3, 4\)"),
        ([1.0, 2.0, np.nan, np.inf], "the volume: expected finite numbers, found nan at sample 2"),
        ([], "found 0 of 0"),
        (
            np.ones(MIN_EFFECTIVE - 1),
            f"found {MIN_EFFECTIVE - 1} of {MIN_EFFECTIVE - 1}: run longer",
        ),
        (
            np.sin(np.linspace(0, 12, 400)),
            "independent samples, found .*Run about .* times as long",
        ),
    ],
)
def test_series_that_cannot_give_an_error_bar_are_refused(series, message):
    with pytest.raises(DataError, match=message):
        estimate_mean(series, name="the volume")


def test_a_drift_is_refused():
    noise = np.random.default_rng(19).standard_normal(3000)
    with pytest.raises(DataError, match=r"one that drifts: its second half differs .* by 0"):
        estimate_mean(noise + np.linspace(0, 1, 3000))
