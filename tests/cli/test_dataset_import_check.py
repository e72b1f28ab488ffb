"""``moalloy dataset import`` and ``check``: options in; file, table, JSON and exit status out."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase.io import write
from support.labelled import relaxation, trajectory
from support.vasp_files import vasprun
from typer.testing import CliRunner

from moalloy_md.cli.dataset import app
from moalloy_md.datasets.bundled import bundled_path
from moalloy_md.datasets.frames import read_dataset, write_dataset
from moalloy_md.errors import ConfigError, DataError


def invoke(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})


@pytest.fixture
def runs(tmp_path):
    """A folder of two VASP relaxations and one trajectory."""
    folder = tmp_path / "runs"
    for name, steps, tags in (
        ("W1", relaxation(3, {0: "W"}, end=0.01), {}),
        ("Ti1", relaxation(3, {0: "Ti"}, end=0.01), {}),
        ("md", trajectory(7, {0: "W"}), {"IBRION": 0}),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "vasprun.xml").write_text(vasprun(steps, tags=tags))
    return folder


def test_a_folder_of_vasp_runs_becomes_a_dataset(tmp_path, runs):
    out = tmp_path / "data.extxyz"
    result = invoke("import", runs, "--out", out, "--md-block", 3, "--md-gap", 1)
    assert result.exit_code == 0, result.output
    frames = read_dataset(out)
    assert len(frames) == 12
    assert "12 frames (192 atoms) from 3 files, in 4 groups" in result.stdout
    assert "States: ideal 2, noneq 8, relaxed 2." in result.stdout
    assert "stress (eV/Å³, tension positive) 12" in result.stdout
    assert f"Written to {out}" in result.stdout
    assert {frame.source for frame in frames} == {
        f"{name}/vasprun.xml" for name in ("W1", "Ti1", "md")
    }


def test_json_and_config(tmp_path, runs):
    config = tmp_path / "import.yaml"
    config.write_text("md_block: 3\nmd_gap: 1\n")
    result = invoke("import", runs, "--out", tmp_path / "a.extxyz", "--config", config, "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert (summary["frames"], summary["groups"]) == (12, 4)
    assert summary["by_state"] == {"ideal": 2, "noneq": 8, "relaxed": 2}
    assert summary["labels"] == {"energy": 12, "forces": 12, "stress": 12}
    options = ("--md-block", 3, "--md-gap", 1)
    assert invoke("import", runs, "--out", tmp_path / "b.extxyz", *options).exit_code == 0
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (("--md-gap", 2), ConfigError, "expected md_block beside md_gap"),
        (("--host", "Q"), ConfigError, "host: expected a chemical symbol"),
        (("--config", "x.yaml", "--host", "W"), ConfigError, "either --config or options.*host"),
        (("--host", "Nb"), DataError, r"expected atoms of the host \(host=Nb\)"),
    ],
)
def test_wrong_options_write_nothing(tmp_path, runs, options, error, sentence):
    result = invoke("import", runs, "--out", tmp_path / "data.extxyz", *options)
    assert result.exit_code == 1
    with pytest.raises(error, match=sentence):
        raise result.exception
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_an_existing_file_is_kept(tmp_path, runs):
    out = tmp_path / "data.extxyz"
    out.write_text("precious")
    assert invoke("import", runs, "--out", out).exit_code == 1
    assert out.read_text() == "precious"
    assert invoke("import", runs, "--out", out, "--overwrite").exit_code == 0


def test_warnings_alone_are_no_failure():
    result = invoke("check", bundled_path())
    assert result.exit_code == 0, result.output
    assert "53 frames, 848 atoms" in result.stdout
    assert "0 errors" in result.stdout


def test_errors_give_exit_status_1_and_say_where_why_and_what_to_do(tmp_path):
    frames = read_dataset(bundled_path())
    frames[7].atoms.arrays["REF_forces"] += [0.1, 0, 0]
    write_dataset(tmp_path / "data.extxyz", frames)
    result = invoke("check", tmp_path / "data.extxyz")
    assert result.exit_code == 1
    assert "net-force: 1 error" in result.stdout
    assert f"frame 7 ({frames[7].name})" in result.stdout
    assert "why: no external force acts on a cell" in result.stdout
    assert "mend: small: tighter EDIFF" in result.stdout
    result = invoke("check", tmp_path / "data.extxyz", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    (error,) = [f for f in report["findings"] if f["severity"] == "error"]
    assert (error["check"], error["frame"]) == ("net-force", 7)
    assert invoke("check", tmp_path / "data.extxyz", "--skip", "net-force").exit_code == 0
    config = tmp_path / "check.yaml"
    config.write_text("net_force_error_ev_per_angstrom: 0.2\n")
    result = invoke("check", tmp_path / "data.extxyz", "--config", config, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["counts"]["net-force warning"] == 1


def test_wrong_settings_of_check(tmp_path):
    for options, sentence in (
        (("--skip", "nett-force"), "expected checks among"),
        (("--config", "x.yaml", "--skip", "state"), r"either --config or options.*\(--skip\)"),
    ):
        result = invoke("check", bundled_path(), *options)
        with pytest.raises(ConfigError, match=sentence):
            raise result.exception


def test_the_three_commands_in_a_row(tmp_path):
    decorations = ({0: "W"}, {0: "Ti"}, {0: "Ta"}, {0: "W", 1: "Ti"})
    cells = [atoms for k, found in enumerate(decorations) for atoms in relaxation(3, found, seed=k)]
    for atoms in cells:
        atoms.calc.results["forces"] -= np.mean(atoms.calc.results["forces"], axis=0)
    write(tmp_path / "raw.extxyz", cells)
    data = tmp_path / "data.extxyz"
    assert invoke("import", tmp_path / "raw.extxyz", "--out", data).exit_code == 0
    assert invoke("check", data).exit_code == 0
    out = tmp_path / "split"
    result = invoke("split", data, "--protocol", "iid", "--out", out, "--test-fraction", 0.3)
    assert result.exit_code == 0, result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from moalloy_md.cli.dataset import app\n"
        "for name in ('import', 'check'):\n"
        "    assert CliRunner().invoke(app, [name, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'mace', 'ovito', 'matplotlib', 'scipy', 'ase.io'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
