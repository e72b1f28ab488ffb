"""The Birch-Murnaghan equation of state, fitted to energies of a crystal at several volumes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moalloy_md.errors import DataError
from moalloy_md.units import GPA_PER_EV_A3

_MIN_POINTS = 5


@dataclass(frozen=True)
class BirchMurnaghan:
    """A fitted equation of state.

    Attributes
    ----------
    energy_ev
        Energy at the minimum, eV (of whatever the energies were of).
    volume_angstrom3
        Volume there, Å³.
    bulk_modulus_gpa
        ``B0 = V d²E/dV²`` there, GPa.
    bulk_modulus_derivative
        ``B0' = dB/dP`` there, without unit.
    rms_residual_ev
        Root mean square of what the fit leaves, eV.
    """

    energy_ev: float
    volume_angstrom3: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float
    rms_residual_ev: float

    def energies(self, volumes: ArrayLike) -> NDArray[np.float64]:
        """Energies at volumes (Å³), ``(n,)``, eV.

        ``E = E0 + 9/16 V0 B0 [ (x - 1)³ B0' + (x - 1)² (6 - 4x) ]`` with ``x = (V0/V)^(2/3)``
        (F. Birch, Phys. Rev. 71 (1947) 809).
        """
        x = (self.volume_angstrom3 / np.asarray(volumes, dtype=np.float64)) ** (2 / 3)
        scale = 9 / 16 * self.volume_angstrom3 * self.bulk_modulus_gpa / GPA_PER_EV_A3
        shape = (x - 1) ** 3 * self.bulk_modulus_derivative + (x - 1) ** 2 * (6 - 4 * x)
        energies: NDArray[np.float64] = self.energy_ev + scale * shape
        return energies


def fit_birch_murnaghan(volumes: ArrayLike, energies: ArrayLike) -> BirchMurnaghan:
    """Fit the Birch-Murnaghan equation of state of third order.

    In ``y = V^(-2/3)`` it is a polynomial of third degree, so the fit is linear and needs no start:
    with ``E(y)`` and its derivatives at the minimum ``y0``, ``V0 = y0^(-3/2)``,
    ``B0 = 4/9 E''(y0) V0^(-7/3)``, and ``B0' = 4 + 2/3 y0 E'''(y0)/E''(y0)``.

    Parameters
    ----------
    volumes
        ``(n,)``, Å³, on both sides of the minimum.
    energies
        ``(n,)``, eV.

    Raises
    ------
    DataError
        If there are fewer than five points, one is not finite, or the minimum is not among them.
    """
    v, e = np.asarray(volumes, dtype=np.float64), np.asarray(energies, dtype=np.float64)
    if v.shape != e.shape or v.ndim != 1 or len(v) < _MIN_POINTS:
        raise DataError(
            f"expected {_MIN_POINTS} or more volumes and as many energies, found "
            f"{v.shape} and {e.shape}"
        )
    if not (np.isfinite(e).all() and np.isfinite(v).all() and (v > 0).all()):
        raise DataError("expected finite energies at positive volumes, found one that is not")
    y = v ** (-2 / 3)
    scale = float(y.mean())
    t = y / scale - 1  # small and centred: the fit is well conditioned
    polynomial = np.polynomial.Polynomial.fit(t, e, 3, domain=[-1, 1], window=[-1, 1])
    minimum = _minimum(polynomial, float(t.min()), float(t.max()))
    second = float(polynomial.deriv(2)(minimum)) / scale**2
    third = float(polynomial.deriv(3)(minimum)) / scale**3
    y0 = (1 + minimum) * scale
    volume = y0 ** (-3 / 2)
    residual = e - polynomial(t)
    return BirchMurnaghan(
        energy_ev=float(polynomial(minimum)),
        volume_angstrom3=float(volume),
        bulk_modulus_gpa=float(4 / 9 * second * volume ** (-7 / 3) * GPA_PER_EV_A3),
        bulk_modulus_derivative=float(4 + 2 / 3 * y0 * third / second),
        rms_residual_ev=float(np.sqrt(np.mean(residual**2))),
    )


def _minimum(polynomial: np.polynomial.Polynomial, low: float, high: float) -> float:
    roots = np.asarray(polynomial.deriv().roots(), dtype=np.complex128)
    real = [float(r.real) for r in roots if abs(r.imag) < 1e-12 and low <= r.real <= high]
    minima = [r for r in real if polynomial.deriv(2)(np.array(r)) > 0]
    if not minima:
        raise DataError(
            "expected volumes on both sides of an energy minimum, found none between the smallest "
            "and the largest: take other volumes, or the model does not hold this crystal"
        )
    minimum = np.array(minima[0])
    for _ in range(3):  # Newton: where the cubic term vanishes, the roots are inexact
        minimum = minimum - polynomial.deriv()(minimum) / polynomial.deriv(2)(minimum)
    return float(minimum)
