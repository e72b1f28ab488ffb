"""Birch-Murnaghan, against ASE's fit, and against itself at made-up constants."""

import re

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.eos import EquationOfState

from moalloy_md.analysis.elasticity import CubicElasticity
from moalloy_md.analysis.equation_of_state import BirchMurnaghan, fit_birch_murnaghan
from moalloy_md.errors import DataError
from moalloy_md.units import GPA_PER_EV_A3


def test_the_same_as_ase():
    volumes, energies = [], []
    for edge in np.linspace(3.5, 3.75, 11):
        atoms = bulk("Cu", "fcc", a=edge)
        atoms.calc = EMT()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    volume, energy, modulus = EquationOfState(volumes, energies, "birchmurnaghan").fit()
    found = fit_birch_murnaghan(volumes, energies)
    assert found.volume_angstrom3 == pytest.approx(volume, rel=1e-6)
    assert found.energy_ev == pytest.approx(energy, abs=1e-8)
    assert found.bulk_modulus_gpa == pytest.approx(modulus * GPA_PER_EV_A3, rel=1e-5)
    assert found.rms_residual_ev < 1e-4


@pytest.mark.parametrize("derivative", [2.5, 4.0, 6.1])
def test_constants_come_back(derivative):
    truth = BirchMurnaghan(-21.7, 31.8, 264.0, derivative, 0.0)
    volumes = 31.8 * np.linspace(0.9, 1.05, 9)
    found = fit_birch_murnaghan(volumes, truth.energies(volumes))
    for name in ("energy_ev", "volume_angstrom3", "bulk_modulus_gpa", "bulk_modulus_derivative"):
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=1e-8)
    assert found.rms_residual_ev < 1e-10


def test_the_derivatives_are_those_of_the_curve():
    """B0 = V E'' and B0' = dB/dP by finite differences of ``energies``."""
    truth = BirchMurnaghan(1.0, 16.0, 250.0, 4.4, 0.0)
    h = 0.02
    e = truth.energies(16.0 + h * np.arange(-3, 4))
    second = np.array([e[k - 1] - 2 * e[k] + e[k + 1] for k in (2, 3, 4)]) / h**2
    pressure = [-(e[k + 1] - e[k - 1]) / (2 * h) for k in (2, 4)]
    moduli = second * (16.0 + h * np.array([-1, 0, 1]))
    assert moduli[1] * GPA_PER_EV_A3 == pytest.approx(250.0, rel=1e-4)
    assert (moduli[2] - moduli[0]) / (pressure[1] - pressure[0]) == pytest.approx(4.4, rel=1e-3)


@pytest.mark.parametrize(
    ("volumes", "energies", "message"),
    [
        (range(1, 5), range(4), "expected 5 or more volumes"),
        (range(1, 7), range(5), "as many energies"),
        (range(1, 7), [1, 2, np.nan, 3, 4, 5], "expected finite energies"),
        (range(6), range(6), "positive volumes"),
        (range(1, 7), [6, 5, 4, 3, 2, 1], "both sides of an energy minimum"),
    ],
)
def test_what_cannot_be_fitted_is_refused(volumes, energies, message):
    with pytest.raises(DataError, match=message):
        fit_birch_murnaghan(list(volumes), list(energies))


def test_elasticity_of_molybdenum_and_of_an_isotropic_body():
    mo = CubicElasticity(483.0, 155.0, 103.0)
    assert mo.bulk_modulus == pytest.approx(264.0, abs=0.5)
    assert mo.c_prime == 164.0
    assert mo.instabilities == ()
    assert CubicElasticity(300.0, 100.0, 100.0).zener_anisotropy == 1.0


@pytest.mark.parametrize(
    ("constants", "criterion"),
    [
        ((100.0, 120.0, 80.0), "C11 - C12 > 0 fails: -20.0 GPa"),
        ((100.0, -60.0, 80.0), r"C11 \+ 2 C12 > 0 fails"),
        ((100.0, 60.0, -5.0), "C44 > 0 fails"),
    ],
)
def test_born_criteria_that_fail_are_named(constants, criterion):
    (sentence,) = CubicElasticity(*constants).instabilities
    assert re.match(criterion, sentence)
