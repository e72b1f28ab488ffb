"""From `moalloy structures --vasp` through VASP's output to a dataset: what a cell is does not get lost."""

import json
import re

import numpy as np
import pytest
from ase.io import read
from support.labelled import compute
from support.vasp_files import outcar, vasprun
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.datasets.frames import read_dataset
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.importers.importing import import_files

SINGLE_POINT = {"NSW": 0, "IBRION": -1}


@pytest.fixture
def inputs(tmp_path):
    """Inputs for W, ideal and displaced: pure, with Mo, which is the host where none is said, and Ti."""
    command = ["structures", "dilute", "--host", "W", "--a0-angstrom", "3.17", "--repeat", "2"]
    command += ["--dopants", "Mo,Ti", "--pairs", "none", "--rattle", "0.05"]
    command += ["--out", str(tmp_path / "cells.extxyz"), "--vasp", str(tmp_path / "vasp")]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    return {atoms.info["name"]: atoms.info for atoms in read(tmp_path / "cells.extxyz", ":")}


def run_vasp(folder, *, end=0.01, write=vasprun, name="vasprun.xml"):
    """What VASP would leave: ideal cells are relaxed in three steps, others computed as they are."""
    atoms = read(folder / "POSCAR")
    if json.loads((folder / "cell.json").read_text())["state"] != "ideal":
        (folder / name).write_text(write([compute(atoms)], tags=SINGLE_POINT))
        return
    steps = [atoms.copy() for _ in range(3)]
    for k, step in enumerate(steps):
        step.positions += (
            0.02 * k * np.random.default_rng(len(folder.name)).normal(size=(len(atoms), 3))
        )
    steps = [compute(step) for step in steps]
    steps[-1].calc.results["forces"] *= end / np.abs(steps[-1].get_forces()).max()
    (folder / name).write_text(write(steps))


def imported(tmp_path, source, **settings):
    out = tmp_path / "data.extxyz"
    summary = import_files([source], out, ImportConfig(**settings), overwrite=True)
    return read_dataset(out), summary


def test_host_group_state_and_name_come_back(inputs, tmp_path):
    for name in inputs:
        run_vasp(tmp_path / "vasp" / name)
    frames, summary = imported(tmp_path, tmp_path / "vasp")
    assert not summary.remarks
    assert {frame.host for frame in frames} == {"W"}
    assert {frame.group for frame in frames} == {info["group"] for info in inputs.values()}
    found = {}
    for frame in frames:
        found.setdefault(frame.name.partition("-step")[0], []).append(frame)
    assert found.keys() == inputs.keys()
    for name, steps in found.items():
        assert {frame.group for frame in steps} == {inputs[name]["group"]}
        expected = ["ideal", "noneq", "relaxed"] if inputs[name]["state"] == "ideal" else ["noneq"]
        assert [frame.state for frame in steps] == expected
    dopants = {frame.group: frame.dopants for frame in frames}
    assert sorted(map(sorted, dopants.values())) == [[], ["Mo"], ["Ti"]]


def test_one_folder_by_itself_and_an_outcar(inputs, tmp_path):
    name = next(name for name, info in inputs.items() if "Mo" in name and info["state"] == "noneq")
    folder = tmp_path / "vasp" / name
    run_vasp(folder, write=outcar, name="OUTCAR")
    (frame,), _ = imported(tmp_path, folder)
    assert (frame.name, frame.host, frame.state) == (name, "W", "noneq")
    assert frame.group == inputs[name]["group"]


def test_a_host_on_the_command_line_wins_and_that_is_said(inputs, tmp_path):
    folder = tmp_path / "vasp" / next(name for name in inputs if "Mo" in name)
    run_vasp(folder)
    frames, summary = imported(tmp_path, folder, host="Mo")
    assert {frame.host for frame in frames} == {"Mo"}
    assert summary.remarks == [
        "host W in the cell.json of 1 run(s) was not taken: the settings say Mo"
    ]
    command = ["dataset", "import", str(folder), "--out", str(tmp_path / "d.extxyz")]
    for options, host, is_said in (
        ([], "W", 0),
        (["--host", "W"], "W", 0),
        (["--host", "Mo"], "Mo", 1),
    ):
        shown = CliRunner().invoke(app, [*command, *options, "--overwrite"])
        assert shown.exit_code == 0, shown.output
        assert {frame.host for frame in read_dataset(tmp_path / "d.extxyz")} == {host}
        assert ("was not taken" in shown.output) == is_said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 3.2, "symbols": ["W"]}', "name: Field required"),
        ("[1, 2]", "should be an object"),
        ("{", "Invalid JSON"),
        ('{"name": "x", "formula": "W16", "state": "melted"}', "state: Input should be 'ideal'"),
        ('{"name": "x", "formula": "W16", "host": "Xy"}', "host: .*Xy"),
    ],
)
def test_a_foreign_file_of_this_name_is_left_aside_with_a_note(inputs, tmp_path, content, message):
    name = next(name for name in inputs if "Mo" in name)
    folder = tmp_path / "vasp" / name
    run_vasp(folder)
    (folder / "cell.json").write_text(content)
    frames, summary = imported(tmp_path, folder)
    assert {frame.host for frame in frames} == {"Mo"}  # as for every run without such a file
    assert not any(name in frame.name for frame in frames)
    (remark,) = summary.remarks
    assert remark.startswith(f"{folder / 'cell.json'}: expected name, formula, host")
    assert remark.endswith(": not used")
    assert re.search(message, remark), remark


def test_a_file_that_belongs_to_other_atoms_is_left_aside(inputs, tmp_path):
    """A folder was copied, and its POSCAR edited."""
    mine, other = (next(n for n in inputs if x in n) for x in ("Mo", "Ti"))
    folder = tmp_path / "vasp" / mine
    run_vasp(folder)
    content = (tmp_path / "vasp" / other / "cell.json").read_text()
    (folder / "cell.json").write_text(content)
    frames, summary = imported(tmp_path, folder)
    assert inputs[other]["group"] not in {frame.group for frame in frames}
    (remark,) = summary.remarks
    assert "found TiW15 where the run has MoW15: not used" in remark


def test_a_relaxation_that_began_again_from_where_it_was_is_not_ideal(inputs, tmp_path):
    """``cp CONTCAR POSCAR``: cell.json still says ideal."""
    name = next(n for n, info in inputs.items() if "Mo" in n and info["state"] == "ideal")
    folder = tmp_path / "vasp" / name
    atoms = read(folder / "POSCAR")
    atoms.rattle(0.03, rng=np.random.default_rng(3))
    last = compute(atoms)
    last.calc.results["forces"] *= 0.01 / np.abs(last.get_forces()).max()
    (folder / "vasprun.xml").write_text(vasprun([compute(atoms), last]))
    frames, _ = imported(tmp_path, folder)
    assert [frame.state for frame in frames] == ["noneq", "relaxed"]
    (folder / "vasprun.xml").write_text(vasprun([last]))
    frames, _ = imported(tmp_path, folder)
    assert [frame.state for frame in frames] == ["relaxed"]


def test_a_cell_computed_twice_has_two_names(inputs, tmp_path):
    name = next(n for n, info in inputs.items() if info["state"] == "noneq")
    folder = tmp_path / "vasp" / name
    atoms = read(folder / "POSCAR")
    for k in (1, 2):
        labelled = compute(atoms)
        for energy in ("energy", "free_energy"):
            labelled.calc.results[energy] += 0.1 * k
        (folder / f"vasprun-{k}.xml").write_text(vasprun([labelled], tags=SINGLE_POINT))
    frames, _ = imported(tmp_path, folder)
    assert [frame.name for frame in frames] == [name, f"{name}-2"]
    assert {frame.group for frame in frames} == {inputs[name]["group"]}
