"""Labelling for real, by Lennard-Jones and a MACE model: labels, failures, kill and resume."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.io import read
from support import teachers
from support.labelling import cells, config

from moalloy_md.config import validate
from moalloy_md.datasets.frames import read_dataset
from moalloy_md.errors import ConfigError, DataError, MoAlloyError, ModelError, RunDirectoryError
from moalloy_md.structures.files import write_cells
from moalloy_md.workflows.label.config import LabelConfig, calculator_from_text
from moalloy_md.workflows.label.store import MAX_STARTS
from moalloy_md.workflows.label.workflow import MAX_FAILURES_IN_A_ROW, label

LENNARD_JONES = config(target="support.teachers:lennard_jones")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "cells.extxyz"
    write_cells(path, cells())
    return path


def test_labels_are_the_calculators_and_all_else_stays(source, tmp_path):
    out = tmp_path / "data.extxyz"
    result = label(source, LENNARD_JONES, out)
    assert (result.n_cells, result.n_labelled, result.n_new, result.n_left) == (4, 4, 4, 0)
    assert result.is_complete
    frames = read_dataset(out)
    for frame, atoms in zip(frames, read(source, ":"), strict=True):
        atoms.calc = teachers.lennard_jones()
        assert frame.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-12)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=0.51e-8)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(), atol=1e-12)
        np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=0.51e-8)
        for key in ("name", "host", "group", "state"):
            assert frame.atoms.info[key] == atoms.info[key]
        assert frame.source == "cells.extxyz"
        assert frame.atoms.info["calculator"] == "support.teachers:lennard_jones"
    manifest = json.loads((result.folder / "manifest.json").read_text())
    assert manifest["kind"] == "dataset label"
    assert manifest["finished"] is not None
    assert len(list((result.folder / "done").iterdir())) == 4


def test_the_energy_is_the_free_energy(source, tmp_path):
    label(source, config(target="support.teachers:WithSmearing"), tmp_path / "a.extxyz")
    frames = read_dataset(tmp_path / "a.extxyz")
    assert {frame.energy_ev for frame in frames} == {-10.25}
    assert {frame.stress for frame in frames} == {None}
    plain = {"target": "support.teachers:PlainEnergy"}
    result = label(source, config(**plain), tmp_path / "b.extxyz")
    assert len(result.failures) == 4
    assert "no force-consistent free energy" in result.failures[0].reason
    assert not result.out.exists()
    label(source, config(**plain, energy_is_free=True), tmp_path / "c.extxyz")
    assert {frame.energy_ev for frame in read_dataset(tmp_path / "c.extxyz")} == {-10.0}


def test_stress_can_be_left_out(source, tmp_path):
    label(source, LENNARD_JONES.model_copy(update={"stress": False}), tmp_path / "a.extxyz")
    assert all(frame.stress is None for frame in read_dataset(tmp_path / "a.extxyz"))


def test_old_labels_give_way(tmp_path):
    images = cells(1)
    images[0].info |= {"REF_energy": 17.0, "REF_stress": np.ones(6), "energy": 3.0}
    images[0].info |= {"dft_code": "VASP", "cutoff_ev": 520.0, "pseudopotentials": "Mo_pv W_pv"}
    images[0].arrays["forces"] = np.ones((16, 3))
    write_cells(tmp_path / "cells.extxyz", images)
    label(
        tmp_path / "cells.extxyz",
        config(target="support.teachers:WithSmearing"),
        tmp_path / "a.extxyz",
    )
    (frame,) = read_dataset(tmp_path / "a.extxyz")
    assert frame.energy_ev == -10.25
    assert frame.stress is None
    old = {"energy", "forces", "dft_code", "cutoff_ev", "pseudopotentials"}
    assert not old & (frame.atoms.info.keys() | frame.atoms.arrays.keys())


def test_more_cells_may_come_later(source, tmp_path):
    out = tmp_path / "data.extxyz"
    first = label(source, LENNARD_JONES, out, limit=3)
    assert (first.n_new, first.n_left, first.is_complete) == (3, 1, False)
    assert len(read_dataset(out)) == 3
    done = {path: path.stat().st_mtime_ns for path in (first.folder / "done").iterdir()}
    images = cells(3, start=10) + cells()
    images[3].info["group"] = "another"
    source.unlink()
    write_cells(source, images)
    second = label(source, LENNARD_JONES, out)
    assert (second.n_new, second.n_labelled) == (4, 7)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    names = [frame.name for frame in read_dataset(out)]
    assert names == [atoms.info["name"] for atoms in images]
    assert read_dataset(out)[3].group == "another"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "RuntimeError: not converged after 120 iterations"),
        ("nan", "labels, atom 1: expected a finite REF_forces"),
        ("unconverged", "the DFT code did not reach self-consistency"),
    ],
)
def test_failures_are_listed_and_retried_on_request(source, tmp_path, monkeypatch, how, reason):
    out, moody = tmp_path / "data.extxyz", config(
        target="support.teachers:Moody", arguments={"how": how}
    )  # fmt: skip
    seen = []
    result = label(source, moody, out, watch=seen.append)
    assert [failure.name for failure in result.failures] == ["cell 0", "cell 2"]
    assert reason in result.failures[0].reason
    assert [frame.name for frame in read_dataset(out)] == ["cell 1", "cell 3"]
    assert (seen[-1].n_labelled, seen[-1].n_failed, seen[-1].n_cells) == (2, 2, 4)
    monkeypatch.setenv("MOODY", "good")
    assert label(source, moody, out).n_new == 0  # not without being asked
    result = label(source, moody, out, retry=True)
    assert (result.n_new, result.failures) == (2, ())
    assert [frame.name for frame in read_dataset(out)] == [f"cell {k}" for k in range(4)]
    assert not list((result.folder / "failed").iterdir())


def test_a_fault_that_is_not_the_cells_stops_it(tmp_path):
    write_cells(tmp_path / "cells.extxyz", cells(8))
    wrong = config(target="support.teachers:PlainEnergy")
    with pytest.raises(MoAlloyError, match="cells failed one after the other, so the fault"):
        label(tmp_path / "cells.extxyz", wrong, tmp_path / "data.extxyz")
    result = label(tmp_path / "cells.extxyz", wrong, tmp_path / "data.extxyz")
    assert len(result.failures) == 8  # the same command went on with the rest
    assert MAX_FAILURES_IN_A_ROW == 5


def test_a_cell_that_kills_the_process_is_left_aside(source, tmp_path, monkeypatch):
    """A process that dies at a cell leaves a mark; after some it is not tried again."""
    out = tmp_path / "data.extxyz"
    label(source, LENNARD_JONES, out, limit=1)
    folder = tmp_path / "data.extxyz.cells"
    (key,) = [path.stem for path in (folder / "done").iterdir()]
    (folder / "done" / f"{key}.extxyz").unlink()
    (folder / "started" / key).write_text(str(MAX_STARTS))
    result = label(source, LENNARD_JONES, out)
    assert result.n_labelled == 3
    assert "the process was ended 3 times while it was at this cell" in result.failures[0].reason
    assert label(source, LENNARD_JONES, out, retry=True).is_complete


def test_a_torn_count_of_starts_is_one_start(source, tmp_path):
    """A crash of the machine or a full disk may leave the file empty."""
    out = tmp_path / "data.extxyz"
    label(source, LENNARD_JONES, out, limit=1)
    folder = tmp_path / "data.extxyz.cells"
    (key,) = [path.stem for path in (folder / "done").iterdir()]
    (folder / "done" / f"{key}.extxyz").unlink()
    (folder / "started" / key).write_text("")
    (folder / "started" / ".torn").write_text("")
    assert label(source, LENNARD_JONES, out).is_complete
    assert not list((folder / "started").iterdir())


def test_a_name_that_begins_with_a_dot_is_no_torn_file(tmp_path):
    images = cells(2)
    images[0].info["name"] = ".relaxed/1"
    write_cells(tmp_path / "cells.extxyz", images)
    label(tmp_path / "cells.extxyz", LENNARD_JONES, tmp_path / "data.extxyz")
    assert label(tmp_path / "cells.extxyz", LENNARD_JONES, tmp_path / "data.extxyz").n_new == 0
    assert read_dataset(tmp_path / "data.extxyz")[0].name == ".relaxed/1"


def test_an_interrupt_is_not_the_cells_fault(source, tmp_path, monkeypatch):
    out = tmp_path / "data.extxyz"

    def stop(_self, _atoms=None, _properties=(), _changes=()):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teachers.WithSmearing, "calculate", stop)
        for _ in range(MAX_STARTS + 1):
            with pytest.raises(KeyboardInterrupt):
                label(source, config(target="support.teachers:WithSmearing"), out)
    assert label(source, config(target="support.teachers:WithSmearing"), out).is_complete


def test_another_calculator_is_not_mixed_in(source, tmp_path):
    out = tmp_path / "data.extxyz"
    label(source, LENNARD_JONES, out)
    before = out.read_bytes()
    with pytest.raises(RunDirectoryError, match=r"target = 'support\.teachers:lennard_jones'"):
        label(source, config(target="support.teachers:WithSmearing"), out)
    assert out.read_bytes() == before
    slower = config(target="support.teachers:lennard_jones", timeout_s=100)
    assert label(source, slower, out).n_new == 0  # how it is run does not matter


def test_what_is_refused_before_anything_is_computed(source, tmp_path, monkeypatch):
    (tmp_path / "thesis.extxyz").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.extxyz: expected no file"):
        label(source, LENNARD_JONES, tmp_path / "thesis.extxyz")
    out = tmp_path / "data.extxyz"
    with pytest.raises(DataError, match=r"none\.extxyz: cannot be read"):
        label(tmp_path / "none.extxyz", LENNARD_JONES, out)
    images = cells(2)
    images[1].symbols[:] = "W"
    write_cells(tmp_path / "no_host.extxyz", images)
    with pytest.raises(DataError, match=r"frame 1 .* expected atoms of the host"):
        label(tmp_path / "no_host.extxyz", LENNARD_JONES, out)
    for target, sentence in (
        ("support.teachers:broken", "found ImportError: no licence found"),
        ("support.teachers:absent", "found AttributeError"),
        ("no_such_module:x", "found ModuleNotFoundError"),
    ):
        with pytest.raises(MoAlloyError, match=sentence):
            label(source, config(target=target), out)
    with pytest.raises(MoAlloyError, match=r"none\.model: cannot be read"):
        label(source, config("mace", model="none.model"), out)
    with pytest.raises(ModelError, match=r"none\.safetensors"):
        label(source, config("native", model="none.safetensors"), out)
    assert not (tmp_path / "data.extxyz.cells").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            {"kind": "vasp", "settings": {"nsw": 5}},
            "expected nsw 0, found 5: labels belong to the cell",
        ),
        ({"kind": "factory", "target": "nonsense"}, "target: expected module:name"),
        ({"kind": "gpaw", "settings": {}, "interpeter": ["x"]}, "did you mean 'interpreter'"),
        ({"kind": "castep"}, "calculator: .*castep"),
    ],
)
def test_settings_are_checked(content, sentence):
    with pytest.raises(ConfigError, match=sentence):
        validate({"calculator": content}, LabelConfig, source="x.yaml")


def test_calculators_by_their_name(tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "mine").touch()
    assert calculator_from_text(str(tmp_path / "bundle")).kind == "native"
    assert calculator_from_text("a/model.safetensors").kind == "native"
    assert calculator_from_text(str(tmp_path / "mine")).kind == "mace"
    assert calculator_from_text("teacher.model").kind == "mace"
    assert calculator_from_text("ase.calculators.emt:EMT").target == "ase.calculators.emt:EMT"
    with pytest.raises(ConfigError, match=r"give it as --config vasp\.yaml"):
        calculator_from_text("vasp.yaml")
    with pytest.raises(ConfigError, match="DFT codes need settings"):
        calculator_from_text("vasp")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, one_torch_thread):
    """A MACE model with random weights: mace-torch's calculator, .model file, native file."""
    from support.models import calculator, random_model, save_model

    from moalloy_md.potentials.native_model import write_native

    model = random_model(elements=("Mo", "W"), hidden="4x0e", max_ell=1, correlation=1, r_max=4.0)
    folder = tmp_path_factory.mktemp("teacher")
    save_model(model, folder / "teacher.model")
    energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())
    native = folder / "teacher.safetensors"
    write_native(model, native, head=0, dtype="float64", reference_energies=energies[0])
    return calculator(model), folder / "teacher.model", native


def compare(path, oracle, *, tolerance, every=1):
    for frame in read_dataset(path)[::every]:
        energy = oracle.get_potential_energy(frame.atoms)
        assert frame.energy_ev == pytest.approx(energy, abs=tolerance)
        np.testing.assert_allclose(frame.forces, oracle.get_forces(frame.atoms), atol=tolerance)
        np.testing.assert_allclose(frame.stress, oracle.get_stress(frame.atoms), atol=tolerance)


def test_a_mace_model_as_teacher(teacher, source, tmp_path):
    oracle, model, _ = teacher
    assert label(
        source, config("mace", model=str(model), device="cpu"), tmp_path / "a.extxyz"
    ).is_complete
    compare(tmp_path / "a.extxyz", oracle, tolerance=1e-7)  # positions have 8 decimals
    frame = read_dataset(tmp_path / "a.extxyz")[0]
    assert frame.atoms.info["calculator"] == "mace teacher.model"


def test_kill_and_resume(teacher, tmp_path):
    """kill -9 in the midst of a real labelling; the same command goes on with what is left."""
    oracle, _, native = teacher
    n = 150
    write_cells(tmp_path / "cells.extxyz", cells(n))
    out = tmp_path / "data.extxyz"
    done = tmp_path / "data.extxyz.cells" / "done"
    command = [
        *(sys.executable, "-m", "moalloy_md.cli.app", "dataset", "label"),
        *(str(tmp_path / "cells.extxyz"), "--calculator", str(native), "--out", str(out)),
    ]
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    try:
        while process.poll() is None and len(list(done.glob("*.extxyz"))) < 3:
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    first = {p: p.stat().st_mtime_ns for p in done.glob("[!.]*")}
    assert 2 <= len(first) < n
    assert not out.exists()
    (done / ".torn.extxyz").write_text("16\n")  # a kill in the midst of writing
    result = label(tmp_path / "cells.extxyz", config("native", model=str(native), threads=1), out)
    assert (result.n_labelled, result.n_new) == (n, n - len(first))
    assert {p: p.stat().st_mtime_ns for p in first} == first
    assert len(list(done.iterdir())) == n
    compare(out, oracle, tolerance=1e-5, every=75)  # the engine's radial functions are tabulated


def test_a_model_file_that_was_moved_is_still_the_same_teacher(teacher, source, tmp_path):
    _, _, native = teacher
    label(source, config("native", model=str(native), threads=1), tmp_path / "a.extxyz")
    shutil.copy(native, tmp_path / "renamed.safetensors")
    moved = config("native", model=str(tmp_path / "renamed.safetensors"))
    assert label(source, moved, tmp_path / "a.extxyz").n_new == 0
