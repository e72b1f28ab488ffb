"""``moalloy train`` and ``moalloy evaluate`` as a user sees them."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import typer
from ase.io import read, write
from rich.console import Console
from support.cells import doped_cell, two_atom_cell
from support.models import calculator, random_model
from typer.testing import CliRunner

from moalloy_md.cli.evaluate import evaluate_command
from moalloy_md.cli.train import train_command
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.potentials.evaluate import evaluate
from moalloy_md.potentials.metrics import Interval
from moalloy_md.workflows.fit import show_evaluation

app = typer.Typer()
app.command("train")(train_command)
app.command("evaluate")(evaluate_command)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model and cells that it labelled itself, with forces that are off by 0.1 eV/Å."""
    import torch

    from moalloy_md.potentials.quiet import known_warnings_ignored

    folder = tmp_path_factory.mktemp("files")
    model = random_model(elements=("Mo", "W"), hidden="4x0e", max_ell=1, correlation=1, r_max=4.0)
    with known_warnings_ignored():
        torch.save(model, folder / "random.model")
    oracle, rng = calculator(model), np.random.default_rng(0)
    cells = [two_atom_cell(), *(doped_cell(("Mo", "W"), n=2, seed=k) for k in range(3))]
    for k, atoms in enumerate(cells):
        forces = oracle.get_forces(atoms)
        atoms.info |= {"REF_energy": oracle.get_potential_energy(atoms), "group": f"g{k}"}
        atoms.arrays["REF_forces"] = forces + 0.1 * rng.choice([-1.0, 1.0], size=forces.shape)
    write(folder / "cells.extxyz", cells)
    return folder


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_evaluate_prints_a_table_that_fits_a_screen(files, tmp_path):
    result = call(
        "evaluate", "--model", files / "random.model", "--data", files / "cells.extxyz",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    row = next(line.split() for line in lines if line.split()[:1] == ["all"])
    # cells, groups, E MAE, E RMSE, F MAE, F RMSE: each force component is off by 100 meV/Å
    assert row[1:7] == ["4", "(4)", "0.0", "0.0", "100.0", "100.0"]


def test_table_has_room_for_large_errors(files, tmp_path):
    found = evaluate(
        model=files / "random.model", data=files / "cells.extxyz", out=tmp_path / "out"
    )
    errors = [f"{x}_{y}" for x in ("energy", "force") for y in ("mae", "rmse")]
    units = {"energy": "mev_per_atom", "force": "mev_per_angstrom"}
    interval = Interval(100.0, 900.0, 0.95)
    wide = {f"{error}_{units[error.split('_')[0]]}": interval for error in errors}
    screen = Console(file=io.StringIO(), width=80)
    show_evaluation(replace(found, metrics=replace(found.metrics, intervals=wide)), screen)
    table = screen.file.getvalue().split("E: energy")[0]
    assert table.count("100.0–900.0") == 4
    assert "…" not in table


def test_evaluate_prints_the_json_that_it_writes(files, tmp_path):
    result = call(
        "evaluate", "--model", files / "random.model", "--data", files / "cells.extxyz",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert json.loads(result.stdout) == written


def test_evaluate_takes_its_settings_from_a_file(files, tmp_path):
    """The same result as with options; a typo is named; a missing setting too; never from both."""
    options = ["--model", files / "random.model", "--data", files / "cells.extxyz"]
    assert call("evaluate", *options, "--out", tmp_path / "by-options").exit_code == 0
    config = tmp_path / "evaluate.yaml"
    lines = [f"model: {files / 'random.model'}", f"data: {files / 'cells.extxyz'}"]
    config.write_text("\n".join([*lines, f"out: {tmp_path / 'by-file'}", "batch_size: 2"]))
    assert call("evaluate", "--config", config).exit_code == 0
    one, other = (
        json.loads((tmp_path / folder / "metrics.json").read_text())
        for folder in ("by-options", "by-file")
    )
    name = "force_mae_mev_per_angstrom"
    assert one[name] == pytest.approx(other[name])

    both = call("evaluate", "--config", config, "--head", "pbe")
    assert "expected either --config or options" in str(both.exception)
    config.write_text("\n".join([*lines, "batchsize: 2"]))
    typo = str(call("evaluate", "--config", config).exception)
    assert "did you mean 'batch_size'?" in typo
    missing = call("evaluate", *options)
    assert isinstance(missing.exception, ConfigError)
    assert "out" in str(missing.exception)


def test_errors_reach_the_caller(files, tmp_path):
    result = call(
        "evaluate", "--model", files / "random.model", "--data", tmp_path / "none.extxyz",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert isinstance(result.exception, DataError)


def test_train_wants_a_run_directory(files, tmp_path):
    config = tmp_path / "train.yaml"
    config.write_text(f"train: {files / 'cells.extxyz'}\nvalid: {files / 'cells.extxyz'}\n")
    result = call("train", config)
    assert isinstance(result.exception, ConfigError)
    assert "give --out, or out in" in str(result.exception)


def test_train_then_test_set(files, tmp_path):
    """The whole command: trained, evaluated on the test set, JSON on standard output alone."""
    cells = read(files / "cells.extxyz", ":")
    for name, chosen in {"train": cells[1:3], "valid": cells[3:], "test": cells[:1]}.items():
        write(tmp_path / f"{name}.extxyz", chosen)
    config = tmp_path / "train.yaml"
    config.write_text(f"""\
train: {tmp_path}/train.extxyz
valid: {tmp_path}/valid.extxyz
test: {tmp_path}/test.extxyz
out: {tmp_path}/run
device: cpu
allow_failed_checks: true
start:
  kind: scratch
  model: {{channels: 2, r_max_angstrom: 3.5, max_ell: 1, correlation: 1, radial_mlp: [4]}}
optimisation: {{batch_size: 2, max_epochs: 1}}
""")
    result = call("train", config, "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["model"] == str(tmp_path / "run" / "model.model")
    assert content["epochs"] == 1
    metrics = json.loads((tmp_path / "run" / "test" / "metrics.json").read_text())
    assert content["test"]["force_mae_mev_per_angstrom"] == metrics["force_mae_mev_per_angstrom"]
    assert "Trained 1 epoch in" in result.stderr
    # The same command again finds everything done.
    again = call("train", config, "--json")
    assert json.loads(again.stdout)["was_finished"] is True
    assert "finished before" in again.stderr
