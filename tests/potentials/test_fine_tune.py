"""Fine-tuning and refining: what is taken over and what is changed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import read, write
from support.cells import doped_cell
from support.models import random_model, save_model
from support.trainings import E0S, KNOWN, SHAPE, cells, configuration, fine_tuned

from moalloy_md.config import validate
from moalloy_md.datasets.frames import frame_from_atoms, read_dataset
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.potentials.committee import train_committee
from moalloy_md.potentials.foundations import resolve_foundation
from moalloy_md.potentials.loading import load_model, model_elements
from moalloy_md.potentials.mace_options import mace_arguments
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.potentials.start import architecture_of
from moalloy_md.potentials.train import train
from moalloy_md.potentials.train_config import Scratch, TrainConfig
from moalloy_md.potentials.training_set import read_training_set

#: So small a step that weights stay what they were: what is left is what was taken over.
STILL = {"learning_rate": 1e-30, "weight_decay": 0.0, "max_epochs": 1, "ema_decay": None}


pytestmark = pytest.mark.usefixtures("one_thread")


def energies(network, atoms):
    return predict(network, atoms).energies_ev


def test_weights_of_the_foundation_are_taken_over(emt_data, foundation, tmp_path):
    """With a step of no size it predicts what the foundation does, for kept elements too."""
    config = fine_tuned(
        emt_data, foundation, start={"e0s": "foundation"}, optimisation=STILL, elements=["Ti"]
    )
    result = train(config, tmp_path / "out")
    before, after = load_model(foundation), load_model(result.model)
    assert model_elements(after) == [13, 22, 28, 29]  # the unseen Ti stays in the table
    atoms = [doped_cell(KNOWN, n=2, seed=8, host="Ni"), doped_cell(("Ni", "Al"), n=2, seed=9)]
    np.testing.assert_allclose(energies(after, atoms), energies(before, atoms), atol=1e-9)
    # what the optimizer does not know must be no parameter: its gradient would pile up
    assert not any(name.startswith("radial") for name, _ in after.named_parameters())
    assert result.unseen == {"Ti": "that of the model that training starts from"}
    log = (tmp_path / "out" / "train.log").read_text()
    assert "# E0 of Ti, which no training cell has: that of the model" in log
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["data"]["unseen"] == result.unseen
    assert manifest["data"]["start"]["sha256"] == resolve_foundation(foundation).sha256


def test_the_repulsion_of_the_foundation_is_taken_over(emt_data, tmp_path):
    """mace-torch builds its ZBL term anew, with constants of its own."""
    model = random_model(elements=KNOWN, seed=3, zbl=True, **SHAPE)
    model.pair_repulsion_fn.a_exp.fill_(0.23)
    model.pair_repulsion_fn.a_prefactor.fill_(0.8854)
    save_model(model, tmp_path / "foundation.model")
    config = fine_tuned(
        emt_data, tmp_path / "foundation.model", start={"e0s": "foundation"}, optimisation=STILL
    )
    result = train(config, tmp_path / "out")
    close = doped_cell(("Ni", "Al"), n=2, seed=9)
    close.set_cell(close.cell * 0.6, scale_atoms=True)
    before, after = (
        energies(load_model(Path(m)), [close]) for m in (config.start.foundation, result.model)
    )
    np.testing.assert_allclose(after, before, rtol=1e-9)


def test_e0s_that_were_chosen_are_those_of_the_model(emt_data, foundation, tmp_path):
    """mace-torch takes over the foundation's where the tables are equally long; here it must not."""
    given = {**E0S, "Ti": -7.5}
    result = train(
        fine_tuned(emt_data, foundation, start={"e0s": given}, optimisation=STILL, elements=["Ti"]),
        tmp_path / "out",
    )
    after = load_model(result.model).atomic_energies_fn.atomic_energies.numpy().ravel()
    np.testing.assert_allclose(after, [-1.0, -7.5, -3.0, -2.0])
    assert result.e0s_from == "given in the configuration"


def test_estimated_e0s_are_those_of_mace_torch(emt_data, foundation):
    with quiet_mace():
        from mace.data import KeySpecification, config_from_atoms, estimate_e0s_from_foundation
        from mace.tools import AtomicNumberTable
    found = read_training_set(fine_tuned(emt_data, foundation))
    network = load_model(foundation)
    keys = KeySpecification(info_keys={"energy": "REF_energy"})
    frames = read_dataset(emt_data / "train.extxyz")
    with quiet_mace():
        from mace.tools.torch_tools import default_dtype
    with default_dtype(torch.float64):
        expected = estimate_e0s_from_foundation(
            network,
            {z: resolve_foundation(foundation).e0s_ev[x] for x, z in (("Al", 13), ("Ni", 28), ("Cu", 29))},
            [config_from_atoms(frame.atoms, keys) for frame in frames],
            AtomicNumberTable([13, 28, 29]),
        )  # fmt: skip
    assert list(found.e0s_ev) == ["Al", "Ni", "Cu"]
    np.testing.assert_allclose(list(found.e0s_ev.values()), list(expected.values()), rtol=1e-6)
    assert "corrected by least squares" in found.e0s_from


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("foundation", lambda base, found: base["Ti"]),
        ("mean", lambda base, found: np.mean([found[x] for x in E0S])),
        (
            "mean-correction",
            lambda base, found: base["Ti"] + np.mean([found[x] - base[x] for x in ("Al", "Cu")]),
        ),
        ({"Ti": -1.25}, lambda base, found: -1.25),
    ],
)
def test_reference_energy_of_an_unseen_element(emt_data, foundation, policy, expected):
    start = {"unseen_e0s": policy}
    found = read_training_set(fine_tuned(emt_data, foundation, start=start, elements=["Ti"]))
    base = resolve_foundation(foundation).e0s_ev
    assert found.e0s_ev["Ti"] == pytest.approx(expected(base, found.e0s_ev))
    assert found.elements == ("Al", "Ti", "Ni", "Cu")
    with pytest.raises(ConfigError, match=r"unseen_e0s: expected an energy for Ti"):
        read_training_set(
            fine_tuned(emt_data, foundation, start={"unseen_e0s": {"Al": 1.0}}, elements=["Ti"])
        )


def test_frozen_layers_stay_and_the_others_move(emt_data, foundation, tmp_path):
    method = {"kind": "frozen", "layers": "products"}
    config = fine_tuned(
        emt_data, foundation, start={"method": method}, optimisation={"max_epochs": 1}
    )
    result = train(config, tmp_path / "out")
    before, after = load_model(foundation), load_model(result.model)
    for k in range(2):
        assert torch.equal(before.products[k].linear.weight, after.products[k].linear.weight)
        assert torch.equal(
            before.interactions[k].linear_up.weight, after.interactions[k].linear_up.weight
        )
    moved = [p for n, p in after.named_parameters() if n.startswith("readouts")]
    was = [p for n, p in before.named_parameters() if n.startswith("readouts")]
    assert all(not torch.equal(a, b) for a, b in zip(moved, was, strict=True) if a.numel())
    assert result.n_parameters == sum(p.numel() for p in moved)


def test_replay_trains_two_heads_and_gives_the_new_one(emt_data, foundation, tmp_path):
    write(tmp_path / "old.extxyz", cells(4, 7, symbols=("Ni", "Cu")))
    write(tmp_path / "old_valid.extxyz", cells(2, 8, symbols=("Ni", "Cu")))
    method = {
        "kind": "multihead",
        "replay": str(tmp_path / "old.extxyz"),
        "replay_valid": str(tmp_path / "old_valid.extxyz"),
    }
    fit = {"loss": "universal", "max_epochs": 2, "learning_rate": 0.01}
    config = fine_tuned(emt_data, foundation, start={"method": method}, optimisation=fit)
    result = train(config, tmp_path / "out")
    lines = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [entry["epoch"] for entry in history] == [0, 1]
    for key in ("loss", "pt_head_loss"):  # each head is trained
        assert history[0][key] != history[1][key]
    both, one = load_model(tmp_path / "out" / "multihead.model"), load_model(result.model)
    assert both.heads == ["pt_head", "Default"]
    atoms = [frame.atoms for frame in read_dataset(emt_data / "test.extxyz")]
    expected = predict(both, atoms, head="Default")
    np.testing.assert_allclose(energies(one, atoms), expected.energies_ev, atol=1e-9)
    assert not np.allclose(energies(one, atoms), predict(both, atoms, head="pt_head").energies_ev)
    e0s = both.atomic_energies_fn.atomic_energies.numpy()
    base = resolve_foundation(foundation).e0s_ev
    np.testing.assert_allclose(e0s[0], [base[x] for x in ("Al", "Ni", "Cu")])
    np.testing.assert_allclose(e0s[1], list(result.e0s_ev.values()))


def test_refining_extends_the_table_and_keeps_what_is_known(emt_data, two_elements, tmp_path):
    start = {"kind": "refine", "model": str(two_elements), "proxies": {"Al": "Cu"}}
    config = configuration(emt_data, start=start, optimisation=STILL, dtype="float64")
    result = train(config, tmp_path / "out")
    before, after = load_model(two_elements), load_model(result.model)
    assert model_elements(after) == [13, 28, 29]
    assert result.proxies == {"Al": "Cu"}
    old = [doped_cell(("Ni", "Cu"), n=2, seed=seed, host="Ni") for seed in (1, 2)]
    np.testing.assert_allclose(energies(after, old), energies(before, old), atol=1e-9)
    # Al is Cu with another E0, fitted so that the cells' energies are right on the whole
    new = doped_cell(("Ni", "Cu", "Al"), n=2, seed=3, host="Ni")
    as_proxy = new.copy()
    as_proxy.symbols[[x == "Al" for x in new.symbols]] = "Cu"
    shift = result.e0s_ev["Al"] - result.e0s_ev["Cu"]
    n_al = list(new.symbols).count("Al")
    np.testing.assert_allclose(
        energies(after, [new]), energies(before, [as_proxy]) + n_al * shift, atol=1e-9
    )
    frames = read_dataset(emt_data / "train.extxyz")
    error = energies(after, [f.atoms for f in frames]) - [f.energy_ev for f in frames]
    counts = np.array([list(f.atoms.symbols).count("Al") for f in frames])
    assert abs(counts @ error) < 1e-6 * counts.sum()  # the normal equation of the fit
    assert "corrected for Al alone" in result.e0s_from
    assert {x: result.e0s_ev[x] for x in ("Ni", "Cu")} == pytest.approx(
        {x: resolve_foundation(two_elements).e0s_ev[x] for x in ("Ni", "Cu")}
    )


def test_refining_keeps_elements_that_the_new_cells_lack(emt_data, two_elements, tmp_path):
    for name, seed in (("train", 41), ("valid", 42)):
        write(tmp_path / f"{name}.extxyz", cells(3, seed, symbols=("Ni", "Al")))
    start = {"kind": "refine", "model": str(two_elements)}
    found = read_training_set(configuration(tmp_path, start=start))
    assert found.elements == ("Al", "Ni", "Cu")
    assert found.e0s_ev["Cu"] == resolve_foundation(two_elements).e0s_ev["Cu"]
    assert found.unseen == {"Cu": "that of the model that training starts from"}


def test_committee_differs_in_its_seed_alone(emt_data, tmp_path):
    config = configuration(emt_data, optimisation={"max_epochs": 1}, committee=2)
    begun = []
    results = train_committee(config, tmp_path / "out", begin=begun.append)
    assert [member.seed for member in begun] == [1, 2]
    models = json.loads((tmp_path / "out" / "committee.json").read_text())["models"]
    assert models == ["00/model.model", "01/model.model"]
    assert results[0].e0s_ev == results[1].e0s_ev
    assert results[0].force_mae_mev_per_angstrom != results[1].force_mae_mev_per_angstrom
    again = train_committee(config, tmp_path / "out", begin=lambda _: None)
    assert all(result.was_finished for result in again)


@pytest.fixture
def strict_split(tmp_path, emt_data):
    """A split that holds Al out of cells of Ni with Cu or Al."""
    from moalloy_md.datasets.split import LodoStrict
    from moalloy_md.datasets.split_folder import split_file

    images = cells(6, 21, symbols=("Ni", "Cu")) + cells(3, 22, symbols=("Ni", "Al"))
    write(tmp_path / "all.extxyz", images)
    split_file(tmp_path / "all.extxyz", LodoStrict(held_out="Al"), tmp_path / "split")
    return tmp_path / "split"


def test_strictly_held_out_element_is_in_the_table_and_in_no_training_cell(
    strict_split, foundation
):
    for part in ("train", "valid"):
        assert all(
            "Al" not in atoms.symbols for atoms in read(strict_split / f"{part}.extxyz", ":")
        )
    assert any("Al" in atoms.symbols for atoms in read(strict_split / "test.extxyz", ":"))
    found = read_training_set(fine_tuned(strict_split, foundation))
    assert found.held_out == "Al"
    assert found.elements == ("Al", "Ni", "Cu")
    assert found.e0s_ev["Al"] == resolve_foundation(foundation).e0s_ev["Al"]
    scratch = configuration(strict_split)
    found = read_training_set(scratch)
    assert found.e0s_ev["Al"] == pytest.approx((found.e0s_ev["Ni"] + found.e0s_ev["Cu"]) / 2)
    assert found.unseen == {"Al": "mean of the training set's elements"}
    words = mace_arguments(scratch, found, device="cpu", folder=strict_split)
    assert "--atomic_numbers=[13, 28, 29]" in words


def test_held_out_element_in_a_training_cell_is_found(strict_split, foundation):
    """Also where somebody mended the hashes."""
    path = strict_split / "train.extxyz"
    images = read(path, ":")
    images[0].symbols[0] = "Al"
    write(path, images)
    summary = json.loads((strict_split / "split.json").read_text())
    hashes = [frame_from_atoms(atoms).sha256 for atoms in read(path, ":")]
    summary["frame_sha256"]["train"] = hashes
    (strict_split / "split.json").write_text(json.dumps(summary))
    with pytest.raises(DataError, match=r"frame 0 .* no atom of the strictly held-out dopant Al"):
        read_training_set(fine_tuned(strict_split, foundation))


def test_scratch_like_a_foundation_has_its_network(foundation, emt_training):
    found = architecture_of(resolve_foundation(foundation))
    assert (found.channels, found.max_l, found.r_max_angstrom) == (4, 0, 4.0)
    assert (found.max_ell, found.correlation, found.num_interactions) == (1, 2, 2)
    # of a model that was built from a description comes the description
    _, result, _ = emt_training
    built = configuration(emt_training[0]).start.model
    assert architecture_of(resolve_foundation(result.model)) == built
    assert Scratch(like=str(foundation)).like == str(foundation)


def test_resumed_run_does_not_evaluate_the_foundation_again(
    emt_data, foundation, tmp_path, monkeypatch
):
    config = fine_tuned(emt_data, foundation)
    first = read_training_set(config)
    monkeypatch.setattr(
        "moalloy_md.potentials.start.predict", lambda *_, **__: pytest.fail("evaluated again")
    )
    again = read_training_set(config, before=json.loads(json.dumps(first.as_dict())))
    assert again.e0s_ev == first.e0s_ev


def test_presets():
    """The paper's numbers (REFERENCE.md), with what is said beside them going before."""

    def settings(**content):
        return validate({"train": "a", "valid": "b", **content}, TrainConfig, source="test")

    tuned = {"kind": "fine-tune", "foundation": "small"}
    paper = settings(preset="paper", start=tuned)
    fit = paper.optimisation
    assert (fit.batch_size, fit.max_epochs, fit.learning_rate) == (8, 200, 3e-4)
    assert (fit.energy_weight, fit.forces_weight, fit.weight_decay) == (30, 30, 1e-6)
    assert (fit.ema_decay, fit.amsgrad, fit.loss, paper.dtype) == (0.99, True, "lengths", "float32")
    assert (paper.start.e0s, paper.start.method.kind) == ("average", "naive")
    assert settings(preset="paper-noneq", start=tuned).optimisation.batch_size == 16
    scratch = settings(preset="paper")
    assert (scratch.optimisation.max_epochs, scratch.optimisation.learning_rate) == (50, 3e-4)
    matched, matched_scratch = settings(preset="matched", start=tuned), settings(preset="matched")
    assert matched.start.e0s == "estimated"
    assert matched.optimisation.max_epochs == matched_scratch.optimisation.max_epochs
    assert matched.optimisation.learning_rate < matched_scratch.optimisation.learning_rate
    changed = settings(preset="paper", start=tuned, optimisation={"max_epochs": 7})
    assert (changed.optimisation.max_epochs, changed.optimisation.learning_rate) == (7, 3e-4)
    again = TrainConfig.model_validate(paper.model_dump(mode="json"))
    assert again == paper
