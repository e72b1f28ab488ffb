"""A model that is cut down to some elements gives the same energies and forces."""

import numpy as np
import pytest
from support.cells import doped_cell
from support.models import calculator, copy_of, random_model

from moalloy_md.errors import ModelError
from moalloy_md.potentials.elements_subset import keep_elements

ALL = ("V", "Mo", "Ta", "W", "Hf")


@pytest.mark.parametrize(
    "shape",
    [
        {"hidden": "8x0e + 8x1o"},
        {"hidden": "8x0e + 8x1o + 8x2e", "first": "plain", "zbl": True},
        {
            "hidden": "8x0e",
            "first": "density",
            "later": "density-residual",
            "distance_transform": "Agnesi",
        },
        {"hidden": "8x0e + 8x1o", "first": "plain", "later": "plain"},
        {"hidden": "8x0e", "n_layers": 1},
    ],
    ids=["residual", "plain+ZBL", "density", "all-plain", "one-layer"],
)
@pytest.mark.parametrize("kept", [("Mo", "W"), ("Hf", "V", "Mo"), ("Ta",)], ids="-".join)
def test_energies_and_forces_stay(shape, kept):
    model = random_model(elements=ALL, **shape)
    atoms = doped_cell(kept, n=2, seed=3)
    cut = copy_of(model)
    keep_elements(cut, [symbol_number(e) for e in kept])
    assert len(cut.atomic_numbers) == len(kept)
    assert sum(p.numel() for p in cut.parameters()) < sum(p.numel() for p in model.parameters())
    before, after = calculator(model), calculator(cut)
    assert after.get_potential_energy(atoms) == pytest.approx(
        before.get_potential_energy(atoms), abs=1e-10
    )
    np.testing.assert_allclose(after.get_forces(atoms), before.get_forces(atoms), atol=1e-11)


def test_of_several_heads_each_keeps_its_reference_energies():
    model = random_model(elements=ALL, heads=["pt", "dft"])
    atoms = doped_cell(("Mo", "W"), n=2, seed=4)
    cut = copy_of(model)
    keep_elements(cut, [42, 74])
    for head in ("pt", "dft"):
        assert calculator(cut, head=head).get_potential_energy(atoms) == pytest.approx(
            calculator(model, head=head).get_potential_energy(atoms), abs=1e-10
        )


def test_unknown_block_is_refused():
    model = random_model(elements=ALL, hidden="4x0e")
    model.interactions[0].__class__ = type("NewBlock", (type(model.interactions[0]),), {})
    with pytest.raises(ModelError, match="found NewBlock: use this model with all its elements"):
        keep_elements(model, [42, 74])


def symbol_number(symbol):
    from ase.data import atomic_numbers

    return atomic_numbers[symbol]
