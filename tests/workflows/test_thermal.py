"""`moalloy simulate thermal`: refusals, and two small simulations from end to end."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from ase import units
from ase.build import bulk
from rich.console import Console
from support.processes import processes_below, wait_until
from support.thermal import TUNGSTEN, VANADIUM, settings
from support.tungsten import potential
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.errors import ConfigError, ModelError, RunDirectoryError
from moalloy_md.lammps.logs import read_run
from moalloy_md.workflows.simulate.run import read_plan
from moalloy_md.workflows.thermal.workflow import thermal

QUIET = Console(quiet=True)
COMMAND = ("simulate", "thermal")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"compositions": {"a": {"Xx": 0.02}}}, r"compositions\.a\.Xx.*found 'Xx'"),
        (
            {"compositions": {"a": {"Fe": 0.005}}},
            "a.Fe: expected a fraction that gives an atom, found 0.005 of 54 sites. Give .* 0.019",
        ),
        (
            {"compositions": {"a": {"Fe": 0}}},
            "expected atomic fractions between 0 and 1, found 0 for Fe in a",
        ),
        ({"compositions": {"a": {"Fe": 1.5}}}, "found 1.5"),
        ({"compositions": {"a": {"V": 0.1}}}, "dopants other than the host, found V"),
        ({"compositions": {"a/b": {}}}, "found 'a/b': they become folders"),
        ({"compositions": {}}, "compositions"),
        ({"temperatures_k": [300, 0]}, "temperatures above 0 K, found 0"),
        ({"temperatures_k": [300, -5]}, "temperatures above 0 K, found -5"),
        ({"temperatures_k": [300, 300]}, "expected different temperatures"),
        ({"temperatures_k": []}, "temperatures_k"),
        ({"temperature_k": [300]}, "did you mean 'temperatures_k'"),
        ({"ramp": {"start_k": 900, "end_k": 300}}, "end_k above start_k .900., found 300"),
        ({"ramp": {"start": 900}}, "did you mean 'start_k'"),
        ({"dump_interval": 25}, "a multiple of thermo_interval .10., found 25"),
        ({"lattice": "fcc"}, "lattice: expected bcc, found fcc"),
        (
            {"dump_interval": 50, "ramp": {"steps": 1000}},
            "windows of 4 frames at least, found 1 in each of 20 .1000 steps, dump_interval 50.",
        ),
        ({"crystal_rmsd_cutoff": 0}, "crystal_rmsd_cutoff"),
        ({"potential": {"kind": "bundel"}}, "did you mean bundle"),
        ({"potential": {"kind": "lammps", "style": "eam", "files": []}}, "files"),
        ({"slurm": {"partiton": "gpu"}}, "did you mean 'partition'"),
        ({"watch": {"close_fraction": 2}}, "watch.close_fraction"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        settings(**changes)


def test_what_only_the_files_show_is_refused(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="expected a potential, found none: give --bundle"):
        thermal(settings(potential=None), out=out, console=QUIET)
    with pytest.raises(
        ConfigError, match=r"expected a file, found none at nix.eam nor in .*potentials"
    ):
        thermal(settings(potential={**VANADIUM["potential"], "files": ["nix.eam"]}), out=out)
    with pytest.raises(ModelError, match="knows Nb, V, found V, Fe, without Nb: export the model"):
        thermal(settings(compositions={"a": {"Nb": 0.04}}), out=out, console=QUIET)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="nix: expected a bundle"):
        thermal(settings(potential={"kind": "bundle", "bundle": "nix"}), out=out, console=QUIET)
    assert not out.exists()
    committee = {"kind": "bundle", "bundle": "b", "committee": ["c"], "style": "mace"}
    with pytest.raises(ConfigError, match="expected mace/native for a committee, found mace"):
        thermal(settings(potential=committee), out=out, console=QUIET)


def test_a_bundle_that_lacks_an_element_is_refused(tmp_path):
    manifest = {"kind": "bundle", "format": 1, "files": {}, "elements": ["Mo", "W"]}
    manifest |= {"native": {"file": None, "reason": "four layers"}}
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "thermal.yaml").write_text("compositions: {pure: {}, Ta2: {Ta: 0.02}}")
    options = ["--config", str(tmp_path / "thermal.yaml"), "--out", str(tmp_path / "out")]
    for native, sentence in (
        (None, "expected a file for the native engine, found none: four layers. Use style: mace"),
        ("model.safetensors", "expected a potential that knows Mo, Ta, found Mo, W, without Ta"),
    ):
        manifest["native"]["file"] = native
        (bundle / "manifest.json").write_text(json.dumps(manifest))
        answer = CliRunner().invoke(app, [*COMMAND, "--bundle", str(bundle), *options])
        assert isinstance(answer.exception, ModelError)
        assert sentence in str(answer.exception)
    assert not (tmp_path / "out").exists()
    (tmp_path / "thermal.yaml").write_text("potential: {kind: bundle, bundle: b}")
    answer = CliRunner().invoke(app, [*COMMAND, "--bundle", str(bundle), *options])
    assert "expected either --bundle or potential in" in str(answer.exception)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunDirectoryError, match=r"without a manifest\.json"):
        thermal(settings(), out=tmp_path, console=QUIET)
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["thesis.tex"]


# ---- from end to end, killed once --------------------------------------------------------------------


def start(folder):
    with (folder / "screen").open("a") as screen:
        return subprocess.Popen(
            [sys.executable, "-m", "moalloy_md.cli.app", "simulate", "thermal",
             "--config", "thermal.yaml", "--out", "out"],
            cwd=folder, stdout=screen, stderr=subprocess.STDOUT,
        )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("thermal")
    (folder / "thermal.yaml").write_text(yaml.safe_dump(VANADIUM, sort_keys=False))
    first = folder / "out" / "runs" / "pure" / "npt-100K"
    process = start(folder)
    wait_until((first / "restart.npt").exists, process)
    assert "lmp" in " ".join(processes_below(folder))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while processes_below(folder) and time.monotonic() < end:
        time.sleep(0.02)
    assert processes_below(folder) == []
    assert start(folder).wait(timeout=300) == 0, (folder / "screen").read_text()
    return folder


def test_a_killed_simulation_goes_on_to_the_same_total(finished):
    first = finished / "out" / "runs" / "pure" / "npt-100K"
    starts = sorted(int(path.name.split(".")[1]) for path in first.glob("log.*.lammps"))
    assert starts[0] == 0
    assert starts[1] >= 1000
    np.testing.assert_array_equal(read_run(first).steps, np.arange(0, 8001, 10))


def test_every_number_has_an_error_and_samples(finished):
    out = finished / "out"
    content = json.loads((out / "thermal.json").read_text())
    assert content["compositions"].keys() == {"pure", "Fe4"}
    assert content["compositions"]["Fe4"]["counts"] == {"V": 52, "Fe": 2}
    with (out / "thermal.csv").open() as file:
        rows = list(csv.DictReader(file))
    known = [row for row in rows if row["value"]]
    assert len(known) > 30
    for row in known:
        assert float(row["error"]) >= 0
        assert int(row["n_samples"]) >= 2, row
        assert float(row["n_effective"]) > 1
    for row in rows:
        assert row["value"] or re.search("[Rr]un |temperatures", row["note"]), row
    by_key = {(r["composition"], r["temperature_k"], r["quantity"]): r for r in rows}
    # iron is smaller than vanadium
    a = [float(by_key[c, "100.0", "lattice_parameter_angstrom"]["value"]) for c in ("pure", "Fe4")]
    assert a[1] < a[0] - 0.003
    assert ("Fe4", "300.0", "msd_Fe_angstrom2") in by_key
    assert ("pure", "300.0", "msd_Fe_angstrom2") not in by_key
    assert float(by_key["pure", "100.0", "bcc_fraction"]["value"]) > 0.99


def test_differences_are_those_of_the_table_with_both_errors(finished):
    out = finished / "out"
    with (out / "differences.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["quantity"] == "lattice_parameter_angstrom"]
    assert [row["temperature_k"] for row in rows] == ["100.0", "300.0"]
    found = json.loads((out / "thermal.json").read_text())["compositions"]
    for row, pure, doped in zip(
        rows, found["pure"]["temperatures"], found["Fe4"]["temperatures"], strict=True
    ):
        a, b = (x["quantities"]["lattice_parameter_angstrom"] for x in (doped, pure))
        assert float(row["value"]) == pytest.approx(a["value"] - b["value"])
        assert float(row["error"]) == pytest.approx((a["error"] ** 2 + b["error"] ** 2) ** 0.5)


def test_the_ramp_is_followed(finished):
    ramp = json.loads((finished / "out" / "thermal.json").read_text())["compositions"]["pure"][
        "ramp"
    ]
    assert ramp["rate_k_per_ps"] == pytest.approx(1200 / 6)
    assert "bcc up to 1500 K" in ramp["loses_bcc_at_k"]["note"]
    windows = ramp["windows"]["lattice_parameter_angstrom"]
    # the first 2 ps are left out: 300 to 700 K
    assert windows["positions"] == pytest.approx([660, 900, 1140, 1380])
    assert windows["values"][-1] > windows["values"][0]


def test_plots_are_pictures(finished):
    for name in ("expansion", "heat_capacity", "vibration", "rdf", "ramp"):
        content = (finished / "out" / f"{name}.png").read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(content) > 10_000


def test_the_same_command_leaves_a_finished_simulation_as_it_is(finished):
    out = finished / "out"
    logs = {path: path.stat().st_mtime_ns for path in out.rglob("log.*.lammps")}
    answer = CliRunner().invoke(
        app,
        [*COMMAND, "--config", str(finished / "thermal.yaml"), "--out", str(out), "--json"],
    )
    assert answer.exit_code == 0, answer.output
    shown = json.loads(answer.stdout)
    assert shown == json.loads((out / "thermal.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in out.rglob("log.*.lammps")} == logs


def test_other_settings_are_refused_in_the_same_folder(finished):
    out = finished / "out"
    with pytest.raises(RunDirectoryError, match="was started with repeat"):
        thermal(settings(repeat=4), out=out, console=QUIET)
    with pytest.raises(RunDirectoryError, match=r"timestep_ps = 0\.002, now asked .* 0\.001"):
        thermal(settings(timestep_ps=0.001), out=out, console=QUIET)
    with pytest.raises(RunDirectoryError, match=r"was started with host = 'V', now asked .* 'W'"):
        thermal(settings(TUNGSTEN, dump_interval=40), out=out, console=QUIET)
    ramp = {**VANADIUM["ramp"], "steps": 4000}
    with pytest.raises(
        RunDirectoryError, match=r"ramp\.steps was 3000 and is now 4000, after pure/ramp"
    ):
        thermal(settings(ramp=ramp), out=out, only="pure/ramp", console=QUIET)
    with pytest.raises(ConfigError, match="--only: expected a run such as pure/npt-100K"):
        thermal(settings(), out=out, only="nix", console=QUIET)


def test_compositions_keep_their_atoms_when_others_are_added(finished):
    plan = read_plan(finished / "out")[1]
    before = (finished / "out" / "structures" / "Fe4.data").read_text()
    more = {"first": {"Fe": 0.02}, **VANADIUM["compositions"]}
    thermal(settings(compositions=more), out=finished / "out", only="pure", console=QUIET)
    assert (finished / "out" / "structures" / "Fe4.data").read_text() == before
    new = {run.name: run for run in read_plan(finished / "out")[1]}
    assert {run.name: run for run in plan}.items() <= new.items()


def test_dry_run_times_the_runs_and_leaves_nothing(tmp_path):
    (tmp_path / "thermal.yaml").write_text(yaml.safe_dump(VANADIUM))
    out = tmp_path / "out"
    answer = CliRunner().invoke(
        app,
        [*COMMAND, "--config", str(tmp_path / "thermal.yaml"), "--out", str(out), "--dry-run"],
        env={"COLUMNS": "120"},
    )
    assert answer.exit_code == 0, answer.output
    for part in ("pure, in.npt", "Fe4, in.ramp", "hours left"):
        assert part in answer.output
    assert not out.exists()


# ---- physics -----------------------------------------------------------------------------------------


def harmonic_frequencies(repeat, edge):
    """Squares of the frequencies of a supercell, ASE's own EAM: one displaced atom says it all."""
    from ase.calculators.eam import EAM

    calculator = EAM(potential=str(potential()))
    atoms = bulk("W", "bcc", a=edge, cubic=True).repeat(repeat)
    atoms.calc = calculator
    n, h = len(atoms), 1e-3
    inverse = np.linalg.inv(atoms.cell.array)
    constants = np.zeros((n, 3, n, 3))
    fractional = atoms.positions @ inverse
    row = np.zeros((3, n, 3))
    for axis in range(3):
        moved = []
        for sign in (1, -1):
            one = atoms.copy()
            one.calc = calculator
            one.positions[0, axis] += sign * h
            moved.append(one.get_forces())
        row[axis] = -(moved[0] - moved[1]) / (2 * h)
    for i in range(n):
        shifted = (fractional + fractional[i]) % 1.0
        gaps = shifted[:, None] - fractional[None]
        target = np.argmin(np.linalg.norm(gaps - np.round(gaps), axis=2), axis=1)
        constants[i][:, target] = row
    values = np.linalg.eigvalsh(constants.reshape(3 * n, 3 * n))
    return values[3:], atoms.get_potential_energy()


def quasi_harmonic_edges(temperatures_k):
    """Minimise E(a) + k_B T/2 Σ ln ω²: classical, exact where the crystal is harmonic at each a."""
    edges = np.linspace(3.16, 3.18, 3)
    free = []
    for edge in edges:
        squares, energy = harmonic_frequencies(3, edge)
        free.append([energy, np.log(squares).sum() / 2])
    energy, entropy = np.array(free).T
    found = {}
    for t in temperatures_k:
        square, line, _ = np.polyfit(edges - 3.17, energy + units.kB * t * entropy, 2)
        found[t] = 3.17 - line / (2 * square)
    return found


def test_tungsten_expands_as_the_quasi_harmonic_crystal_and_has_three_k_b(tmp_path):
    found, results = thermal(settings(TUNGSTEN), out=tmp_path / "out", console=QUIET)
    assert len(found.done) == 2
    (pure,) = results.compositions
    expected = quasi_harmonic_edges((100.0, 400.0))
    for temperature in (100.0, 400.0):
        known = pure.quantities(temperature)
        a = known["lattice_parameter_angstrom"]
        # what is not quasi-harmonic grows with T²
        beyond = 3e-4 * (temperature / 400) ** 2
        assert a["value"] == pytest.approx(expected[temperature], abs=4 * a["error"] + beyond)
        c_p = known["heat_capacity_kb"]
        assert c_p["value"] == pytest.approx(3, abs=4 * c_p["error"])
        assert c_p["error"] < 0.2
    # the check can fail: the expansion is many errors large
    grown = expected[400.0] - expected[100.0]
    assert grown > 8 * pure.quantities(400.0)["lattice_parameter_angstrom"]["error"]
