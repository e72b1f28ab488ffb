"""``moalloy simulate interaction`` as it is used: killed, resumed, forecast, submitted, and fed nonsense."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from rich.console import Console
from support.bundles import base_bundle
from support.slurm import fake_slurm
from typer.testing import CliRunner

from moalloy_md.bundle import NATIVE, TORCHSCRIPT
from moalloy_md.cli.app import app
from moalloy_md.config import validate
from moalloy_md.errors import ConfigError, ModelError, RunDirectoryError
from moalloy_md.rundir import open_run
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.interaction.workflow import interaction, is_computed, submit_interaction

QUIET = Console(file=io.StringIO())
SETTINGS = {
    "dopants": ["W", "Zr"],
    "repeat": 3,
    "shells": [1, 2, 3],
    "vacancy_shells": [1],
    "lattice_parameter_angstrom": 3.17,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", ("Mo", "W", "Zr"))


@pytest.fixture(scope="module")
def done(bundle, tmp_path_factory):
    """Folder and results of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("done") / "out"
    return out, interaction(settings(bundle), out=out, console=QUIET)


def settings(model, **changes):
    content = {**SETTINGS, "bundle": model, **changes}
    return validate(content, InteractionConfig, source="interaction.yaml")


def write(path, **content):
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_a_kill_and_the_same_command_again(bundle, done, tmp_path):
    config = write(tmp_path / "i.yaml", **SETTINGS)
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "moalloy_md.cli.app", "simulate", "interaction", "--bundle",
        str(bundle), "--config", config, "--out", str(out), "--np", "2",
    ]  # fmt: skip
    job = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    results = out / "cells" / "relaxations.jsonl"
    end = time.monotonic() + 60
    while not (results.exists() and len(results.read_text().splitlines()) >= 2):
        assert time.monotonic() < end
        assert job.poll() is None, "it ended by itself"
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert not (out / "interaction.json").exists()
    before = results.read_text().rpartition("\n")[0]
    found = interaction(settings(bundle), out=out, console=QUIET)
    assert results.read_text().startswith(before)
    assert found.interactions == done[1].interactions


def test_the_command_line(bundle, done, tmp_path):
    config = write(tmp_path / "i.yaml", **SETTINGS)
    out, results = done
    arguments = ["simulate", "interaction", "--bundle", str(bundle), "--config", config]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    strongest = max(results.of("pair"), key=lambda one: one.relaxed_ev)
    assert strongest.name in shown.output
    assert f"{1000 * strongest.relaxed_ev:+.0f}" in shown.output
    as_json = CliRunner().invoke(app, [*arguments, "--out", str(out), "--json"])
    content = json.loads(as_json.stdout)
    assert len(content["interactions"]) == 3 * 3 + 2


def test_a_forecast_leaves_nothing(bundle, done, tmp_path):
    config = write(tmp_path / "i.yaml", **SETTINGS)
    arguments = ["simulate", "interaction", "--bundle", str(bundle), "--config", config]
    arguments += ["--dry-run", "--np", "2"]
    shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    n_cells = 1 + 2 + 3 * 3 + 1 + 2
    assert f"{n_cells} cells, 0 done" in shown.output
    assert not (tmp_path / "out").exists()
    shown = CliRunner().invoke(app, [*arguments, "--out", str(done[0])])
    assert f"{n_cells} cells, {n_cells} done: 0 min left" in " ".join(shown.output.split())


def test_a_forecast_of_no_relaxation_says_what_is_done(bundle, tmp_path):
    nothing = {"bundle": str(bundle), "pairs": "none", "vacancy_shells": []}
    validation = {"models": {"mine": str(bundle)}}
    for extra, said in (
        ({}, "ask for none, so nothing is computed"),
        (
            {"validation": validation},
            "the validation alone is done, of mine with the cells of bundled",
        ),
    ):
        config = write(tmp_path / "i.yaml", **nothing, **extra)
        arguments = ["simulate", "interaction", "--config", config, "--dry-run"]
        shown = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out")])
        assert shown.exit_code == 0, shown.output
        assert said in " ".join(shown.output.split())


def test_a_job_by_submitit(bundle, done, tmp_path):
    """In a process of this machine, as it would run under SLURM; then the results."""
    config = settings(bundle, slurm={"cpus": 2})
    out = tmp_path / "out"
    assert not is_computed(config, out=out)
    submit_interaction(config, out=out, executor="local", console=QUIET)
    assert is_computed(config, out=out)
    content = json.loads((out / "interaction.json").read_text())
    assert [one["relaxed_ev"] for one in content["interactions"]] == pytest.approx(
        [one.relaxed_ev for one in done[1].interactions], abs=1e-9
    )


def test_what_slurm_is_asked_for(bundle, tmp_path, monkeypatch):
    fake_slurm(tmp_path, monkeypatch)
    config = settings(bundle, slurm={"cpus": 16, "account": "mo", "modules": ["gcc"]})
    submit_interaction(config, out=tmp_path / "out", executor="slurm", console=QUIET)
    script = next((tmp_path / "out.jobs").glob("*submission*.sh")).read_text()
    for line in ("--cpus-per-task=16", "--account=mo", "--nodes=1", "--requeue"):
        assert f"#SBATCH {line}\n" in script, script
    assert "module load gcc\n" in script


def test_a_job_that_is_queued_or_running_is_not_submitted_again(
    bundle, done, tmp_path, monkeypatch
):
    slurm = fake_slurm(tmp_path, monkeypatch)
    config = write(tmp_path / "i.yaml", **SETTINGS)

    def again(out):
        arguments = ["--bundle", str(bundle), "--config", config, "--out", str(out), "--slurm"]
        shown = CliRunner().invoke(app, ["simulate", "interaction", *arguments])
        assert shown.exit_code == 0, shown.output
        return " ".join(shown.output.split())

    assert "1 job submitted: 17" in again(tmp_path / "out")
    slurm.put("17", "RUNNING")
    assert "moalloy-interaction: running, job 17" in again(tmp_path / "out")
    assert slurm.submissions == [17]
    slurm.put("17", None)  # without a result
    assert "1 job submitted: 18" in again(tmp_path / "out")
    strongest = max(done[1].of("pair"), key=lambda one: one.relaxed_ev)
    assert strongest.name in again(done[0])  # which is finished
    assert slurm.submissions == [17, 18]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dopants": ["W", "Ta"]}, "expected a model that knows Ta, found one of Mo, Zr, W|W, Zr"),
        ({"triplets": [["W", "W", "Hf"]]}, "expected a model that knows Hf"),
        ({"convergence": {"pairs": [["Nb", "Nb"]]}}, "expected a model that knows Nb"),
        ({"shells": [1, 8]}, "a 3×3×3 bcc cell can hold"),
        ({"vacancy_shells": [6]}, "a 3×3×3 bcc cell can hold"),
        (
            {"convergence": {"pairs": [["W", "W"]], "repeats": [2, 4], "shells": [4]}},
            "a 2×2×2 bcc cell can hold",
        ),
        ({"triplets": [["W", "W", "W"]], "triplet_shells": [1]}, "sides of a triangle in bcc"),
        ({"host": "V"}, "expected a model that knows V"),
        ({"dopants": []}, "expected at least one, found none"),
        ({"bundle": None}, "expected a bundle, found none: give --bundle"),
    ],
)
def test_what_is_refused_before_anything_is_made(bundle, tmp_path, changes, message):
    out = tmp_path / "out"
    with pytest.raises((ConfigError, ModelError), match=message):
        interaction(settings(bundle, **changes), out=out, console=QUIET)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shels": [1]}, "unknown key 'shels': did you mean 'shells'?"),
        ({"convergence": {"pairs": [["W", "W"]], "repeat": 3}}, "did you mean 'repeats'"),
        ({"dopants": ["W", "W"]}, "expected each dopant once, found W more than once"),
        ({"dopants": ["Mo"]}, "expected dopants other than the host Mo"),
        ({"triplets": [["W", "Mo", "W"]]}, "expected dopants other than the host Mo"),
        ({"triplets": [["W", "W"]]}, "triplets.0: expected more entries, found 2"),
        ({"dopants": ["Tu"]}, "expected a chemical symbol"),
        ({"shells": [0]}, "expected different shell numbers from 1 on"),
        ({"shells": [2, 2]}, "expected different shell numbers from 1 on"),
        ({"triplet_shells": [9]}, "expected shells from 1 to 8"),
        ({"repeat": 1}, "repeat: expected a number of 2 or more, found 1"),
        ({"convergence": {"pairs": [["W", "W"]], "repeats": [3, 3]}}, "different numbers of cells"),
        ({"convergence": {"pairs": []}}, "convergence.pairs"),
        ({"validation": {"models": {}}}, "validation.models"),
        ({"validation": {"models": {"a": {"bundel": "x"}}}}, "did you mean 'bundle'"),
        ({"fmax_ev_per_angstrom": 0.0}, "fmax_ev_per_angstrom"),
    ],
)
def test_settings_that_make_no_sense(bundle, changes, message):
    with pytest.raises(ConfigError) as error:
        settings(bundle, **changes)
    assert message in str(error.value)


def test_folders_of_something_else(bundle, done, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunDirectoryError, match="files without a manifest"):
        interaction(settings(bundle), out=tmp_path, console=QUIET)
    with pytest.raises(RunDirectoryError, match=r"lattice_parameter_angstrom = 3.17, now asked"):
        interaction(settings(bundle, lattice_parameter_angstrom=3.2), out=done[0], console=QUIET)
    other = base_bundle(tmp_path / "other", ("Mo", "W", "Zr", "Re"))
    with pytest.raises(RunDirectoryError, match="was started with model_sha256"):
        interaction(settings(other), out=done[0], console=QUIET)
    with pytest.raises(RunDirectoryError, match="found one left by 'moalloy simulate interaction'"):
        open_run(done[0], kind="properties", config={})


def test_a_changed_bundle_and_none(bundle, tmp_path):
    with pytest.raises(ModelError, match="expected a bundle, found no manifest"):
        interaction(settings(tmp_path), out=tmp_path / "out", console=QUIET)
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in (NATIVE, TORCHSCRIPT, "manifest.json"):
        (broken / name).write_bytes((bundle / name).read_bytes())
    (broken / NATIVE).write_bytes(b"other")
    with pytest.raises(ModelError, match="changed or damaged after the export"):
        interaction(settings(broken), out=tmp_path / "out", console=QUIET)


def test_bundle_given_twice(bundle, tmp_path):
    config = write(tmp_path / "i.yaml", bundle=str(bundle))
    shown = CliRunner().invoke(
        app,
        [
            "simulate", "interaction", "--bundle", str(bundle), "--config", config,
            "--out", str(tmp_path / "out"),
        ],
    )  # fmt: skip
    assert shown.exit_code != 0
    assert "expected either --bundle or bundle in" in str(shown.exception) + shown.output
