"""A bundle's TorchScript file behind ASE, against mace-torch."""

import numpy as np
import pytest
from support.bundles import fake_bundle
from support.cells import doped_cell, slab
from support.models import calculator

from moalloy_md.errors import ModelError
from moalloy_md.potentials.torchscript_calculator import TorchScriptCalculator

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def bundle(scripted, tmp_path_factory):
    model, file = scripted(elements=("Mo", "W"), hidden="4x0e", max_ell=2, correlation=2)
    folder = tmp_path_factory.mktemp("script") / "bundle"
    return model, fake_bundle(folder, torchscript=file.read_bytes())


@pytest.mark.parametrize("atoms", [doped_cell(("Mo", "W"), n=2), slab(("Mo", "W"))])
def test_the_same_as_mace_torch(bundle, atoms):
    model, folder = bundle
    ours, oracle = TorchScriptCalculator(folder), calculator(model)
    assert ours.get_potential_energy(atoms) == pytest.approx(
        oracle.get_potential_energy(atoms), abs=1e-8
    )
    np.testing.assert_allclose(ours.get_forces(atoms), oracle.get_forces(atoms), atol=1e-8)
    if atoms.pbc.all():  # mace-torch enlarges open cells, and takes their volume
        np.testing.assert_allclose(ours.get_stress(atoms), oracle.get_stress(atoms), atol=1e-10)


def test_unknown_elements_are_refused(bundle):
    with pytest.raises(ModelError, match="expected atoms of the model's elements Mo, W, found Ta"):
        TorchScriptCalculator(bundle[1]).get_potential_energy(doped_cell(("Mo", "Ta"), n=1))


def test_a_file_that_is_no_torchscript_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected TorchScript, found a file that torch cannot"):
        TorchScriptCalculator(fake_bundle(tmp_path / "b", torchscript=b"something else"))
