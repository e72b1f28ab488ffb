"""Mo and its dopants by the base models, beside what is published and what has to hold.

docs/base_model.md has the numbers themselves; here are those that no later model may lose.
"""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa

from moalloy_md.analysis.equation_of_state import fit_birch_murnaghan
from moalloy_md.elements import ALL_DOPANTS, HOST
from moalloy_md.potentials import base
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.potentials.native_model import write_native

pytestmark = pytest.mark.usefixtures("one_torch_thread")

#: PBE (Materials Project), Å and GPa.
LATTICE_PARAMETER, BULK_MODULUS = 3.166, 264.0

#: Metallic radii for 12 neighbours, Å (N. N. Greenwood, A. Earnshaw, Chemistry of the Elements): of
#: Mo 1.39, and those that differ from it by 0.05 or more.
LARGER = {"Y": 1.80, "Zr": 1.60, "Hf": 1.59, "Nb": 1.46, "Ta": 1.46}
SMALLER = {"Cr": 1.28, "Fe": 1.26, "Co": 1.25, "Ni": 1.24, "V": 1.34}


@pytest.fixture(scope="module", params=base.base_sizes())
def calculator(request, tmp_path_factory):
    """The native engine, in the precision in which tiny strains are computed."""
    model = base.load_base(request.param)
    file = tmp_path_factory.mktemp("base") / "model.safetensors"
    e0s = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())[0]
    write_native(model, file, head=0, dtype="float64", reference_energies=e0s)
    return NativeCalculator(file, threads=1)


def energy(atoms, calculator):
    atoms.calc = calculator
    return atoms.get_potential_energy()


@pytest.fixture(scope="module")
def lattice(calculator):
    """Equation of state of bcc Mo."""
    cells = [bulk(HOST, "bcc", a=LATTICE_PARAMETER * x) for x in np.linspace(0.97, 1.03, 9)]
    volumes = [cell.get_volume() for cell in cells]
    return fit_birch_murnaghan(volumes, [energy(cell, calculator) for cell in cells])


def edge(lattice):
    return (2 * lattice.volume_angstrom3) ** (1 / 3)


def test_lattice_parameter_and_bulk_modulus(lattice):
    assert edge(lattice) == pytest.approx(LATTICE_PARAMETER, rel=0.003)
    assert lattice.bulk_modulus_gpa == pytest.approx(BULK_MODULUS, rel=0.05)


def test_bcc_lies_lowest(lattice, calculator):
    """And by more than a crystal at 1000 K has to give."""
    for structure in ("fcc", "hcp"):
        energies = []
        for volume in lattice.volume_angstrom3 * np.linspace(0.95, 1.08, 9):
            a = (4 * volume) ** (1 / 3) if structure == "fcc" else (volume * 2**0.5) ** (1 / 3)
            cell = bulk(HOST, structure, a=a)
            energies.append(energy(cell, calculator) / len(cell))
        assert min(energies) - lattice.energy_ev > 0.1


def test_the_crystal_resists_shear(lattice, calculator):
    """Both shear constants of a cubic crystal, by a strain of 1 %: a soft model may lose C'."""
    cell = bulk(HOST, "bcc", a=edge(lattice), cubic=True)
    start, x = energy(cell, calculator), 0.01
    strains = {
        "C'": np.diag([1 + x, 1 / (1 + x), 1.0]),
        "C44": np.array([[1, x, 0], [0, 1, 0], [0, 0, 1.0]]),
    }
    for name, strain in strains.items():
        strained = cell.copy()
        strained.set_cell(cell.cell @ strain, scale_atoms=True)
        rise = (energy(strained, calculator) - start) / cell.get_volume() / GPa
        # of the whole energy: 2 C' x² and C44 x² / 2
        constant = rise / (2 * x**2 if name == "C'" else x**2 / 2)
        assert constant > 40, name


def test_dopants_press_as_their_radii_say(lattice, calculator):
    """In a fixed cell a larger atom presses outwards and a smaller one pulls."""
    host = bulk(HOST, "bcc", a=edge(lattice), cubic=True).repeat(3)
    pressure = {}
    for dopant in ALL_DOPANTS:
        cell = host.copy()
        cell.symbols[0] = dopant
        cell.calc = calculator
        pressure[dopant] = -np.trace(cell.get_stress(voigt=False)) / 3 / GPa
    assert all(pressure[dopant] > 0.5 for dopant in LARGER), pressure
    assert all(pressure[dopant] < -0.2 for dopant in SMALLER), pressure
    assert max(pressure, key=pressure.get) == "Y"


def test_all_pairs_of_elements_repel_on_their_way_to_each_other(calculator):
    """231 pairs in vacuum: the energy rises all the way from 1.6 to 0.8 Å, so no atoms fuse."""
    distances = np.linspace(1.6, 0.8, 17)
    pairs = list(combinations_with_replacement((HOST, *ALL_DOPANTS), 2))
    assert len(pairs) == 231
    energies = [
        [energy(Atoms(pair, [[0, 0, 0], [0, 0, r]]), calculator) for r in distances]
        for pair in pairs
    ]
    slopes = np.diff(energies, axis=1) / 0.05
    weakest = pairs[np.argmin(slopes.min(axis=1))]
    assert slopes.min() > 5, f"{weakest}: {slopes.min():.1f} eV/Å"
