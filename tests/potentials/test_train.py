"""Real, tiny trainings: what comes out, what is refused, and what a kill leaves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.io import write
from support.cells import doped_cell
from support.processes import kill, wait_until
from support.trainings import E0S, NETWORK, cells, configuration, refused

from moalloy_md.datasets.frames import frame_from_atoms, read_dataset
from moalloy_md.errors import (
    ConfigError,
    DataError,
    ModelError,
    RunDirectoryError,
    TrainingError,
)
from moalloy_md.potentials.loading import load_model, model_dtype, model_elements
from moalloy_md.potentials.mace_options import mace_arguments
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.reference_energies import average_e0s
from moalloy_md.potentials.train import train
from moalloy_md.potentials.training_set import read_training_set

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(emt_data):
    return emt_data


@pytest.fixture(scope="module")
def finished(emt_training):
    return emt_training


def test_leaves_a_model_and_nothing_half_done(finished, data):
    out, result, _ = finished
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", "history.jsonl", "manifest.json", "model.model", "state.json", "train.log",
    ]  # fmt: skip
    model = load_model(result.model)
    assert model_elements(model) == [13, 28, 29]
    assert model_dtype(model) == "float32"
    assert float(model.r_max) == 4.0
    assert result.n_parameters == sum(p.numel() for p in model.parameters())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["finished"] is not None
    assert manifest["versions"]["mace-torch"]
    assert manifest["data"]["elements"] == ["Al", "Ni", "Cu"]
    e0s = model.atomic_energies_fn.atomic_energies.numpy().ravel()
    np.testing.assert_allclose(e0s, list(manifest["data"]["e0s_ev"].values()), rtol=1e-6)
    assert "Done" in (out / "train.log").read_text()


def test_errors_are_those_of_the_kept_weights_on_the_validation_set(finished, data):
    _, result, _ = finished
    frames = read_dataset(data / "valid.extxyz")
    found = predict(load_model(result.model), [frame.atoms for frame in frames])
    energy = [
        (e - frame.energy_ev) / frame.n_atoms
        for e, frame in zip(found.energies_ev, frames, strict=True)
    ]
    force = np.concatenate(found.forces) - np.concatenate([frame.forces for frame in frames])
    # float32, energies of -60 eV: a few µeV/atom
    assert result.energy_mae_mev_per_atom == pytest.approx(1000 * np.mean(np.abs(energy)), abs=0.01)
    assert result.force_mae_mev_per_angstrom == pytest.approx(1000 * np.mean(np.abs(force)), 1e-4)
    assert result.force_rmse_mev_per_angstrom == pytest.approx(
        1000 * np.sqrt(np.mean(force**2)), 1e-4
    )


def test_progress_and_history_tell_the_same(finished, data):
    out, result, seen = finished
    history = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert [progress.epoch for progress in seen] == [1, 2, 3]
    assert [entry["epoch"] for entry in history] == [0, 1, 2]
    assert [p.validation.loss for p in seen] == [entry["loss"] for entry in history]
    assert [p.training_loss for p in seen] == [entry["training_loss"] for entry in history]
    assert seen[0].n_epochs == 3
    assert seen[-1].seconds_left == 0
    best = min(history, key=lambda entry: entry["loss"])
    assert result.best_epoch == best["epoch"] + 1
    assert result.force_mae_mev_per_angstrom == pytest.approx(1000 * best["mae_f"])
    frames = read_dataset(data / "valid.extxyz")
    reference = 1000 * np.concatenate([frame.forces for frame in frames])
    assert result.mean_abs_force_mev_per_angstrom == pytest.approx(np.abs(reference).mean(), 1e-4)
    expected = 1 - result.force_rmse_mev_per_angstrom**2 / np.mean(reference**2)
    assert result.force_r2 == pytest.approx(expected, abs=1e-4)
    rates = [entry["learning_rate"] for entry in history]
    # exponential decay to 2 % after the last epoch
    np.testing.assert_allclose(rates, [0.01 * 0.02 ** (k / 3) for k in range(3)], rtol=1e-6)


def test_finished_run_says_so_and_does_nothing(finished, data):
    out, result, _ = finished
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / "trainer").mkdir()  # killed while it was being removed
    again = train(configuration(data), out, watch=lambda _: pytest.fail("trained again"))
    assert again.was_finished
    assert not result.was_finished
    assert again.as_dict() | {"was_finished": False} == result.as_dict()
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_finished_run_is_for_its_own_configuration_only(finished, data):
    out, *_ = finished
    with pytest.raises(RunDirectoryError, match="learning_rate"):
        train(configuration(data, optimisation={"learning_rate": 0.5}), out)


COMMAND = """
import sys
from pathlib import Path
from moalloy_md.config import load_config
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.potentials.train import train
train(load_config(Path(sys.argv[1]), TrainConfig), Path(sys.argv[2]))
"""


def validations(out):
    path = out / "trainer" / "results" / "model_run-1_train.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(n) for line in lines for n in re.findall(r'"mode": "eval", "epoch": (\d+)', line)]


def started(kind, foundation, folder):
    """Where a training of this kind starts, and what its optimisation has besides."""
    tuned = {"kind": "fine-tune", "foundation": str(foundation)}
    write(folder / "old.extxyz", cells(4, 7))
    write(folder / "old_valid.extxyz", cells(2, 8))
    old = str(folder / "old.extxyz")
    if kind == "fine-tune":
        return tuned, {}
    if kind == "replay":
        return {**tuned, "method": {"kind": "replay", "cells": old}}, {}
    if kind == "multihead":
        valid = str(folder / "old_valid.extxyz")
        method = {"kind": "multihead", "replay": old, "replay_valid": valid}
        return {**tuned, "method": method}, {"loss": "universal"}
    return None, {"validate_every_epochs": 3} if kind == "rarely validated" else {}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only Linux ends orphans")
@pytest.mark.parametrize(
    "kind",
    [
        "scratch",
        *(
            pytest.param(kind, marks=pytest.mark.slow)
            for kind in ("fine-tune", "rarely validated", "replay", "multihead")
        ),
    ],
)
def test_killed_training_goes_on_where_it_was(data, finished, tmp_path, kind):
    """kill -9 on the parent: nobody survives, and the end is that of an unbroken training."""
    start, more = started(kind, finished[1].model, tmp_path)
    every = more.get("validate_every_epochs", 1)
    # A schedule with a memory, and impatient: its state must survive the kill too.
    schedule = {"kind": "plateau", "patience_epochs": 1, "factor": 0.5}
    config = configuration(
        data,
        start=start,
        optimisation={
            "max_epochs": 16,
            "learning_rate": 0.2,
            "energy_weight": 1.0,
            "schedule": schedule,
            **more,
        },
    )
    out, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    path = tmp_path / "train.yaml"
    path.write_text(config.model_dump_json())
    command = [sys.executable, "-c", COMMAND, str(path), str(out)]
    parent = subprocess.Popen(command, start_new_session=True)
    wait_until(lambda: len(validations(out)) >= 3, parent, seconds=120)
    kill(parent, str(out))
    done = validations(out)[-1]
    assert done < 14, "it was nearly finished: nothing is tested"

    seen = []
    result = train(config, out, watch=seen.append)
    # at most what was trained since the last validation but one, if the last was being saved
    assert seen[0].epoch - 2 in {done, done - every}
    assert seen[-1].epoch == 16
    assert result.epochs == 16

    expected = train(config, unbroken)

    def history(folder):
        lines = (folder / "history.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        keys = ("epoch", "learning_rate", "training_loss", "loss", "mae_f")
        return np.array([[entry[key] for key in keys] for entry in entries])

    # The same operations in the same order on one thread: not a bit differs.
    np.testing.assert_array_equal(history(out), history(unbroken))
    one, other = load_model(result.model), load_model(expected.model)
    for (name, weight), same in zip(
        one.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(weight, same), name
    assert result.best_epoch == expected.best_epoch
    assert len(set(history(out)[:, 1])) > 1, "the schedule did nothing: nothing is tested"


def test_patience_ends_the_training(data, tmp_path):
    result = train(
        configuration(
            data,
            optimisation={"learning_rate": 1e-12, "max_epochs": 30, "patience_epochs": 3,
                          "ema_decay": None},
        ),
        tmp_path / "out",
    )  # fmt: skip
    assert result.stopped_early
    assert result.epochs < 30
    assert result.epochs == result.best_epoch + 3


def test_diverging_training_says_so(data, tmp_path):
    with pytest.raises(TrainingError, match="lower the learning rate") as caught:
        train(configuration(data, optimisation={"learning_rate": 1e30}), tmp_path / "out")
    assert "FloatingPointError" in str(caught.value)  # the tail of the log
    assert not (tmp_path / "out" / "model.model").exists()


def test_e0s_are_found_again():
    """Energies that are exactly additive give the E0s back, whatever the compositions."""
    frames = []
    for atoms in cells(5, seed=11):
        atoms.info["REF_energy"] = sum(E0S[symbol] for symbol in atoms.symbols)
        frames.append(frame_from_atoms(atoms))
    e0s, rank = average_e0s(frames)
    assert list(e0s) == ["Al", "Ni", "Cu"]
    assert rank == 3
    assert e0s == pytest.approx(E0S)
    _, rank = average_e0s(frames[:1])
    assert rank == 1


def test_e0s_agree_with_mace_torch(data):
    from moalloy_md.potentials.quiet import quiet_mace

    with quiet_mace():
        from mace.data import KeySpecification, compute_average_E0s, config_from_atoms
        from mace.tools import AtomicNumberTable
    frames = read_dataset(data / "train.extxyz")
    keys = KeySpecification(info_keys={"energy": "REF_energy"})
    configs = [config_from_atoms(frame.atoms, keys) for frame in frames]
    expected = compute_average_E0s(configs, AtomicNumberTable([13, 28, 29]))
    e0s, _ = average_e0s(frames)
    np.testing.assert_allclose(list(e0s.values()), list(expected.values()))


def test_undetermined_e0s_are_said_aloud(data, tmp_path):
    write(tmp_path / "train.extxyz", cells(1, 1) + cells(1, 5))
    write(tmp_path / "valid.extxyz", cells(1, 2))
    found = read_training_set(configuration(tmp_path))
    assert "rank 1 of 3: not determined" in found.e0s_from


def test_given_e0s_are_used_for_the_elements_of_the_data(data):
    config = configuration(data, start={"e0s": {**E0S, "W": -7.0}})
    found = read_training_set(config)
    assert found.e0s_ev == E0S
    assert list(found.e0s_ev) == ["Al", "Ni", "Cu"]
    arguments = mace_arguments(config, found, device="cpu", folder=Path("x"))
    assert "--E0s={13: -1.0, 28: -3.0, 29: -2.0}" in arguments


def test_refusals_leave_nothing(data, tmp_path):
    out = tmp_path / "out"
    missing = configuration(data, train=str(tmp_path / "none.extxyz"))
    refused(missing, DataError, "none.extxyz: cannot be read", out)
    (tmp_path / "empty.extxyz").touch()
    empty = configuration(data, valid=str(tmp_path / "empty.extxyz"))
    refused(empty, DataError, "empty.extxyz: expected at least one frame", out)
    write(tmp_path / "bare.extxyz", doped_cell(("Ni", "Cu"), n=1, host="Ni"))
    bare = configuration(data, train=str(tmp_path / "bare.extxyz"))
    refused(bare, DataError, "expected REF_energy", out)
    batch = configuration(data, optimisation={"batch_size": 7})
    refused(batch, ConfigError, "expected at most 6, .* found 7", out)
    e0s = configuration(data, start={"e0s": {"Ni": -3.0}})
    refused(e0s, ConfigError, "found none for Al, Cu", out)
    same = configuration(data, valid=str(data / "train.extxyz"))
    refused(same, DataError, "frame 0 .* found its frame 0 again", out)
    leak = configuration(data, test=str(data / "valid.extxyz"))
    refused(leak, DataError, "expected frames that are not in .*valid", out)


def test_element_that_only_validation_has(data, tmp_path):
    write(tmp_path / "train.extxyz", cells(3, 1, symbols=("Ni", "Cu")))
    config = configuration(data, train=str(tmp_path / "train.extxyz"))
    refused(config, DataError, "found Al: nothing would be learnt", tmp_path / "out")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_that_is_absent(data, tmp_path):
    refused(configuration(data, device="cuda"), ModelError, "CUDA device", tmp_path / "out")


def test_data_that_changed_under_the_run(data, tmp_path, monkeypatch):
    for name in ("train", "valid"):
        (tmp_path / f"{name}.extxyz").write_text((data / f"{name}.extxyz").read_text())

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("moalloy_md.potentials.train._run_trainer", killed)
    with pytest.raises(KeyboardInterrupt):
        train(configuration(tmp_path), tmp_path / "out")
    write(tmp_path / "train.extxyz", cells(7, 1))
    with pytest.raises(RunDirectoryError, match="another training set under the same path"):
        train(configuration(tmp_path), tmp_path / "out")


@pytest.mark.parametrize(("most", "every", "validated"), [(2, 5, [0, 1]), (5, 3, [0, 3, 4])])
def test_all_epochs_are_trained_and_the_last_one_is_validated(
    data, tmp_path, most, every, validated
):
    """Epochs are counted from 0 in the history."""
    fit = {"max_epochs": most, "validate_every_epochs": every, "learning_rate": 0.02}
    result = train(configuration(data, optimisation=fit), tmp_path / "out")
    lines = (tmp_path / "out" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [entry["epoch"] for entry in history] == validated
    assert result.epochs == most
    best = min(history, key=lambda entry: entry["loss"])
    assert result.best_epoch == best["epoch"] + 1
    # the rate falls from epoch to epoch, so all of them were trained
    rates = [entry["learning_rate"] for entry in history]
    np.testing.assert_allclose(rates, [0.02 * 0.02 ** (k / most) for k in validated], rtol=1e-6)


def test_options_are_known_to_mace_torch(data):
    """Its own parser takes each of them and understands what was meant."""
    from moalloy_md.potentials.quiet import quiet_mace

    with quiet_mace():
        from mace.tools import build_default_arg_parser
    config = configuration(
        data,
        start={"model": {**NETWORK, "max_l": 1, "pair_repulsion": False}},
        optimisation={
            "loss": "lengths",
            "ema_decay": None,
            "schedule": {"kind": "plateau", "factor": 0.7, "patience_epochs": 9},
        },
        dtype="float64",
    )
    words = mace_arguments(config, read_training_set(config), device="cpu", folder=Path("x"))
    parsed = build_default_arg_parser().parse_args(words)
    assert parsed.hidden_irreps == "4x0e+4x1o"
    assert parsed.default_dtype == "float64"
    assert parsed.loss == "l1l2energyforces"
    assert (parsed.scheduler, parsed.lr_factor, parsed.scheduler_patience) == (
        "ReduceLROnPlateau", 0.7, 9,
    )  # fmt: skip
    assert (parsed.pair_repulsion, parsed.ema, parsed.amsgrad, parsed.plot) == (
        False, False, True, False,
    )  # fmt: skip
