"""The base models: files that cannot execute, and that give back the very network."""

import json
import shutil

import numpy as np
import pytest
import torch
from ase.build import bulk
from support.models import random_model

from moalloy_md.elements import ALL_DOPANTS, HOST
from moalloy_md.errors import ModelError
from moalloy_md.potentials import base
from moalloy_md.potentials.loading import model_elements
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.tiny import tiny_model


@pytest.fixture
def cell():
    atoms = bulk("Mo", "bcc", a=3.2, cubic=True).repeat(2)
    atoms.rattle(0.1, seed=3)
    atoms.symbols[3] = "W"
    return atoms


def test_a_written_network_comes_back_to_the_last_bit(tmp_path, cell):
    model = tiny_model()
    files = base.save_weights(model, tmp_path, "tiny", {"note": 1})
    again = base.load_weights(files)
    first, second = (predict(m, [cell], batch_size=1) for m in (model, again))
    assert first.energies_ev == second.energies_ev
    assert np.array_equal(first.forces, second.forces)
    assert model_elements(again) == model_elements(model)
    assert not again.training


def test_the_random_numbers_of_torch_stay_as_they_were(tmp_path):
    files = base.save_weights(tiny_model(), tmp_path, "tiny", {})
    before = torch.get_rng_state()
    base.load_weights(files)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_files_hold_no_pickle(tmp_path):
    files = base.save_weights(tiny_model(), tmp_path, "tiny", {})
    header = int.from_bytes(files.weights.read_bytes()[:8], "little")
    assert isinstance(json.loads(files.weights.read_bytes()[8 : 8 + header]), dict)
    assert sorted(json.loads(files.description.read_text())) == [
        "architecture",
        "card",
        "weights_sha256",
    ]


def test_changed_weights_are_refused(tmp_path):
    files = base.save_weights(tiny_model(), tmp_path, "tiny", {})
    content = bytearray(files.weights.read_bytes())
    content[-1] ^= 1
    files.weights.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"expected the weights with SHA-256 .* damaged"):
        base.load_weights(files)


def test_a_missing_or_torn_file_is_refused(tmp_path):
    files = base.save_weights(tiny_model(), tmp_path, "tiny", {})
    files.description.write_text('{"architecture": ')
    with pytest.raises(ModelError, match=r"expected the description of a base model"):
        base.load_weights(files)
    shutil.rmtree(tmp_path)
    with pytest.raises(ModelError, match=r"tiny\.json"):
        base.load_weights(files)


def test_a_network_that_the_description_does_not_make_is_refused(tmp_path):
    with pytest.raises(ModelError, match="expected a network that its description makes again"):
        base.save_weights(random_model(distance_transform="Agnesi"), tmp_path, "other", {})
    assert not list(tmp_path.iterdir())


def test_an_unknown_size_names_the_known_ones():
    with pytest.raises(ModelError, match=r"expected one of .*small.* did you mean 'small'"):
        base.load_base("smal")


@pytest.mark.parametrize("size", base.base_sizes())
def test_each_size_knows_mo_and_its_dopants_and_gives_what_its_card_says(size):
    model = base.load_base(size)
    card = base.base_card(size)
    check = card["check"]
    atoms = bulk("Mo", "bcc", a=check["lattice_parameter_angstrom"], cubic=True).repeat(2)
    atoms.symbols[: len(check["first_atoms"])] = check["first_atoms"]
    atoms.rattle(check["rattle_angstrom"], seed=check["rattle_seed"])
    found = predict(model, [atoms], batch_size=1)
    assert found.energies_ev[0] == pytest.approx(check["energy_ev"], abs=1e-3)
    assert np.abs(found.forces[0]).max() == pytest.approx(check["largest_force"], abs=1e-3)
    numbers = {atoms.numbers[0] for atoms in (bulk(x, "sc", a=3) for x in (HOST, *ALL_DOPANTS))}
    assert set(model_elements(model)) == numbers


@pytest.mark.parametrize("size", base.base_sizes())
def test_close_nuclei_repel_as_ziegler_biersack_and_littmark_say(size):
    """Their universal screening: LAMMPS's pair_style zbl has the same."""
    model = base.load_base(size)
    assert float(model.pair_repulsion_fn.a_exp) == pytest.approx(0.23)
    assert float(model.pair_repulsion_fn.a_prefactor) == pytest.approx(0.8854)


def test_together_they_stay_small():
    sizes = [base.base_files(size).weights.stat().st_size for size in base.base_sizes()]
    assert 0 < sum(sizes) < 10e6
