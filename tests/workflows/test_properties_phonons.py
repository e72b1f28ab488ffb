"""Phonons against ASE's own finite displacements, elastic waves, and a crystal that is unstable."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.data import atomic_masses, atomic_numbers
from ase.phonons import Phonons as AsePhonons
from ase.units import _amu

from moalloy_md.errors import DataError
from moalloy_md.workflows.properties.crystal import (
    bcc_crystal,
    cubic_elastic_constants,
    fcc_crystal,
)
from moalloy_md.workflows.properties.phonons import phonons

THZ_PER_EV = 241.79893


@pytest.fixture(scope="module")
def copper():
    cell = fcc_crystal("Cu", EMT())
    return cell, bulk("Cu", "fcc", a=float(cell.cell.lengths()[0]))


@pytest.fixture(scope="module")
def found(copper):
    return phonons(copper[1], EMT(), repeat=5, displacement_angstrom=0.01)


def test_frequencies_are_those_of_ase(copper, found, tmp_path):
    """ASE displaces and symmetrises in its own way: the same physics, another code."""
    other = AsePhonons(copper[1], EMT(), supercell=(5, 5, 5), delta=0.01, name=str(tmp_path / "c"))
    other.run()
    other.read(acoustic=True)
    special = copper[1].cell.bandpath().special_points
    for name in ("X", "L", "W", "K"):
        (energies,) = other.band_structure([special[name]], verbose=False)
        expected = sorted(np.real(energies) * THZ_PER_EV)
        assert found.special_points_thz[name] == pytest.approx(expected, abs=0.02), name


def test_long_waves_travel_as_the_elastic_constants_say(copper, found):
    """From Γ to X: ν = v q/2π with v² = C11/ρ (longitudinal) and C44/ρ (twice, transverse)."""
    cell, primitive = copper
    c11, _, c44 = cubic_elastic_constants(cell, EMT(), strain=1e-3)
    mass = atomic_masses[atomic_numbers["Cu"]] * _amu
    density = mass / (primitive.get_volume() * 1e-30)
    speeds = np.sqrt(np.array([c44, c44, c11]) * 1e9 / density)  # m/s
    assert found.path[0] == ("G", "X")
    q = found.section_distances[0][4]  # 1/Å
    frequencies = speeds * q * 1e10 * 1e-12
    # the waves are not infinitely long and the lattice disperses: some per cent
    assert found.section_frequencies_thz[0][4] == pytest.approx(frequencies, rel=0.04)


def test_three_modes_an_atom_none_imaginary(found):
    total = np.trapezoid(found.dos_per_thz, found.dos_frequencies_thz)
    assert total == pytest.approx(3.0, abs=0.03)
    assert found.is_stable
    assert found.imaginary_fraction == 0.0
    assert abs(found.special_points_thz["G"][0]) < 1e-4
    assert (found.supercell_atoms, found.n_displacements) == (125, 1)


def test_bcc_copper_is_unstable():
    """bcc Cu has C' < 0, so its shear waves along (110) are imaginary."""
    cell = bcc_crystal("Cu", EMT())
    c11, c12, _ = cubic_elastic_constants(cell, EMT())
    assert c11 < c12
    edge = float(cell.cell.lengths()[0])
    unstable = phonons(bulk("Cu", "bcc", a=edge), EMT(), repeat=4, displacement_angstrom=0.01)
    assert not unstable.is_stable
    assert unstable.lowest_thz < -0.1
    assert 0.0 < unstable.imaginary_fraction < 0.5
    assert len(unstable.lowest_at) == 3


def test_forces_that_are_not_finite_are_refused(copper):
    class Broken(EMT):
        def calculate(self, *arguments):
            super().calculate(*arguments)
            self.results["forces"] = self.results["forces"] * np.nan

    with pytest.raises(DataError, match="expected finite forces in the supercell"):
        phonons(copper[1], Broken(), repeat=2, displacement_angstrom=0.01)
