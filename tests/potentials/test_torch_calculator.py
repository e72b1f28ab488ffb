"""mace-torch behind our ASE calculator, against mace-torch's own."""

import numpy as np
import pytest
import torch
from support.cells import doped_cell, slab, two_atom_cell
from support.models import calculator, random_model, save_model

from moalloy_md.errors import ModelError
from moalloy_md.potentials.torch_calculator import TorchCalculator


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, one_torch_thread):
    model = random_model(elements=("Mo", "W"), hidden="4x0e + 4x1o", max_ell=2, correlation=2)
    path = tmp_path_factory.mktemp("teacher") / "teacher.model"
    save_model(model, path)
    return model, path


@pytest.mark.parametrize(
    "atoms", [doped_cell(("Mo", "W"), n=2), two_atom_cell()], ids=["16 atoms", "2 atoms"]
)
def test_the_same_as_mace_torch(teacher, atoms):
    model, path = teacher
    oracle, ours = calculator(model), TorchCalculator(path, device="cpu")
    assert ours.get_potential_energy(atoms) == pytest.approx(
        oracle.get_potential_energy(atoms), abs=1e-9
    )
    np.testing.assert_allclose(ours.get_forces(atoms), oracle.get_forces(atoms), atol=1e-9)
    np.testing.assert_allclose(ours.get_stress(atoms), oracle.get_stress(atoms), atol=1e-11)


def test_stress_is_the_derivative_of_the_energy(teacher):
    """Voigt xx yy zz yz xz xy, tension positive: (1/V) dE/dε by central differences."""
    ours, atoms = TorchCalculator(teacher[1], device="cpu"), doped_cell(("Mo", "W"), n=2)
    stress, step = ours.get_stress(atoms), 1e-4
    for k, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        energies = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            energies.append(ours.get_potential_energy(strained))
        slope = (energies[0] - energies[1]) / (2 * step * atoms.get_volume())
        assert slope == pytest.approx(stress[k], abs=1e-6)


def test_energy_is_the_free_energy_and_torch_is_left_as_it_was(teacher):
    before = torch.get_default_dtype()
    atoms = slab(("Mo", "W"))
    atoms.calc = TorchCalculator(teacher[1], device="cpu", dtype="float32")
    free = atoms.get_potential_energy(force_consistent=True)
    assert free == atoms.get_potential_energy()
    assert free == pytest.approx(calculator(teacher[0]).get_potential_energy(atoms), abs=1e-3)
    assert torch.get_default_dtype() == before


def test_refusals(teacher):
    with pytest.raises(ModelError, match=r"expected head to be one of .*found 'other'"):
        TorchCalculator(teacher[1], device="cpu", head="other")
    atoms = doped_cell(("Mo", "Ti"), n=2)
    with pytest.raises(ModelError, match=r"\(Mo, W\), found Ti"):
        TorchCalculator(teacher[1], device="cpu").get_potential_energy(atoms)
    atoms = doped_cell(("Mo", "W"), n=2)
    atoms.positions[0] = atoms.positions[1]
    with pytest.raises(ModelError, match="expected finite energies and forces"):
        TorchCalculator(teacher[1], device="cpu").get_potential_energy(atoms)
