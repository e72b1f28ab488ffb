"""Committees on the command line: trained, killed, gone on with, evaluated."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from ase.io import read
from support.processes import kill, wait_until
from support.trainings import NETWORK
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.potentials.loading import load_model
from moalloy_md.potentials.predict import predict

N_EPOCHS = 12


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def numbers(pattern, text):
    return [float(x) for x in re.search(pattern, text).groups()]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only Linux ends orphans")
def test_committee_is_trained_killed_gone_on_with_and_evaluated(emt_data, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config, out = tmp_path / "train.yaml", tmp_path / "run"
    content = {
        "train": str(emt_data / "train.extxyz"),
        "valid": str(emt_data / "valid.extxyz"),
        "test": str(emt_data / "test.extxyz"),
        "device": "cpu",
        "start": {"kind": "scratch", "model": NETWORK},
        "optimisation": {"batch_size": 2, "max_epochs": N_EPOCHS},
    }
    config.write_text(yaml.safe_dump(content))
    words = ["train", str(config), "--committee", "2", "--out", str(out)]

    command = [sys.executable, "-m", "moalloy_md.cli.app", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = out / "01" / "trainer" / "state" / "resume.pt"
    wait_until(second.exists, process)
    kill(process, str(out))
    assert not (out / "01" / "model.model").exists(), "it was finished: nothing is tested"
    assert not (out / "committee.json").exists()
    first = (out / "00" / "model.model").read_bytes()

    trained = call(*words)
    assert (out / "00" / "model.model").read_bytes() == first
    said = trained.output
    assert "model 1 of 2, seed 1" in said
    assert "model 2 of 2, seed 2" in said
    assert said.count("This training was finished before") == 1
    assert f"Trained {N_EPOCHS} epochs" in said
    assert re.search(r"model 2 of 2, epoch \d+ of 12: loss .* left for all", said)
    assert re.search(r"force MAE [\d.]+ meV/Å \(mean \|F\| [\d.]+ meV/Å, R² -?[\d.]+: 0 is", said)
    listed = json.loads((out / "committee.json").read_text())["models"]
    assert listed == ["00/model.model", "01/model.model"]

    # the test set, by the models themselves
    atoms = read(emt_data / "test.extxyz", ":")
    both = [predict(load_model(out / name), atoms).energies_ev for name in listed]
    n = np.array([len(a) for a in atoms])
    spread = 1000 * np.sqrt(np.mean((np.std(both, axis=0, ddof=1) / n) ** 2))
    pattern = r"Committee of 2: they differ by\s+([\d.]+)\s+meV/atom"
    assert numbers(pattern, said)[0] == pytest.approx(spread, abs=0.06)

    # the folder, and the models one by one, are the same committee
    for name, models in (("folder", [out]), ("models", [out / m for m in listed])):
        options = [word for model in models for word in ("--model", model)]
        found = call(
            "evaluate", *options, "--data", emt_data / "test.extxyz", "--device", "cpu",
            "--out", tmp_path / name,
        )  # fmt: skip
        assert numbers(pattern, found.stdout)[0] == pytest.approx(spread, abs=0.06)
        written = json.loads((tmp_path / name / "metrics.json").read_text())
        mean = np.mean(both, axis=0)
        error = 1000 * (mean - [a.info["REF_energy"] for a in atoms]) / n
        assert written["committee"]["n_models"] == 2
        assert written["energy_mae_mev_per_atom"] == pytest.approx(np.abs(error).mean(), abs=0.01)


KILLED = """
import os, signal, sys
from pathlib import Path
import moalloy_md.potentials.evaluate as module
def end(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
model, data, out, where = sys.argv[1:]
if where == "writing":
    module.plot_parity = end  # the predictions are written, the metrics are not
watch = end if where == "predicting" else None
module.evaluate(model=model, data=Path(data), out=Path(out), device="cpu", watch=watch)
"""


@pytest.mark.parametrize("where", ["predicting", "writing"])
def test_killed_evaluation_is_done_again(emt_data, emt_training, tmp_path, where):
    from moalloy_md.potentials.evaluate import evaluate

    model, data = emt_training[1].model, emt_data / "test.extxyz"
    words = [str(model), str(data), str(tmp_path / "killed"), where]
    died = subprocess.run([sys.executable, "-c", KILLED, *words], check=False)
    assert died.returncode == -signal.SIGKILL
    left = {path.name for path in (tmp_path / "killed").iterdir()}
    assert ("predictions.extxyz" in left) == (where == "writing")
    assert "metrics.json" not in left
    found, expected = (
        evaluate(model=model, data=data, out=tmp_path / name, device="cpu")
        for name in ("killed", "unbroken")
    )
    assert found.content == expected.content
    for name in ("metrics.json", "predictions.extxyz"):
        one, other = (tmp_path / x / name for x in ("killed", "unbroken"))
        assert one.read_text() == other.read_text()
    names = {path.name for path in (tmp_path / "killed").iterdir()}
    assert names == {path.name for path in (tmp_path / "unbroken").iterdir()}
