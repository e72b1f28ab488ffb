"""``moalloy dataset label``: what a user sees, and the exit status."""

import io
import json
import re

import pytest
from rich.console import Console
from support.cells import doped_cell
from typer.testing import CliRunner

from moalloy_md.cli.dataset import app
from moalloy_md.datasets.frames import read_dataset
from moalloy_md.errors import ConfigError
from moalloy_md.structures.files import write_cells
from moalloy_md.workflows.label import shown as label_shown
from moalloy_md.workflows.label.workflow import LabelProgress


@pytest.fixture
def source(tmp_path):
    images = [doped_cell(("Mo", "W") if k < 2 else ("Mo",), n=1, seed=k) for k in range(4)]
    for k, atoms in enumerate(images):
        atoms.info.update(name=f"cell{k}", host="Mo")
    write_cells(tmp_path / "cells.extxyz", images)
    return tmp_path / "cells.extxyz"


def invoke(*arguments):
    return CliRunner().invoke(app, ["label", *map(str, arguments)], env={"COLUMNS": "200"})


def test_labelled(source, tmp_path):
    out = tmp_path / "data.extxyz"
    options = (source, "--calculator", "support.teachers:lennard_jones", "--out", out)
    result = invoke(*options, "--limit", 3)
    assert result.exit_code == 0, result.output
    assert "3 of 4 cells labelled (3 now), 0 failed, 1 not tried." in result.stdout
    assert "3 of 4 cells: 0 s left" not in result.stdout
    result = invoke(*options, "--json")
    content = json.loads(result.stdout)
    assert (content["n_labelled"], content["n_new"], content["failures"]) == (4, 1, [])
    assert "4 of 4 cells: 0 s left, ends about " in result.stderr
    assert all(frame.stress is not None for frame in read_dataset(out))
    result = invoke(*options[:-1], tmp_path / "b.extxyz", "--no-stress")
    assert result.exit_code == 0
    assert all(frame.stress is None for frame in read_dataset(tmp_path / "b.extxyz"))


def test_failures_are_named_and_end_with_status_1(source, tmp_path, monkeypatch):
    config = tmp_path / "label.yaml"
    config.write_text(
        "calculator: {kind: factory, target: 'support.teachers:Moody', arguments: {how: raise}}\n"
    )
    options = (source, "--config", config, "--out", tmp_path / "data.extxyz")
    result = invoke(*options)
    assert result.exit_code == 1
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "2 of 4 cells labelled (2 now), 2 failed, 0 not tried." in result.stdout
    assert "failed: cell0: RuntimeError: not converged after 120 iterations" in result.stdout
    assert "--retry tries them again" in result.stdout
    result = invoke(*options, "--retry")
    assert "failed: cell1 (2 attempts): RuntimeError" in result.stdout
    monkeypatch.setenv("MOODY", "good")
    assert invoke(*options, "--retry").exit_code == 0


@pytest.mark.parametrize("options", [(), ("--calculator", "a:b", "--config", "x.yaml")])
def test_one_calculator(source, tmp_path, options):
    result = invoke(source, *options, "--out", tmp_path / "data.extxyz")
    assert isinstance(result.exception, ConfigError)
    assert "expected either --calculator or --config" in str(result.exception)


def test_the_bar_says_when_it_ends(monkeypatch):
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    with label_shown._bar(console) as watch:
        watch(LabelProgress(98, 5, 0, "", None))
        watch(LabelProgress(98, 12, 1, "cell", 7300.0))
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    assert re.search(r"12 of 98 cells .*1 failed, 2\.0 h left, ends about .*\d\d:\d\d", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (100, "2 min"), (5300, "88 min"), (9000, "2.5 h")],
)
def test_durations(seconds, text):
    assert label_shown._duration(seconds) == text
