"""Fits, fluctuations and motion against series whose answer is known."""

import numpy as np
import pytest
from ase.units import kB

from moalloy_md.analysis.statistics import SeriesTooShortError
from moalloy_md.analysis.thermal import (
    enthalpy_series,
    expansion_coefficient,
    fit_temperature,
    fluctuation_heat_capacity,
    heat_capacity,
    slope_in_time,
    window_means,
)
from moalloy_md.analysis.thermal_motion import (
    diffusion_coefficient,
    lindemann,
    mean_square_displacement,
    mean_vibration,
    unwrap,
    vibration,
)
from moalloy_md.errors import DataError

N_ATOMS = 50
CELL = np.array([[9.0, 0.0, 0.0], [1.0, 8.0, 0.0], [-0.5, 0.7, 10.0]])


def harmonic_energies(temperature_k, n, seed):
    """Exact canonical sample of 3(N - 1) harmonic oscillators: their energy is gamma distributed."""
    rng = np.random.default_rng(seed)
    return rng.gamma(3 * (N_ATOMS - 1), kB * temperature_k, n)


def deviation(found, expected):
    """How many standard errors lie between."""
    value, error = found
    return abs(value - expected) / error


# ---- temperature -----------------------------------------------------------------------------------


def test_a_harmonic_crystal_has_three_k_b_by_slope_and_by_fluctuations():
    temperatures = np.array([200.0, 400.0, 700.0, 1100.0, 1600.0])
    energies = [harmonic_energies(t, 4000, seed=k) for k, t in enumerate(temperatures)]
    means = [e.mean() for e in energies]
    errors = [e.std() / np.sqrt(len(e)) for e in energies]
    fit = fit_temperature(temperatures, means, errors)
    for t, energy in zip(temperatures, energies, strict=True):
        slope = heat_capacity(fit, t, n_atoms=N_ATOMS)
        assert slope[0] == pytest.approx(3, abs=0.05)
        assert deviation(slope, 3) < 4
        own = fluctuation_heat_capacity(energy, temperature_k=t, n_atoms=N_ATOMS)
        assert own.error == pytest.approx(3 * np.sqrt(2 / 4000), rel=0.5)
        assert deviation((own.value, own.error), 3) < 4


def test_expansion_is_found_within_its_error():
    """Errors of 68 % confidence hold the truth in about 68 % of the cases, 95 % ones in 95 %."""
    temperatures = np.linspace(300, 2400, 8)
    x = temperatures - 300
    truth = 3.15 * (1 + 5e-6 * x + 1e-9 * x**2)
    slope = 3.15 * (5e-6 + 2e-9 * x)
    rng = np.random.default_rng(0)
    errors = rng.uniform(1e-4, 4e-4, 8)
    inside = []
    for _ in range(400):
        fit = fit_temperature(temperatures, truth + errors * rng.normal(size=8), errors)
        found = expansion_coefficient(fit, 1200.0)
        expected = slope[3] / truth[3]
        assert temperatures[3] == 1200
        inside.append(deviation(found, expected))
    # the errors are stretched where χ² is above one, never shrunk
    assert 0.66 < np.mean(np.array(inside) < 1) < 0.82
    assert 0.93 < np.mean(np.array(inside) < 2) < 0.99


def test_the_fit_is_that_of_numpy():
    t, y, error = [300.0, 500.0, 900.0, 1500.0], [1.0, 1.3, 1.5, 2.5], [0.1, 0.2, 0.1, 0.3]
    fit = fit_temperature(t, y, error)
    expected = np.polyfit(np.array(t) - 800, y, 2, w=1 / np.array(error))
    np.testing.assert_allclose(fit.coefficients[::-1], expected)
    assert (fit.reference_k, fit.degrees_of_freedom) == (800, 1)
    h = 1e-3
    numeric = (fit.value(1000 + h)[0] - fit.value(1000 - h)[0]) / (2 * h)
    assert fit.slope(1000.0)[0] == pytest.approx(numeric, rel=1e-6)


def test_two_temperatures_give_a_line_with_the_error_of_its_ends():
    fit = fit_temperature([300.0, 500.0], [1.0, 2.0], [0.3, 0.4])
    slope, error = fit.slope(300.0)
    assert (slope, error) == (pytest.approx(1 / 200), pytest.approx(0.5 / 200))


@pytest.mark.parametrize(
    ("temperatures", "errors", "sentence"),
    [
        ([300.0], [1.0], "at least two different temperatures"),
        ([300.0, 300.0], [1.0, 1.0], "at least two different temperatures"),
        ([300.0, 400.0], [1.0, 0.0], "expected positive errors, found 0"),
    ],
)
def test_a_fit_that_cannot_be_is_refused(temperatures, errors, sentence):
    with pytest.raises(DataError, match=sentence):
        fit_temperature(temperatures, [1.0] * len(temperatures), errors)


def test_enthalpy_of_a_pressed_cell():
    # 1 GPa times 160.2 Å³ is 1 eV
    found = enthalpy_series([-5.0], [160.2176634], pressure_bar=1e4)
    assert found[0] == pytest.approx(-4.0, abs=1e-6)


# ---- time ------------------------------------------------------------------------------------------


def test_a_drift_is_found_within_its_error_although_the_noise_is_correlated():
    rng = np.random.default_rng(4)
    time = np.arange(3000) * 0.02
    pulls = []
    for _ in range(100):
        noise = np.zeros(3000)
        kicks = rng.normal(size=3000)
        for k in range(1, 3000):
            noise[k] = 0.9 * noise[k - 1] + kicks[k]
        slope, error = slope_in_time(time, 0.3 * time + noise)
        pulls.append((slope - 0.3) / error)
    assert np.std(pulls) == pytest.approx(1, abs=0.25)
    assert abs(np.mean(pulls)) < 0.4


def test_windows_follow_a_ramp():
    rng = np.random.default_rng(5)
    places = np.linspace(300, 1300, 5000, endpoint=False)
    series = 0.01 * places + rng.normal(size=5000)
    windows = window_means(places, series, edges=[300, 500, 900, 1300, 1400])
    np.testing.assert_array_equal(windows.positions, [400, 700, 1100])
    np.testing.assert_array_equal(windows.n_samples, [1000, 2000, 2000])
    np.testing.assert_allclose(windows.errors, 1 / np.sqrt(windows.n_samples), rtol=0.4)
    assert (np.abs(windows.values - 0.01 * windows.positions) < 4 * windows.errors).all()


# ---- motion ----------------------------------------------------------------------------------------


def random_walk(n_frames, n_atoms, *, diffusion, interval_ps, seed):
    rng = np.random.default_rng(seed)
    steps = rng.normal(scale=np.sqrt(2 * diffusion * interval_ps), size=(n_frames, n_atoms, 3))
    return np.cumsum(steps, axis=0)


def vibrating(n_frames, n_atoms, *, u2, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=np.sqrt(u2 / 3), size=(n_frames, n_atoms, 3))


def test_diffusion_of_a_random_walk_is_found_within_its_error():
    pulls = []
    for seed in range(60):
        walk = random_walk(800, 12, diffusion=0.05, interval_ps=0.1, seed=seed)
        found = diffusion_coefficient(
            walk + vibrating(800, 12, u2=0.02, seed=seed + 1000), interval_ps=0.1
        )
        low, high = found.interval(0.95)
        pulls.append((found.value, low <= 0.05 <= high))
    values, inside = np.array(pulls).T
    assert values.mean() == pytest.approx(0.05, abs=4 * values.std() / np.sqrt(60))
    assert inside.mean() >= 0.88  # 95 % expected: three standard deviations of 60 draws below


def test_a_vibrating_crystal_does_not_diffuse():
    found = diffusion_coefficient(vibrating(1000, 20, u2=0.02, seed=1), interval_ps=0.1)
    assert abs(found.value) < 4 * found.error
    assert found.error < 1e-5


def test_too_few_frames_for_diffusion_are_refused():
    with pytest.raises(SeriesTooShortError, match=r"at least 339 frames .*found 100"):
        diffusion_coefficient(vibrating(100, 2, u2=0.02, seed=1), interval_ps=0.1)


def test_mean_square_displacement_is_that_of_the_definition():
    path = random_walk(40, 5, diffusion=0.1, interval_ps=0.5, seed=3) + 7.0
    found = mean_square_displacement(path, interval_ps=0.5)
    for lag in (0, 1, 7, 39):
        pairs = path[lag:] - path[: 40 - lag]
        expected = np.mean(np.sum(pairs**2, axis=2))
        assert found.values_angstrom2[lag] == pytest.approx(expected, abs=1e-9)
        assert found.lags_ps[lag] == 0.5 * lag


def test_atoms_that_cross_walls_of_a_breathing_cell_are_followed():
    rng = np.random.default_rng(8)
    breath = 1 + 0.02 * rng.normal(size=60)
    cells = breath[:, None, None] * CELL
    path = random_walk(60, 9, diffusion=0.5, interval_ps=0.1, seed=9)
    path -= path.mean(axis=1, keepdims=True)
    fractional = path @ np.linalg.inv(cells.mean(axis=0)) + 0.5
    assert np.ptp(np.floor(fractional)) >= 2
    found = unwrap((fractional % 1.0) @ cells, cells)
    moved = found - path
    np.testing.assert_allclose(moved - moved[0], 0, atol=1e-9)


def test_vibration_about_the_mean_position_is_equipartition():
    """Of an oscillator with spring k: <u²> = 3 k_B T / k."""
    temperature, spring = 900.0, 12.0
    expected = 3 * kB * temperature / spring
    path = vibrating(400, 30, u2=expected, seed=2) + np.linspace(0, 50, 90).reshape(30, 3)
    found = mean_vibration(vibration(path), name="u2")
    assert found.value == pytest.approx(expected, abs=4 * found.error)
    assert found.error == pytest.approx(expected * np.sqrt(2 / 3 / 400 / 30), rel=0.5)
    ratio = lindemann(found, neighbour_distance_angstrom=2.7)
    assert ratio.value == pytest.approx(np.sqrt(found.value) / 2.7)
    assert ratio.error == pytest.approx(ratio.value * found.error / found.value / 2)


def test_one_frame_has_no_vibration():
    with pytest.raises(DataError, match="at least 2 frames, found 1"):
        vibration(np.zeros((1, 4, 3)))
