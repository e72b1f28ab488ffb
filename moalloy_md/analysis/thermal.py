"""Thermal expansion and heat capacity: fits over temperature, fluctuations, and what drifts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from ase import units
from numpy.typing import ArrayLike, NDArray

from moalloy_md.analysis.statistics import (
    Estimate,
    equilibration,
    estimate_mean,
    statistical_inefficiency,
)
from moalloy_md.errors import DataError
from moalloy_md.units import BAR_PER_EV_A3_LAMMPS

#: Samples that a window of a ramp needs: two are taken by the line through them.
MIN_WINDOW_SAMPLES = 4
#: Temperatures from which on a parabola is fitted instead of a line: one degree of freedom is left.
_PARABOLA_FROM = 4


@dataclass(frozen=True)
class TemperatureFit:
    """A polynomial in temperature through values with errors, by weighted least squares.

    ``y(T) = Σ_k c_k (T - T_0)^k``

    Attributes
    ----------
    coefficients
        ``c_k``, ``(degree + 1,)``, in the unit of y over K^k.
    covariance
        Of these, ``(degree + 1, degree + 1)``; multiplied by χ² per degree of freedom where that
        is above one, because the polynomial then misses the values by more than their errors.
    reference_k
        ``T_0``, the mean temperature.
    chi_square
        ``Σ ((y_i - y(T_i)) / δ_i)²``.
    degrees_of_freedom
        Values less coefficients; with none left the fit goes through all points.
    """

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    reference_k: float
    chi_square: float
    degrees_of_freedom: int

    def value(self, temperature_k: float) -> tuple[float, float]:
        """Return y(T) and its standard error."""
        powers = np.arange(len(self.coefficients), dtype=np.float64)
        weights: NDArray[np.float64] = (temperature_k - self.reference_k) ** powers
        return self._combined(weights)

    def slope(self, temperature_k: float) -> tuple[float, float]:
        """Return dy/dT at T and its standard error."""
        powers = np.arange(1, len(self.coefficients))
        weights = powers * (temperature_k - self.reference_k) ** (powers - 1)
        return self._combined(np.concatenate([[0.0], weights]))

    def _combined(self, weights: NDArray[np.float64]) -> tuple[float, float]:
        variance = float(weights @ self.covariance @ weights)
        return float(weights @ self.coefficients), float(np.sqrt(max(variance, 0.0)))


def fit_temperature(
    temperatures_k: ArrayLike, values: ArrayLike, errors: ArrayLike
) -> TemperatureFit:
    """Fit a line, or from four temperatures on a parabola, through independent values.

    Parameters
    ----------
    temperatures_k, values, errors
        ``(n,)`` each: K, the values and their standard errors.

    Raises
    ------
    DataError
        If there are fewer than two temperatures, two are equal, or an error is not positive.
    """
    temperature, value, error = (
        np.asarray(x, dtype=np.float64) for x in (temperatures_k, values, errors)
    )
    if len(np.unique(temperature)) < max(2, len(temperature)):
        raise DataError(
            f"expected at least two different temperatures, found {temperature.tolist()}: run "
            "more temperatures"
        )
    if not (error > 0).all():
        raise DataError(f"expected positive errors, found {error.min():g}")
    degree = 2 if len(temperature) >= _PARABOLA_FROM else 1
    reference = float(temperature.mean())
    scale = float(np.ptp(temperature))
    # in units of the range the columns are of one size, and the normal equations well conditioned
    design = np.vander((temperature - reference) / scale, degree + 1, increasing=True)
    weighted = design / error[:, None]
    inverse = np.linalg.inv(weighted.T @ weighted)
    coefficients = inverse @ weighted.T @ (value / error)
    chi_square = float(np.sum(((value - design @ coefficients) / error) ** 2))
    degrees = len(value) - degree - 1
    stretch = max(1.0, chi_square / degrees) if degrees else 1.0
    units = scale ** -np.arange(degree + 1.0)
    return TemperatureFit(
        coefficients=coefficients * units,
        covariance=stretch * inverse * np.outer(units, units),
        reference_k=reference,
        chi_square=chi_square,
        degrees_of_freedom=degrees,
    )


def expansion_coefficient(lattice: TemperatureFit, temperature_k: float) -> tuple[float, float]:
    """Linear expansion coefficient ``α(T) = (1/a) da/dT`` and its standard error, 1/K.

    Parameters
    ----------
    lattice
        Lattice parameter against temperature, Å.
    temperature_k
        Where, K.
    """
    edge, _ = lattice.value(temperature_k)
    slope, error = lattice.slope(temperature_k)
    return slope / edge, error / edge


def heat_capacity(
    enthalpy: TemperatureFit, temperature_k: float, *, n_atoms: int
) -> tuple[float, float]:
    """Heat capacity at constant pressure ``c_p = (dH/dT) / ((N - 1) k_B)``, and its error, k_B per atom.

    N - 1, because the centre of mass is at rest: 3(N - 1) modes carry heat. So a harmonic crystal
    of any size has exactly 3 k_B (Dulong and Petit). Classical: below the Debye temperature (450 K
    for Mo) the true one is lower.

    Parameters
    ----------
    enthalpy
        Enthalpy of the cell (kinetic energy included) against temperature, eV.
    temperature_k
        Where, K.
    n_atoms
        Atoms of the cell.
    """
    slope, error = enthalpy.slope(temperature_k)
    unit = (n_atoms - 1) * units.kB
    return slope / unit, error / unit


def enthalpy_series(
    energy_ev: ArrayLike, volume_angstrom3: ArrayLike, *, pressure_bar: float
) -> NDArray[np.float64]:
    """Enthalpy ``H = E + P V`` along a run, ``(n,)``, eV, with the barostat's pressure P.

    Parameters
    ----------
    energy_ev
        Total energy, kinetic energy included, ``(n,)``, eV.
    volume_angstrom3
        ``(n,)``, Å³.
    pressure_bar
        Of the barostat, bar.
    """
    volume = np.asarray(volume_angstrom3, dtype=np.float64)
    return np.asarray(energy_ev) + pressure_bar * volume / BAR_PER_EV_A3_LAMMPS


def fluctuation_heat_capacity(
    enthalpy_ev: ArrayLike, *, temperature_k: float, n_atoms: int, discard: int | None = None
) -> Estimate:
    """Heat capacity from fluctuations, ``c_p = <(H - <H>)²> / ((N - 1) k_B T²)``, k_B per atom.

    Holds in the NPT ensemble (M. P. Allen, D. J. Tildesley, Computer Simulation of Liquids, 2nd
    ed., 2017, section 2.5). It needs one temperature only, and knows nothing of `heat_capacity`:
    where the two disagree, the run is too short or not in equilibrium. The mean of the squares is
    corrected for the mean that was taken from the same series.

    Parameters
    ----------
    enthalpy_ev
        ``(n,)``, eV, of the cell, as `enthalpy_series` gives it.
    temperature_k
        Of the thermostat, K.
    n_atoms
        Atoms of the cell.
    discard
        As in `moalloy_md.analysis.statistics.estimate_mean`.

    Raises
    ------
    DataError
        As `estimate_mean` does.
    """
    enthalpy = np.asarray(enthalpy_ev, dtype=np.float64)
    first = equilibration(enthalpy) if discard is None else discard
    mean = estimate_mean(enthalpy, name="the enthalpy (eV)", discard=first)
    squares = (enthalpy[first:] - mean.value) ** 2
    variance = estimate_mean(
        squares, name="the squared fluctuation of the enthalpy (eV²)", discard=0
    )
    factor = mean.n_effective / (mean.n_effective - 1)
    factor /= (n_atoms - 1) * units.kB * temperature_k**2
    factor /= units.kB
    return replace(
        variance, value=variance.value * factor, error=variance.error * factor, n_discarded=first
    )


def slope_in_time(time_ps: ArrayLike, series: ArrayLike) -> tuple[float, float]:
    """Slope of a series against time, and its standard error.

    Ordinary least squares; the error pays for the correlation of what is left over,
    ``δ² = g σ² / Σ (t - <t>)²``.

    Parameters
    ----------
    time_ps
        ``(n,)``, equally spaced, ps.
    series
        ``(n,)``.

    Returns
    -------
    tuple
        Slope and error, in the unit of the series over ps.

    Raises
    ------
    DataError
        If there are fewer than three values.
    """
    time, values = np.asarray(time_ps, dtype=np.float64), np.asarray(series, dtype=np.float64)
    if len(values) < 3:
        raise DataError(f"expected at least 3 values for a slope, found {len(values)}: run longer")
    centred = time - time.mean()
    spread = float(centred @ centred)
    slope = float(centred @ values) / spread
    rest = values - values.mean() - slope * centred
    variance = float(rest @ rest) / (len(values) - 2) * statistical_inefficiency(rest)
    return slope, float(np.sqrt(variance / spread))


@dataclass(frozen=True)
class Windows:
    """Means of a series within windows of a ramp.

    Attributes
    ----------
    positions
        Middles of the windows on the ramp, ``(n_windows,)``, such as K.
    values, errors
        Means of the series and their standard errors, ``(n_windows,)``.
    n_samples
        Samples in each window, ``(n_windows,)``.
    """

    positions: NDArray[np.float64]
    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    n_samples: NDArray[np.int64]


def window_means(positions: ArrayLike, series: ArrayLike, *, edges: Sequence[float]) -> Windows:
    """Mean of a series in windows along a ramp.

    Within a window the series follows the ramp: a line is fitted, its value in the middle is the
    mean there, and the error is ``√(g σ² / n)`` of what is left over the line.

    Parameters
    ----------
    positions
        ``(n,)``, increasing: where on the ramp each sample is, such as the thermostat's temperature.
    series
        ``(n,)``.
    edges
        ``(n_windows + 1,)``, increasing. Windows of fewer than four samples are left out.
    """
    place, values = np.asarray(positions, dtype=np.float64), np.asarray(series, dtype=np.float64)
    rows = []
    for low, high in pairwise(edges):
        inside = (place >= low) & (place < high)
        n = int(inside.sum())
        if n < MIN_WINDOW_SAMPLES:
            continue
        middle = (low + high) / 2
        line = np.polyfit(place[inside] - middle, values[inside], 1)
        rest = values[inside] - np.polyval(line, place[inside] - middle)
        variance = float(rest @ rest) / (n - 2) * statistical_inefficiency(rest)
        rows.append((middle, line[1], np.sqrt(variance / n), n))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Windows(table[:, 0], table[:, 1], table[:, 2], table[:, 3].astype(np.int64))
