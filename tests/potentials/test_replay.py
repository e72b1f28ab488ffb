"""Replay: what a model knew is shown to it again, with references that fit the new cells."""

import json

import numpy as np
import pytest
from ase.io import read, write
from support.cells import doped_cell
from support.models import random_model, save_model
from support.trainings import configuration

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.errors import ConfigError, DataError, ModelError
from moalloy_md.potentials.foundations import resolve_foundation
from moalloy_md.potentials.loading import load_model
from moalloy_md.potentials.mace_options import TRAIN_WITH_REPLAY
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.replay import label_replay, replay_cells
from moalloy_md.potentials.start import open_start
from moalloy_md.potentials.train import train
from moalloy_md.potentials.train_config import FineTune, Replay
from moalloy_md.potentials.training_set import read_training_set

SHAPE = {"hidden": "4x0e", "max_ell": 1, "correlation": 2, "r_max": 4.0, "n_layers": 2}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def foundation(tmp_path_factory):
    path = tmp_path_factory.mktemp("foundation") / "foundation.model"
    save_model(random_model(elements=("Al", "Ti", "Ni", "Cu"), seed=3, **SHAPE), path)
    return path


@pytest.fixture
def old(tmp_path):
    """Cells unlike those of the training: wide, and of another host. Their labels are wrong."""
    atoms = [doped_cell(("Cu", "Al"), n=2, seed=k, rattle=0.1, host="Cu") for k in range(6)]
    for one in atoms:
        one.set_cell(one.cell * 1.1, scale_atoms=True)
        one.info["REF_energy"] = 1e6
    write(tmp_path / "old.extxyz", atoms, format="extxyz")
    return tmp_path / "old.extxyz"


def replaying(data, foundation, optimisation=None, **method):
    start = {
        "kind": "fine-tune",
        "foundation": str(foundation),
        "method": {"kind": "replay", **method},
    }
    return configuration(data, start=start, optimisation=optimisation, dtype="float64")


def test_labels_are_the_models_own_with_other_references(foundation, old):
    start = open_start(FineTune(foundation=str(foundation)), {"Al", "Cu"}, device="cpu")
    atoms = read(old, ":")
    expected = predict(start.foundation.network, atoms)
    own = start.foundation.e0s_ev
    e0s = {"Al": own["Al"] + 1.5, "Ni": own["Ni"], "Cu": own["Cu"] - 0.25}
    found = label_replay(atoms, start, e0s, source="old")
    for k, one in enumerate(found):
        counts = [one.symbols.formula.count().get(x, 0) for x in ("Al", "Cu")]
        moved = 1.5 * counts[0] - 0.25 * counts[1]
        assert one.info["REF_energy"] == pytest.approx(expected.energies_ev[k] + moved, abs=1e-9)
        np.testing.assert_array_equal(one.arrays["REF_forces"], expected.forces[k])


def test_what_is_replayed_is_forgotten_less(emt_data, foundation, old, tmp_path):
    """Against the foundation itself, beside the same training without replay."""
    fit = {"max_epochs": 12, "learning_rate": 0.02, "ema_decay": None}
    naive = configuration(
        emt_data,
        start={"kind": "fine-tune", "foundation": str(foundation)},
        optimisation=fit,
        dtype="float64",
    )
    atoms = read(old, ":")
    knew = predict(load_model(foundation), atoms)

    def forgotten(model):
        found = predict(load_model(model), atoms)
        return np.mean(
            [np.abs(a - b).mean() for a, b in zip(found.forces, knew.forces, strict=True)]
        )

    without = train(naive, tmp_path / "naive")
    with_it = train(replaying(emt_data, foundation, fit, cells=str(old)), tmp_path / "replay")
    assert forgotten(with_it.model) < 0.8 * forgotten(without.model)
    log = (tmp_path / "replay" / "train.log").read_text()
    assert "# 6 replayed cells, labelled by the model that training starts from" in log
    assert json.loads((tmp_path / "replay" / "manifest.json").read_text())["data"]["n_replay"] == 6


def test_the_trainer_sees_both(emt_data, foundation, old, tmp_path, monkeypatch):
    config = replaying(emt_data, foundation, cells=str(old))

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("moalloy_md.potentials.train._run_trainer", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "out")
    found = read(tmp_path / "out" / "trainer" / TRAIN_WITH_REPLAY, ":")
    new = read(emt_data / "train.extxyz", ":")
    assert [a.info["REF_energy"] for a in found[: len(new)]] == [a.info["REF_energy"] for a in new]
    for before, after in zip([*new, *read(old, ":")], found, strict=True):
        assert before == after  # elements, places, cell
    assert all(abs(a.info["REF_energy"]) < 1e5 for a in found)  # none of the file's labels


def test_cells_are_made_where_none_are_given(emt_data):
    frames = read_dataset(emt_data / "train.extxyz")
    made = replay_cells(Replay(lattice="fcc", lattice_parameter_angstrom=3.5), frames)
    names = [atoms.info["name"] for atoms in made]
    assert "Ni-fcc-vacancy-Al-shell1" in names
    assert "Ni-fcc-surface111-Cu-top" in names
    with pytest.raises(
        ConfigError, match=r"lattice_parameter_angstrom: expected the edge .* of Ni"
    ):
        replay_cells(Replay(lattice="fcc"), frames)


def test_elements_of_the_cells_are_in_the_table(emt_data, foundation, tmp_path):
    titanium = doped_cell(("Ni", "Ti"), n=2, seed=1, rattle=0.1, host="Ni")
    write(tmp_path / "ti.extxyz", titanium, format="extxyz")
    config = replaying(emt_data, foundation, cells=str(tmp_path / "ti.extxyz"))
    found = read_training_set(config)
    assert "Ti" in found.elements
    assert found.e0s_ev["Ti"] == pytest.approx(resolve_foundation(foundation).e0s_ev["Ti"])


def test_cells_that_cannot_be_replayed(emt_data, foundation, tmp_path):
    with pytest.raises(DataError, match=r"gone.extxyz: cannot be read \(No such file"):
        read_training_set(replaying(emt_data, foundation, cells=str(tmp_path / "gone.extxyz")))
    gold = doped_cell(("Ni", "Au"), n=2, seed=1, rattle=0.1, host="Ni")
    write(tmp_path / "gold.extxyz", gold, format="extxyz")
    with pytest.raises(ModelError, match="knows all elements of the data, found that it lacks Au"):
        read_training_set(replaying(emt_data, foundation, cells=str(tmp_path / "gold.extxyz")))
