"""``moalloy dataset split``: options in, folder and table out."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from moalloy_md.cli.dataset import app
from moalloy_md.datasets.bundled import bundled_path, load_bundled
from moalloy_md.datasets.frames import frame_from_atoms, write_dataset
from moalloy_md.datasets.split import Iid, split_frames
from moalloy_md.datasets.split_folder import read_split
from moalloy_md.errors import ConfigError, DataError

DATA = str(bundled_path())


def invoke(*arguments):
    return CliRunner().invoke(app, ["split", *map(str, arguments)], env={"COLUMNS": "200"})


def test_a_table_and_a_folder(tmp_path):
    out = tmp_path / "split"
    result = invoke(*(DATA, "--protocol", "iid", "--test-fraction", 0.3, "--seed", 7, "--out", out))
    assert result.exit_code == 0, result.output
    expected = split_frames(load_bundled(), Iid(seed=7, test_fraction=0.3))
    found = read_split(out)
    assert [f.name for f in found.test] == [load_bundled()[i].name for i in expected.test]
    (row,) = [line for line in result.stdout.splitlines() if "test" in line and "│" in line]
    assert [cell.strip() for cell in row.split("│")][1:5] == [
        "test",
        "16",
        str(found.summary["counts"]["test"]["groups"]),
        "256",
    ]
    assert f"Written to {out}" in result.stdout


def test_json_alone_on_standard_output(tmp_path):
    out = tmp_path / "split"
    result = invoke(*(DATA, "--protocol", "lodo-strict", "--held-out", "W", "--out", out, "--json"))
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["counts"]["test"]["frames"] == 8
    assert summary["held_out"] == "W"
    assert summary["out"] == str(out)


def test_a_config_file_does_the_same(tmp_path):
    config = tmp_path / "split.yaml"
    config.write_text("split: {protocol: lodo-relaxed, held_out: W, seed: 5, frame_wise: true}\n")
    assert invoke(DATA, "--config", config, "--out", tmp_path / "a").exit_code == 0
    options = ("--protocol", "lodo-relaxed", "--held-out", "W", "--seed", 5, "--frame-wise")
    assert invoke(DATA, *options, "--out", tmp_path / "b").exit_code == 0
    for name in ("split.json", "train.extxyz", "valid.extxyz", "test.extxyz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_a_user_must_know_is_said(tmp_path):
    options = ("--protocol", "lodo-strict", "--held-out", "Zr", "--out", tmp_path / "a")
    coincide = "No frame has Zr beside another dopant: lodo-strict and lodo-relaxed coincide"
    assert coincide in invoke(DATA, *options).stdout
    result = invoke(DATA, "--protocol", "iid", "--frame-wise", "--out", tmp_path / "b")
    leaked = read_split(tmp_path / "b").summary["leaked_fraction"]
    assert f"Leaked: {100 * leaked:.1f} % of the test frames" in result.stdout
    assert "coincide" not in result.stdout


def test_frames_without_group_are_said_aloud(tmp_path):
    frames = [frame_from_atoms(f.atoms) for f in load_bundled()]
    for f in frames[10:15]:
        del f.atoms.info["group"]
    write_dataset(tmp_path / "x.extxyz", [*frames, *frames[10:12]])
    result = invoke(tmp_path / "x.extxyz", "--protocol", "iid", "--out", tmp_path / "a")
    assert "7 frames name no group: each was taken for a group of its own" in result.stdout


def test_unseen_elements_and_copies_are_said_aloud(tmp_path):
    one = {}
    for frame in load_bundled():
        if frame.dopants:
            one.setdefault(min(frame.dopants), frame)
    data = tmp_path / "x.extxyz"
    write_dataset(data, list(one.values())[:3])
    stdout = invoke(data, "--protocol", "iid", "--out", tmp_path / "a").stdout
    assert "Train does not contain" in stdout
    write_dataset(data, [next(iter(one.values()))] * 3)
    stdout = invoke(data, "--protocol", "iid", "--frame-wise", "--out", tmp_path / "b").stdout
    assert "Repeated: 100.0 % of the test frames are also in train" in stdout


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ((), ConfigError, "expected --protocol iid, lodo-strict or lodo-relaxed, found none"),
        (
            ("--protocol", "iid", "--held-out", "W"),
            ConfigError,
            "--held-out: expected to be left out",
        ),
        (("--protocol", "lodo-strict"), ConfigError, "--held-out: expected a value, found none"),
        (("--protocol", "lodo-strict", "--held-out", "Cr"), DataError, "found none in 53 frames"),
        (
            ("--protocol", "lodo-strict", "--held-out", "Q"),
            ConfigError,
            "--held-out: expected a chemical symbol",
        ),
        (
            ("--config", "x.yaml", "--seed", "1"),
            ConfigError,
            r"either --config or options.*\(--seed\)",
        ),
        (("--config", "x.yaml"), ConfigError, "x.yaml: cannot be read"),
    ],
)
def test_wrong_options(tmp_path, options, error, sentence):
    result = invoke(DATA, *options, "--out", tmp_path / "split")
    assert result.exit_code == 1
    with pytest.raises(error, match=sentence):
        raise result.exception
    assert not list(tmp_path.iterdir())


def test_an_unknown_protocol_is_a_usage_error(tmp_path):
    result = invoke(DATA, "--protocol", "random", "--out", tmp_path / "split")
    assert result.exit_code == 2
    assert "lodo-relaxed" in result.output


def test_repeats(tmp_path):
    options = ("--protocol", "lodo-strict", "--held-out", "W", "--seed", 4, "--repeats", 3)
    result = invoke(DATA, *options, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    for k in range(3):
        assert f"Written to {tmp_path / 'a'}/0{k}" in result.stdout
        assert read_split(tmp_path / "a" / f"0{k}").summary["seed"] == 4 + k
    assert "The test set is the same in all of them" in result.stdout
    config = tmp_path / "split.yaml"
    config.write_text("split: {protocol: lodo-strict, held_out: W, seed: 4}\nrepeats: 3\n")
    result = invoke(DATA, "--config", config, "--out", tmp_path / "b", "--json")
    assert [s["seed"] for s in json.loads(result.stdout)] == [4, 5, 6]
    for k in range(3):
        assert (tmp_path / "a" / f"0{k}" / "split.json").read_bytes() == (
            tmp_path / "b" / f"0{k}" / "split.json"
        ).read_bytes()


def test_describe_prints_tables_and_writes_a_page(tmp_path):
    page = tmp_path / "page.html"
    result = CliRunner().invoke(
        app, ["describe", DATA, "--html", str(page)], env={"COLUMNS": "120"}
    )
    assert result.exit_code == 0, result.output
    rows = {
        tuple(cell.strip() for cell in line.strip("│").split("│"))
        for line in result.stdout.splitlines()
        if line.startswith("│")
    }
    assert ("W", "8", "7", "2", "6", "0") in rows
    assert ("Re-W", "1", "·", "·") in rows
    assert ("all", "11", "10", "10") in rows
    assert "2 in shell 2, 4 in shell 3" in result.stdout
    assert "ideal: 33, noneq: 20" in result.stdout
    assert page.read_text().startswith("<!doctype html>")


def test_describe_prints_json_alone():
    result = CliRunner().invoke(app, ["describe", DATA, "--json"])
    content = json.loads(result.stdout)
    assert content["n_frames"] == 53
    assert content["pairs"]["W-W"]["cells"] == {"1": 1, "2": 1, "3": 1}


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from moalloy_md.cli.dataset import app\n"
        "for verb in ('split', 'describe', 'label'):\n"
        "    assert CliRunner().invoke(app, [verb, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'mace', 'ovito', 'matplotlib', 'ase.io'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
