"""Export: what it writes, what it measures, what it refuses, and that nothing is left then."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer
from support.cells import doped_cell
from support.models import calculator, random_model, save_model
from typer.testing import CliRunner

from moalloy_md.bundle import NATIVE, TORCHSCRIPT, open_bundle
from moalloy_md.cli.export import export_command
from moalloy_md.errors import (
    ConfigError,
    ExportError,
    ModelError,
    RunDirectoryError,
    UnsupportedModelError,
)
from moalloy_md.lammps.single_point import single_point
from moalloy_md.potentials import load_base
from moalloy_md.potentials.native_point import native_point
from moalloy_md.potentials.parity import Evaluated, compare, parity_cell
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.workflows import export as export_module
from moalloy_md.workflows.export import export

with quiet_mace():
    import mace.modules.wrapper_ops

pytestmark = pytest.mark.usefixtures("torch_plugin", "one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a function that saves a model with random weights, each shape once."""
    folder, known = tmp_path_factory.mktemp("saved"), {}

    def save(**options):
        key = json.dumps(options, sort_keys=True)
        if key not in known:
            model = random_model(elements=ELEMENTS, **options)
            path = folder / f"model-{len(known)}.model"
            save_model(model, path)
            known[key] = (model, path)
        return known[key]

    return save


@pytest.fixture(scope="module")
def double(saved, tmp_path_factory):
    """A bundle in double precision, with ZBL; do not change it."""
    return export(saved(zbl=True)[1], out=tmp_path_factory.mktemp("double") / "b")


@pytest.fixture(scope="module")
def single(saved, tmp_path_factory):
    """A small bundle in single precision; do not change it."""
    _, path = saved(hidden="8x0e", dtype="float32")
    return export(path, out=tmp_path_factory.mktemp("single") / "b")


def test_double_precision_meets_its_gate(double):
    manifest = double.manifest
    parity = manifest["parity"]
    assert parity["passed"]
    assert parity["energy_ev_per_atom"] <= 1e-9
    rms = parity["force_rms_ev_per_angstrom"]
    assert rms > 0.5
    assert parity["force_ev_per_angstrom"] <= 1e-9 * rms
    assert parity["stress_ev_per_angstrom3"] <= 1e-9 * rms
    native = manifest["native"]["parity"]
    assert native["passed"]
    assert native["energy_ev_per_atom"] <= 1e-7
    assert native["force_ev_per_angstrom"] <= 1e-6 * max(1.0, rms)
    assert native["stress_ev_per_angstrom3"] <= 1e-7 * max(1.0, rms)


def test_single_precision_of_a_few_elements(saved, tmp_path):
    model, path = saved(zbl=True)
    bundle = export(path, out=tmp_path / "b", dtype="float32", elements=["W", "Mo"])
    assert bundle.elements == ["Mo", "W"]  # in the order of the model's table
    assert bundle.manifest["dtype"] == "float32"
    parity = bundle.manifest["parity"]
    assert 0 < parity["force_ev_per_angstrom"] <= 1e-4 * (1 + parity["force_rms_ev_per_angstrom"])
    assert bundle.torchscript.stat().st_size < path.stat().st_size * 20
    atoms = doped_cell(("Mo", "W"), n=2, seed=5)
    found = single_point(
        atoms, potential=bundle.torchscript, elements=["W", "Mo"], run_dir=tmp_path / "run"
    )
    work = atoms.copy()
    work.calc = calculator(model)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, work.get_forces(), atol=3e-4)
    assert found.energies_ev.sum() == pytest.approx(found.energy_ev, abs=1e-8)
    by_engine = native_point(atoms, potential=bundle.native, run_dir=tmp_path / "engine")
    np.testing.assert_allclose(by_engine.forces, work.get_forces(), atol=6e-4)
    assert by_engine.energy_ev == pytest.approx(work.get_potential_energy(), abs=1e-5 * len(atoms))
    np.testing.assert_allclose(by_engine.stress, work.get_stress(), atol=1e-4)


def test_keeps_the_precision_of_the_source(single):
    assert single.manifest["dtype"] == "float32"
    assert single.manifest["native"]["parity"]["passed"]


def test_manifest_says_what_it_is(saved, double):
    model, _ = saved(zbl=True)
    manifest = double.manifest
    assert manifest["elements"] == list(ELEMENTS)
    assert manifest["r_max_angstrom"] == 4.5
    assert manifest["n_layers"] == 2
    table = model.atomic_energies_fn.atomic_energies.flatten().tolist()
    assert list(manifest["reference_energies_ev"].values()) == pytest.approx(table)
    assert manifest["native"]["file"] == "model.safetensors"
    assert manifest["native"]["reason"] is None
    assert manifest["files"].keys() == {"model-lammps.pt", "model.safetensors"}
    assert {p.name for p in double.path.iterdir()} == {*manifest["files"], "manifest.json"}
    assert manifest["training_set_sha256"] is None


def test_reference_energies_stay_double_in_single_precision(saved, tmp_path):
    model, path = saved(zbl=True)
    bundle = export(path, out=tmp_path / "b", dtype="float32")
    with quiet_mace():
        file = torch.jit.load(str(bundle.torchscript))
    exact = model.atomic_energies_fn.atomic_energies[0]
    assert exact.dtype == torch.float64
    assert torch.equal(file.reference_energies, exact)
    assert not torch.equal(exact.float().double(), exact), "rounding would not show"
    assert bundle.manifest["parity"]["against_unrounded_weights"]["energy_ev_per_atom"] < 1e-5


def test_each_head_is_itself(saved, tmp_path):
    model, path = saved(heads=["pt", "dft"])
    atoms = parity_cell(list(ELEMENTS))
    energies = []
    for head in ("pt", "dft"):
        bundle = export(path, out=tmp_path / head, head=head)
        found = single_point(
            atoms, potential=bundle.torchscript, elements=bundle.elements, run_dir=tmp_path / "r"
        )
        energies.append(found.energy_ev)
        expected = calculator(model, head=head).get_potential_energy(atoms)
        assert found.energy_ev == pytest.approx(expected, abs=1e-9)
    assert abs(energies[0] - energies[1]) > 0.1


def test_heads_have_to_be_chosen(saved, tmp_path):
    _, path = saved(heads=["pt", "dft"])
    with pytest.raises(ModelError, match="choice among the heads pt, dft: add --head dft"):
        export(path, out=tmp_path / "b")
    with pytest.raises(ModelError, match="one of the heads pt, dft, found 'dtf'"):
        export(path, out=tmp_path / "b", head="dtf")


def test_layers_of_cuequivariance_are_to_be_converted(tmp_path):
    model = random_model(elements=("Mo",), hidden="4x0e", max_ell=1)
    config = mace.modules.wrapper_ops.CuEquivarianceConfig()
    config.enabled = True  # which it refuses to be where cuequivariance is not installed
    model.interactions[0].cueq_config = config
    save_model(model, tmp_path / "cueq.model")
    with pytest.raises(ModelError, match=r"found those of cuequivariance.*convert_cueq_e3nn"):
        export(tmp_path / "cueq.model", out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_elements_that_the_model_lacks(saved, tmp_path):
    _, path = saved(zbl=True)
    with pytest.raises(ModelError, match="elements V, Mo, Ta, W, found Re"):
        export(path, out=tmp_path / "b", elements=["Mo", "Re"])


def test_same_export_again_changes_nothing(saved, single):
    _, path = saved(hidden="8x0e", dtype="float32")
    said = []
    again = export(path, out=single.path, say=said.append)
    assert again.manifest == single.manifest
    assert "already" in said[-1]
    for other in ({"elements": ["Mo"]}, {"native": "off"}, {"dtype": "float64"}):
        with pytest.raises(RunDirectoryError, match="of another model or with other options"):
            export(path, out=single.path, **other)
    assert export(path, out=single.path, native="required").manifest == single.manifest


def test_folder_with_other_things_is_refused(saved, tmp_path):
    _, path = saved(hidden="8x0e", dtype="float32")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match="found other things"):
        export(path, out=tmp_path / "b")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["notes.txt"]


def test_a_model_that_fails_the_gate_is_not_kept(saved, tmp_path, monkeypatch):
    """The written file is made wrong in its last digits: 1e-7 of the weights of one layer."""
    from moalloy_md.potentials import export as potentials_export

    _, path = saved(zbl=True)
    honest = potentials_export.script

    def careless(model, **options):
        with torch.no_grad():
            model.interactions[1].linear.weight *= 1 + 1e-7
        return honest(model, **options)

    monkeypatch.setattr(potentials_export, "script", careless)
    with pytest.raises(ExportError, match=r"model-lammps\.pt: .* deviates from its source and was"):
        export(path, out=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("dtype", "error"), [("float64", 1e-4), ("float32", 1e-2)])
def test_a_native_file_that_fails_its_gate_is_not_kept(dtype, error, saved, tmp_path, monkeypatch):
    from moalloy_md.potentials import export as potentials_export

    _, path = saved(zbl=True)
    honest = potentials_export.write_native

    def careless(model, **options):
        with torch.no_grad():
            model.interactions[1].linear.weight *= 1 + error
        honest(model, **options)

    monkeypatch.setattr(potentials_export, "write_native", careless)
    with pytest.raises(ExportError, match=r"model\.safetensors: .* deviates from its source"):
        export(path, out=tmp_path / "b", dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_a_native_file_that_cannot_be_evaluated_is_not_kept(saved, tmp_path, monkeypatch):
    from moalloy_md.potentials import export as potentials_export

    _, path = saved(hidden="8x0e", dtype="float32")

    def torn(*, path, **_options):
        path.write_bytes(b"\0" * 64)

    monkeypatch.setattr(potentials_export, "write_native", torn)
    with pytest.raises(ExportError, match="the native engine to evaluate it, found exit status 1"):
        export(path, out=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def unsupported(tmp_path_factory):
    """A model that LAMMPS can run and the native engine cannot: tanh in the readout."""
    path = tmp_path_factory.mktemp("unsupported") / "tanh.model"
    model = random_model(elements=("Mo", "W"), hidden="4x0e", max_ell=1, gate=torch.tanh)
    save_model(model, path)
    return path


def test_what_the_engine_cannot_evaluate_gives_torchscript_alone(unsupported, tmp_path):
    said = []
    bundle = export(unsupported, out=tmp_path / "b", say=said.append)
    assert bundle.native is None
    native = bundle.manifest["native"]
    assert native.keys() == {"file", "reason", "parity"}
    assert native["file"] is None and native["parity"] is None
    assert "readout 1: expected silu as activation, found tanh" in native["reason"]
    assert f"warning: no model.safetensors. {native['reason']}" in said
    assert bundle.manifest["files"].keys() == {TORCHSCRIPT}
    assert bundle.torchscript.is_file() and not (tmp_path / "b" / NATIVE).exists()
    assert export(unsupported, out=tmp_path / "b").manifest == bundle.manifest
    with pytest.raises(UnsupportedModelError, match=r"found tanh.* --native auto"):
        export(unsupported, out=tmp_path / "b", native="required")


def cli(*arguments):
    """Run ``moalloy export`` and return its outcome; long lines are not broken."""
    app = typer.Typer()
    app.command()(export_command)
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


def test_command_prints_the_parity_of_both_files(saved, single):
    _, path = saved(hidden="8x0e", dtype="float32")
    answer = cli(path, "--out", single.path)
    assert answer.exit_code == 0
    for name, parity in (
        (TORCHSCRIPT, single.manifest["parity"]),
        (NATIVE, single.manifest["native"]["parity"]),
    ):
        table = answer.stdout.split(f"{name} against the source")[1].split("└")[0]
        found, limit = parity["force_ev_per_angstrom"], parity["force_limit_ev_per_angstrom"]
        assert re.search(rf"forces \(eV/Å\) *│ {found:.1e} *│ {limit:.1e}", table)
    assert "warning" not in answer.output


def test_command_with_a_file_and_json(saved, single, tmp_path):
    _, path = saved(hidden="8x0e", dtype="float32")
    config = tmp_path / "export.yaml"
    config.write_text(f"model: {path}\nout: {single.path}\nelements: [{', '.join(ELEMENTS)}]\n")
    answer = cli("--config", config, "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found == {"bundle": str(single.path), **single.manifest}
    for arguments, sentence in (
        (("--config", config, "--head", "pbe"), r"options beside it \(--head\)"),
        ((path, "--config", config), r"options beside it \(MODEL\)"),
        (("--out", tmp_path / "b"), "MODEL: expected a value, found none"),
        ((path,), "--out: expected a value, found none"),
    ):
        refused = cli(*arguments)
        assert isinstance(refused.exception, ConfigError)
        assert re.search(sentence, str(refused.exception))
    config.write_text(f"model: {path}\nout: b\nelements: [Moo]\n")
    assert "elements.0: expected a chemical symbol" in str(cli("--config", config).exception)


def test_command_warns_when_there_is_no_native_file(unsupported, tmp_path):
    answer = cli(unsupported, "--out", tmp_path / "b", "--elements", "Mo")
    assert answer.exit_code == 0
    assert "warning: no model.safetensors was written. readout 1: expected silu" in answer.stderr
    assert f"{NATIVE} against the source" not in answer.stdout
    answer = cli(unsupported, "--out", tmp_path / "c", "--native", "required")
    assert isinstance(answer.exception, UnsupportedModelError)
    assert not (tmp_path / "c").exists()


def test_required_native_file_fails_before_anything_is_written(unsupported, tmp_path):
    with pytest.raises(UnsupportedModelError, match="expected silu as activation, found tanh"):
        export(unsupported, out=tmp_path / "b", native="required")
    assert list(tmp_path.iterdir()) == []


def test_native_file_is_left_out_when_it_is_not_asked_for(saved, tmp_path):
    _, path = saved(hidden="8x0e", dtype="float32")
    bundle = export(path, out=tmp_path / "b", native="off")
    reason = "not asked for (--native off)"
    assert bundle.manifest["native"] == {"file": None, "reason": reason, "parity": None}
    assert bundle.native is None
    with pytest.raises(RunDirectoryError, match="or with other options"):
        export(path, out=tmp_path / "b")


def test_no_room_for_torchscript_is_an_error_of_the_system(saved, tmp_path):
    """torch's own ``save`` aborts the whole process there. A limit on files stands for the disk."""
    program = f"""
import resource
from pathlib import Path
from moalloy_md.potentials.export import open_source, write_torchscript
source = open_source(Path({str(saved(hidden="8x0e", dtype="float32")[1])!r}), head=None, elements=None, dtype=None)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_torchscript(source, Path({str(tmp_path / "model-lammps.pt")!r}))
except OSError as error:
    print("refused:", error.strerror)
"""
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "refused: File too large" in answer.stdout, answer.stderr


def test_killed_in_between_nothing_is_left(saved, tmp_path, monkeypatch):
    _, path = saved(zbl=True)

    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(export_module, "_report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(path, out=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [TORCHSCRIPT, NATIVE])
def test_a_changed_file_is_noticed(file, single, tmp_path):
    shutil.copytree(single.path, tmp_path / "b")
    with (tmp_path / "b" / file).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match="changed or damaged after the export"):
        open_bundle(tmp_path / "b")


def test_what_is_no_bundle_is_named(tmp_path):
    with pytest.raises(ModelError, match="expected a bundle, found no manifest"):
        open_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "train"}')
    with pytest.raises(ModelError, match="found the folder of another command"):
        open_bundle(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "bundle", "format": 99, "files": {}}')
    with pytest.raises(ModelError, match="format 1 or older, found 99"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("what", ["energy_ev", "forces", "stress"])
@pytest.mark.parametrize("wrong", [1e-3, np.nan])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("route", ["torchscript", "native"])
def test_gate_fails_for_each_part(what, wrong, dtype, route):
    rng = np.random.default_rng(0)
    parts = {"energy_ev": -3.0, "forces": rng.normal(size=(4, 3)), "stress": rng.normal(size=6)}
    reference = Evaluated(**parts)
    assert compare(reference, Evaluated(**parts), dtype=dtype, route=route).passed
    changed = Evaluated(**{**parts, what: parts[what] + wrong})
    assert not compare(reference, changed, dtype=dtype, route=route).passed


def test_limits_of_the_native_engine():
    """Per unit of the forces, but not below those of forces of 1 eV/Å."""
    for size, scale in ((0.1, 1.0), (10.0, 10.0)):
        forces = size * np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]])
        reference = Evaluated(energy_ev=0.0, forces=forces, stress=np.zeros(6))
        double = compare(reference, reference, dtype="float64", route="native")
        assert double.energy_limit_ev_per_atom == 1e-7
        assert double.force_limit_ev_per_angstrom == pytest.approx(1e-6 * scale)
        assert double.stress_limit_ev_per_angstrom3 == pytest.approx(1e-7 * scale)
        single = compare(reference, reference, dtype="float32", route="native")
        assert single.force_limit_ev_per_angstrom == pytest.approx(2e-4 * (1 + size))


@pytest.mark.parametrize("n_elements", [1, 2, 21, 89])
def test_parity_cell_holds_every_element(n_elements):
    from ase.data import chemical_symbols

    elements = chemical_symbols[1 : n_elements + 1]
    atoms = parity_cell(elements)
    assert set(atoms.get_chemical_symbols()) == set(elements)
    assert np.allclose(atoms.cell.array, np.tril(atoms.cell.array))
    assert np.abs(atoms.cell.array[[1, 2, 2], [0, 0, 1]]).min() > 0.1


def test_a_base_model_is_exported_by_its_name(tmp_path):
    """To run it as it is: its numbers are those of the module that `load_base` builds."""
    bundle = export("base-small", out=tmp_path / "b", elements=["Mo", "Ta"])
    assert bundle.elements == ["Mo", "Ta"]
    assert bundle.manifest["source"]["path"] == "base-small"
    atoms = parity_cell(["Mo", "Ta"])
    found = native_point(atoms, potential=bundle.native, run_dir=tmp_path)
    energy = calculator(load_base("small")).get_potential_energy(atoms)
    assert found.energy_ev == pytest.approx(energy, abs=1e-5 * len(atoms))
    assert export("base-small", out=tmp_path / "b", elements=["Mo", "Ta"]).path == bundle.path


def test_a_name_that_is_no_foundation_is_refused(tmp_path):
    with pytest.raises(
        ModelError, match="expected one of small, medium, found 'smal': did you mean 'small'"
    ):
        export("base-smal", out=tmp_path / "b")
    assert not list(tmp_path.iterdir())
