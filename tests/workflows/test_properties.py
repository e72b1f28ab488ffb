"""Static properties, against matscipy, other cells of the same crystal, and identities."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.eos import EquationOfState
from matscipy.elasticity import fit_elastic_constants

from moalloy_md.errors import MoAlloyError
from moalloy_md.units import GPA_PER_EV_A3
from moalloy_md.workflows.properties.crystal import cubic_elastic_constants, static_properties


def test_elastic_constants_of_copper_are_those_of_matscipy():
    atoms = bulk("Cu", "fcc", a=3.59, cubic=True)
    found = cubic_elastic_constants(atoms, EMT(), strain=1e-3)
    atoms.calc = EMT()
    expected, _ = fit_elastic_constants(
        atoms, symmetry="cubic", N_steps=5, delta=5e-4, verbose=False, graphics=False
    )
    expected *= GPA_PER_EV_A3
    assert found == pytest.approx((expected[0, 0], expected[0, 1], expected[3, 3]), rel=2e-3)


@pytest.fixture(scope="module")
def copper():
    """bcc Cu with effective-medium theory: fast, and with all the properties."""
    return static_properties(EMT(), element="Cu", vacancy_repeat=3)


def test_lattice_parameter_and_bulk_modulus_are_those_of_the_equation_of_state(copper):
    volumes, energies = [], []
    for edge in np.linspace(0.99, 1.01, 9) * copper.lattice_parameter_angstrom:
        atoms = bulk("Cu", "bcc", a=edge)
        atoms.calc = EMT()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    volume, energy, modulus = EquationOfState(volumes, energies, "birchmurnaghan").fit()
    assert copper.lattice_parameter_angstrom == pytest.approx((2 * volume) ** (1 / 3), abs=1e-4)
    assert copper.energy_ev_per_atom == pytest.approx(energy, abs=1e-6)
    assert copper.bulk_modulus_gpa == pytest.approx(modulus * GPA_PER_EV_A3, rel=0.01)


def test_vacancy_and_surfaces_cost_energy_in_the_order_of_their_broken_bonds(copper):
    surfaces = copper.surface_energies_j_per_m2
    assert 0.0 < surfaces["110"] < surfaces["100"]
    assert surfaces["110"] < surfaces["111"]
    assert copper.vacancy_formation_ev > 0.0
    assert copper.vacancy_cell_atoms == 54


def test_relaxation_can_only_lower_the_energy_of_a_vacancy(copper):
    atoms = bulk("Cu", "bcc", a=copper.lattice_parameter_angstrom, cubic=True).repeat(3)
    del atoms[0]
    atoms.calc = EMT()
    rigid = atoms.get_potential_energy() - 53 * copper.energy_ev_per_atom
    assert copper.vacancy_formation_ev < rigid
    assert copper.vacancy_formation_ev > 0.5 * rigid


def test_a_potential_without_a_minimum_is_refused():
    repulsive = LennardJones(epsilon=-0.1, sigma=2.5, rc=6.0)
    with pytest.raises(MoAlloyError, match="expected an energy minimum of Mo"):
        static_properties(repulsive)
