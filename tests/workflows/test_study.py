"""Studies: what a failed run leaves, and a tiny one from end to end."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import submitit
import yaml
from ase.io import read, write
from rich.console import Console
from support.processes import kill, pids_with, wait_until
from support.slurm import fake_slurm
from support.trainings import NETWORK, cells
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.config import load_config
from moalloy_md.datasets.frames import Frame, read_dataset
from moalloy_md.errors import ConfigError, ModelError, RunDirectoryError, RunFailedError
from moalloy_md.rundir import read_json
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.plan import make_folds, make_runs, read_study
from moalloy_md.workflows.study.preflight import check_runs
from moalloy_md.workflows.study.run import ChainJob, do_chain, status
from moalloy_md.workflows.study.workflow import outcome, plan_costs, run_study

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def tiny(emt_training, tmp_path_factory):
    """A study of trainings of one epoch; one of its sizes has no foundation at first."""
    folder = tmp_path_factory.mktemp("study")
    images = cells(8, 31, symbols=("Ni", "Cu")) + cells(6, 32, symbols=("Ni", "Al"))
    write(folder / "data.extxyz", images)
    fit = {"max_epochs": 1, "batch_size": 2}
    content = {
        "data": str(folder / "data.extxyz"),
        "device": "cpu",
        "paradigms": {
            "zero-shot": {"kind": "zero-shot"},
            "tuned": {"kind": "fine-tune", "optimisation": fit},
            "refined": {"kind": "refine", "optimisation": fit},
        },
        "sizes": {
            "good": {"foundation": str(emt_training[1].model)},
            "late": {"foundation": str(folder / "late.model")},
        },
        "protocols": {
            "iid": {"protocol": "iid", "repeats": 1},
            "new": {"protocol": "new-elements", "elements": ["Al"], "test_fraction": 0.3},
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    found = run_study(folder / "study.yaml", out=folder / "out", only="iid", console=QUIET)
    again = run_study(
        folder / "study.yaml", out=folder / "out", only="new/00/tuned/good", console=QUIET
    )
    last = run_study(
        folder / "study.yaml", out=folder / "out", only="new/00/refined/good", console=QUIET
    )
    return SimpleNamespace(folder=folder, out=folder / "out", runs=(found, again, last))


def test_a_failed_run_stops_no_other(tiny):
    found, again, last = tiny.runs
    assert set(found.done) == {"iid/00/zero-shot/good", "iid/00/tuned/good"}
    assert set(found.failed) == {"iid/00/zero-shot/late", "iid/00/tuned/late"}
    assert all("late.model: cannot be read" in error for error in found.failed.values())
    assert again.done == ("new/00/tuned/good",)
    assert last.done == ("new/00/refined/good",)


def test_refined_runs_wait_for_their_parent(tiny, tmp_path):
    text = (tiny.folder / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text)
    found = run_study(
        tmp_path / "study.yaml", out=tmp_path / "out", only="new/00/refined/good", console=QUIET
    )
    assert found.waiting == ("new/00/refined/good",)


def test_new_elements_are_evaluated_by_proxy_and_after_refining(tiny):
    def metrics(run, evaluation):
        return json.loads((tiny.out / "runs" / run / evaluation / "metrics.json").read_text())

    tuned, refined = "new/00/tuned/good", "new/00/refined/good"
    assert metrics(tuned, "evaluate")["proxies"] == {"Al": "Cu"}
    assert metrics(tuned, "evaluate-old")["proxies"] == {}
    assert metrics(refined, "evaluate")["proxies"] == {}
    manifest = json.loads((tiny.out / "runs" / refined / "train" / "manifest.json").read_text())
    assert manifest["data"]["start"]["proxies"] == {"Al": "Cu"}
    for name in ("evaluate", "evaluate-old"):  # the same test cells
        assert metrics(tuned, name)["n_cells"] == metrics(refined, name)["n_cells"]


@pytest.fixture(scope="module")
def without_al(tiny):
    """A foundation that does not know Al."""
    return tiny.out / "runs/new/00/tuned/good/train/model.model"


def test_proxies_by_configuration(tiny, without_al, tmp_path):
    """Al by Ni, of zero-shot and fine-tuning, and as the start of refining; Cu is the nearest."""

    def by_host(content):
        content["sizes"] = {"small": {"foundation": str(without_al)}}
        content["protocols"] = {"new": content["protocols"]["new"] | {"proxies": {"Al": "Ni"}}}

    found = run_study(changed_study(tiny, tmp_path, by_host), out=tmp_path / "out", console=QUIET)
    runs = {name: tmp_path / "out/runs/new/00" / name / "small" for name in ("zero-shot", "tuned")}
    assert len(found.done) == 3, found.failed
    for folder in runs.values():
        metrics = json.loads((folder / "evaluate/metrics.json").read_text())
        assert metrics["proxies"] == {"Al": "Ni"}
        assert json.loads((folder / "evaluate-old/metrics.json").read_text())["proxies"] == {}
    refined = tmp_path / "out/runs/new/00/refined/small/train/manifest.json"
    assert json.loads(refined.read_text())["data"]["start"]["proxies"] == {"Al": "Ni"}


def test_zero_shot_by_proxy_gives_the_numbers_of_the_proxy(tiny, without_al, tmp_path):
    """Its energies are those of the same cells in which the proxy is what it stands for."""
    from moalloy_md.potentials.loading import load_model
    from moalloy_md.potentials.predict import predict

    def zero_shot(content):
        content["paradigms"] = {"zero-shot": {"kind": "zero-shot"}}
        content["sizes"] = {"small": {"foundation": str(without_al)}}
        content["protocols"] = {"new": content["protocols"]["new"]}

    file = changed_study(tiny, tmp_path, zero_shot)
    found = run_study(file, out=tmp_path / "out", console=QUIET)
    assert found.done == ("new/00/zero-shot/small",), found.failed
    cells_ = read(tmp_path / "out/runs/new/00/zero-shot/small/evaluate/predictions.extxyz", ":")
    for atoms in cells_:
        atoms.symbols[atoms.symbols == "Al"] = "Cu"
    energies = predict(load_model(without_al), cells_, batch_size=8).energies_ev
    # 10 meV of a cell: the screened Coulomb repulsion knows the real nuclei; another proxy is eV off
    assert energies == pytest.approx([atoms.info["pred_energy"] for atoms in cells_], abs=0.01)


def test_proxies_that_a_foundation_does_not_need_are_left_out(tiny, tmp_path):
    def knows_all(content):
        content["paradigms"] = {"zero-shot": {"kind": "zero-shot"}}
        del content["sizes"]["late"]
        content["protocols"] = {"new": content["protocols"]["new"] | {"proxies": {"Al": "Cu"}}}

    run_study(changed_study(tiny, tmp_path, knows_all), out=tmp_path / "out", console=QUIET)
    folder = tmp_path / "out/runs/new/00/zero-shot/good"
    assert json.loads((folder / "run.json").read_text())["state"] == "done"
    assert json.loads((folder / "evaluate/metrics.json").read_text())["proxies"] == {}


def test_a_committee_goes_on_after_a_kill_in_its_second_member(
    tiny, without_al, tmp_path, monkeypatch
):
    """Its errors are of the mean of its models, which is computed here from each alone."""
    from moalloy_md.potentials import committee
    from moalloy_md.potentials.loading import load_model
    from moalloy_md.potentials.predict import predict

    def of_two(content):
        fit = {"max_epochs": 1, "batch_size": 2, "learning_rate": 0.05}
        tuned = {"kind": "fine-tune", "optimisation": fit, "committee": 2}
        content["paradigms"] = {"tuned": tuned, "refined": {**tuned, "kind": "refine"}}
        content["sizes"] = {"small": {"foundation": str(without_al)}}
        content["protocols"] = {"new": content["protocols"]["new"]}

    file, out = changed_study(tiny, tmp_path, of_two), tmp_path / "out"
    whole = committee.train

    def killed(config, folder, **more):
        if folder.name == "01":
            raise KeyboardInterrupt
        return whole(config, folder, **more)

    monkeypatch.setattr(committee, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study(file, out=out, console=QUIET)
    monkeypatch.setattr(committee, "train", whole)
    folder = out / "runs/new/00/tuned/small"
    assert json.loads((folder / "run.json").read_text())["state"] == "begun"
    first = (folder / "train/00/model.model").stat().st_mtime_ns
    found = run_study(file, out=out, console=QUIET)
    assert found.done == ("new/00/tuned/small", "new/00/refined/small"), found.failed
    assert (folder / "train/00/model.model").stat().st_mtime_ns == first

    images = read(folder / "evaluate-old/predictions.extxyz", ":")
    energies = np.array([
        predict(load_model(folder / f"train/{k:02d}/model.model"), images, batch_size=8).energies_ev
        for k in range(2)
    ])  # fmt: skip
    per_atom = energies / [len(atoms) for atoms in images]
    reference = np.array([atoms.info["REF_energy"] / len(atoms) for atoms in images])
    metrics = json.loads((folder / "evaluate-old/metrics.json").read_text())
    mae = 1000 * np.abs(per_atom.mean(axis=0) - reference).mean()
    assert metrics["energy_mae_mev_per_atom"] == pytest.approx(mae, rel=1e-3)
    spread = 1000 * np.sqrt((per_atom.std(axis=0, ddof=1) ** 2).mean())
    assert metrics["committee"]["energy_mev_per_atom"] == pytest.approx(spread, rel=0.05, abs=1e-3)
    assert metrics["committee"]["n_models"] == 2

    hashes = [
        json.loads((out / "runs/new/00" / name / "manifest.json").read_text())
        for name in ("tuned/small/train/00", "tuned/small/train/01", "refined/small/train/01")
    ]
    # each member refines its own
    assert hashes[2]["data"]["start"]["sha256"] == hashes[1]["model_sha256"]
    assert hashes[1]["model_sha256"] != hashes[0]["model_sha256"]


def test_report_says_what_the_runs_say(tiny):
    from moalloy_md.workflows.study.report import report_study

    report = report_study(tiny.out, QUIET)
    assert (report.n_runs, report.n_done) == (10, 4)
    folder = tiny.out / "report"
    run = "iid/00/tuned/good"
    metrics = json.loads((tiny.out / "runs" / run / "evaluate" / "metrics.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    entry = next(e for e in summary["means"] if e["paradigm"] == "tuned" and e["protocol"] == "iid")
    mean = entry["mean"]["energy_mae_mev_per_atom"]
    assert mean["mean"] == metrics["energy_mae_mev_per_atom"]
    assert mean["runs"] == [f"{run}/evaluate"]
    page = (folder / "report.html").read_text()
    assert f"{metrics['energy_mae_mev_per_atom']:.2f}" in page
    assert f'href="../runs/{run}/evaluate/metrics.json"' in page
    assert "late.model: cannot be read" in page  # failed ones are shown
    assert "proxy Al=Cu" in page
    for name in ("table_1.csv", "table_new_elements.csv", "results.csv", "parity_energy_iid.png"):
        assert (folder / name).stat().st_size > 0


def test_the_same_command_retries_what_failed_and_nothing_else(tiny, emt_training):
    before = {path: path.stat().st_mtime_ns for path in (tiny.out / "runs").rglob("metrics.json")}
    (tiny.folder / "late.model").write_bytes(emt_training[1].model.read_bytes())
    found = run_study(
        tiny.folder / "study.yaml", out=tiny.out, only="iid/00/zero-shot", console=QUIET
    )
    assert set(found.done) == {"iid/00/zero-shot/good", "iid/00/zero-shot/late"}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_unknown_run_and_foreign_folder(tiny, tmp_path):
    from moalloy_md.workflows.study.report import report_study

    with pytest.raises(ConfigError, match=r"--only: expected a run such as iid/00/.*found .idd"):
        run_study(tiny.folder / "study.yaml", out=tiny.out, only="idd", console=QUIET)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RunDirectoryError, match="files without a manifest"):
        run_study(tiny.folder / "study.yaml", out=tmp_path, console=QUIET)
    with pytest.raises(RunDirectoryError, match=r"found no study\.json in it"):
        report_study(tmp_path, QUIET)


def test_another_dataset_needs_another_folder(tiny, tmp_path):
    images = read(tiny.folder / "data.extxyz", ":")
    write(tmp_path / "less.extxyz", images[1:])
    text = (tiny.folder / "study.yaml").read_text()
    text = text.replace(str(tiny.folder / "data.extxyz"), str(tmp_path / "less.extxyz"))
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(RunDirectoryError, match="data_sha256"):
        run_study(tmp_path / "study.yaml", out=tiny.out, console=QUIET)


def changed_study(tiny, folder, change):
    """Write the study's file with a change into another folder."""
    content = yaml.safe_load((tiny.folder / "study.yaml").read_text())
    change(content)
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "study.yaml"


def files_below(folder):
    """Content of the files that say what was done; locks apart."""
    return {path: path.read_bytes() for path in folder.rglob("*.json")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["paradigms"]["tuned"]["optimisation"].update(max_epochs=2),
            r"tuned\.optimisation\.max_epochs was 1 and is now 2, after iid/00/tuned/good and 1 more",
        ),
        (
            lambda c: c["paradigms"]["tuned"].update(start={"e0s": "average"}),
            r"paradigms\.tuned\.start\.e0s was not given and is now 'average'",
        ),
        (
            lambda c: c["paradigms"].update(
                first={"kind": "fine-tune"}, tuned=c["paradigms"].pop("tuned")
            ),
            r"paradigms\.refined\.refines was 'tuned' and is now 'first'",
        ),
        (
            lambda c: c["sizes"]["good"].update(foundation="base-small"),
            r"sizes\.good\.foundation was '.*' and is now 'base-small', after iid/00/",
        ),
        (
            lambda c: c["protocols"]["iid"].update(seed=5),
            r"protocols\.iid\.seed was 0 and is now 5",
        ),
    ],
)
@pytest.mark.parametrize("recorded", [True, False])
def test_settings_of_runs_that_were_begun_do_not_change(tiny, tmp_path, change, message, recorded):
    """Otherwise the report would show the new ones beside the old numbers."""
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)
    if not recorded:  # as versions before this test left it
        for path in (out / "runs").rglob("manifest.json"):
            content = json.loads(path.read_text())
            content.pop("settings", None)
            path.write_text(json.dumps(content))
    before = files_below(out)
    with pytest.raises(RunDirectoryError, match=message):
        run_study(changed_study(tiny, tmp_path, change), out=out, console=QUIET)
    assert files_below(out) == before


def test_a_setting_does_not_change_by_taking_a_paradigm_out_and_in_again(tiny, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)

    def without(content):
        del content["paradigms"]["tuned"], content["paradigms"]["refined"]

    only = "iid/00/zero-shot/good"
    run_study(changed_study(tiny, tmp_path, without), out=out, only=only, console=QUIET)
    file = changed_study(
        tiny, tmp_path, lambda c: c["paradigms"]["tuned"]["optimisation"].update(batch_size=3)
    )
    with pytest.raises(RunDirectoryError, match=r"tuned\.optimisation\.batch_size was 2"):
        run_study(file, out=out, console=QUIET)


def test_studies_grow_and_what_failed_before_it_began_may_change(tiny, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)
    shutil.rmtree(out / "runs/iid/00/zero-shot/late")  # another test finds its foundation

    def more(content):
        content["paradigms"]["longer"] = {"kind": "fine-tune", "optimisation": {"max_epochs": 2}}
        content["sizes"]["late"]["foundation"] = "somewhere/else.model"  # its runs failed
        content["protocols"]["iid"] |= {"repeats": 2, "train_fractions": [0.6, 1.0]}
        content["protocols"]["strict"] = {"protocol": "lodo-strict", "held_out": ["Al"]}
        content["slurm"] = {"partition": "gpu"}

    only = "iid/01/zero-shot/good"
    found = run_study(changed_study(tiny, tmp_path, more), out=out, only=only, console=QUIET)
    assert found.done == (only,)


def test_jobs_by_submitit(tiny, emt_training, tmp_path):
    """In processes of this machine, as they would run under SLURM."""
    content = yaml.safe_load((tiny.folder / "study.yaml").read_text())
    content["paradigms"] = {"zero-shot": {"kind": "zero-shot"}}
    content["sizes"] = {"good": {"foundation": str(emt_training[1].model)}}
    content["protocols"] = {"iid": {"protocol": "iid", "repeats": 2}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    found = run_study(
        tmp_path / "study.yaml", out=tmp_path / "out", executor="local", console=QUIET
    )
    assert found.done == ("iid/00/zero-shot/good", "iid/01/zero-shot/good")
    assert len(list((tmp_path / "out" / "jobs").glob("*_log.out"))) == 2


def test_a_failed_run_fails_its_job(tiny, tmp_path, monkeypatch):
    """SLURM records the exit status of the process that submitit starts."""
    jobs = []
    submitted = submitit.AutoExecutor.map_array

    def remembered(self, *arguments):
        jobs.extend(submitted(self, *arguments))
        return jobs

    def absent(content):
        content["paradigms"] = {"zero-shot": {"kind": "zero-shot"}}
        content["sizes"] = {"late": {"foundation": str(tmp_path / "absent.model")}}
        content["protocols"] = {"iid": content["protocols"]["iid"]}

    monkeypatch.setattr(submitit.AutoExecutor, "map_array", remembered)
    file, out = changed_study(tiny, tmp_path, absent), tmp_path / "out"
    found = run_study(file, out=out, executor="local", console=QUIET)
    assert found.failed.keys() == {"iid/00/zero-shot/late"}
    assert "absent.model: cannot be read" in jobs[0].exception().args[0]


def test_a_foundation_that_lacks_elements_is_refused_before_the_first_run(
    tiny, without_al, tmp_path
):
    def lacking(content):
        content["sizes"] = {"small": {"foundation": str(without_al)}}

    file, out = changed_study(tiny, tmp_path, lacking), tmp_path / "out"
    message = (
        r"sizes\.small: .*lacks Al \(it knows .*\), which paradigms .*tuned.* need\. Take another"
    )
    with pytest.raises(ModelError, match=message):
        run_study(file, out=out, console=QUIET)
    assert not out.exists()
    with pytest.raises(ModelError, match=message):
        plan_costs(file, QUIET, out=out)
    check_runs(*planned_from(file, "new"), executor="here")  # there proxies stand in


def planned_from(file, only):
    config = load_config(file, StudyConfig)
    folds = make_folds(config, read_dataset(config.data))
    runs = [run for run in make_runs(config, folds) if run.name.startswith(only)]
    return config, folds, runs


def test_a_proxy_that_no_model_knows_is_refused_before_the_first_run(tiny, tmp_path):
    def unknown(content):
        content["sizes"].pop("late")
        content["protocols"]["new"]["proxies"] = {"Al": "W"}

    with pytest.raises(ModelError, match=r"protocols\.new\.proxies: expected for Al .*found W"):
        run_study(changed_study(tiny, tmp_path, unknown), out=tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("executor", ["here", "slurm"])
def test_cuda_that_is_absent_is_refused_before_the_first_run(tiny, tmp_path, monkeypatch, executor):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch
    file = changed_study(tiny, tmp_path, lambda content: content.update(device="cuda"))
    # the nodes of a cluster may have what the machine that submits has not
    error, message = {
        "here": (ModelError, "device cuda: expected a CUDA device"),
        "slurm": (RunDirectoryError, "expected SLURM on this machine"),
    }[executor]
    with pytest.raises(error, match=message):
        run_study(file, out=tmp_path / "out", executor=executor, console=QUIET)
    assert not (tmp_path / "out/runs").exists()


def test_slurm_that_is_absent(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        RunDirectoryError, match=r"expected SLURM on this machine .sbatch., found none"
    ):
        run_study(tiny.folder / "study.yaml", out=tmp_path / "out", executor="slurm", console=QUIET)


def test_what_slurm_is_asked_for(tiny, tmp_path, monkeypatch):
    """The script that sbatch is given, by submitit itself; refined runs in the jobs of their parents."""
    fake_slurm(tmp_path, monkeypatch)

    def on_gpus(content):
        content["slurm"] = {
            "partition": "gpu", "account": "mo", "modules": ["gcc"], "gpus": 1, "parallel": 3,
            "more": {"qos": "long"}, "requeue": True, "max_requeues": 5,
        }  # fmt: skip

    out = tmp_path / "out"
    file = changed_study(tiny, tmp_path, on_gpus)
    found = run_study(file, out=out, executor="slurm", console=QUIET)
    assert len(found.waiting) == 10
    script = next((out / "jobs").glob("*submission*.sh")).read_text()
    for line in (
        "--partition=gpu", "--account=mo", "--gpus-per-node=1", "--qos=long", "--array=0-7%3",
        "--requeue",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script, script
    assert "module load gcc\n" in script
    chains = [job["runs"] for job in read_json(out / "jobs/submitted.json")["jobs"]]
    chain = ["new/00/tuned/good", "new/00/refined/good"]
    job = submitit.SlurmJob(out / "jobs", f"17_{chains.index(chain)}").submission()
    again = job._checkpoint_function()  # what it is queued again with at its wall time
    assert again.args == (out, chain)
    assert isinstance(again.function, ChainJob)
    assert ChainJob(requeue=False).checkpoint(out, chain) is None


def test_runs_with_a_live_job_are_not_submitted_again(tiny, tmp_path, monkeypatch):
    slurm = fake_slurm(tmp_path, monkeypatch)
    out, text = tmp_path / "out", io.StringIO()
    shutil.copytree(tiny.out, out)
    done = {run.name for run in read_study(out)[1] if status(out, run).state == "done"}
    assert {"new/00/tuned/good", "iid/00/tuned/good"} <= done

    def again(change=lambda content: None):
        file = changed_study(tiny, tmp_path, change)
        run_study(file, out=out, executor="slurm", console=Console(file=text, width=300))
        return [job["runs"] for job in read_json(out / "jobs/submitted.json")["jobs"]]

    first = again()
    assert ["new/00/tuned/late", "new/00/refined/late"] in first
    assert not done & {name for chain in first for name in chain}
    slurm.put("17_0", "RUNNING")
    assert again() == first
    assert f"{first[0][0]}: running, job 17_0" in text.getvalue()
    assert "new/00/refined/late: queued, job 17_" in text.getvalue()

    def grown(content):
        content["paradigms"]["again"] = {"kind": "refine", "optimisation": {"max_epochs": 2}}

    # of a model that is there, and not of one whose job is at work
    assert again(grown) == [*first, ["new/00/again/good"]]
    assert "runs that refine" in text.getvalue()
    slurm.end_all()
    last = again(grown)[len(first) + 1 :]
    assert ["new/00/tuned/late", "new/00/refined/late", "new/00/again/late"] in last
    assert {name for chain in last for name in chain} == {
        *(name for chain in first for name in chain), "new/00/again/good", "new/00/again/late",
    }  # fmt: skip


def test_a_broken_run_is_written_down_with_its_traceback(tiny, monkeypatch, tmp_path):
    config, runs = read_study(tiny.out)
    run = next(run for run in runs if run.name == "iid/00/tuned/late")

    def broken(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("moalloy_md.workflows.study.run._do", broken)
    with pytest.raises(RunFailedError, match=r"iid/00/tuned/late: expected it to be done"):
        do_chain(tiny.out, [run.name, "new/00/tuned/late"])  # a job that ends so is a failed one
    found = status(tiny.out, run)
    assert found.state == "failed"
    assert "ZeroDivisionError: by zero" in found.error
    assert outcome(tiny.out, [run]).failed.keys() == {run.name}
    assert config.device == "cpu"


def test_dry_run_times_a_step_of_each_size(tiny, tmp_path, emt_training):
    content = yaml.safe_load((tiny.folder / "study.yaml").read_text())
    content["paradigms"]["scratch"] = {
        "kind": "scratch",
        "committee": 2,
        "optimisation": {"max_epochs": 40, "batch_size": 2},
    }
    content["sizes"] = {"one": {"foundation": str(emt_training[1].model), "model": NETWORK}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    lines = plan_costs(tmp_path / "study.yaml", QUIET)
    by_name = {(line.protocol, line.paradigm): line for line in lines}
    scratch = by_name["iid", "scratch"]
    assert (scratch.n_runs, scratch.n_models, scratch.max_epochs) == (1, 2, 40)
    assert scratch.seconds_per_epoch > 0
    zero_shot = by_name["iid", "zero-shot"]
    assert scratch.beside_s > zero_shot.beside_s > 0  # it is tested too
    seconds = 40 * scratch.seconds_per_epoch + scratch.beside_s
    assert scratch.hours == pytest.approx(seconds / 3600)
    assert (zero_shot.n_models, zero_shot.seconds_per_epoch) == (0, 0)
    assert not (tmp_path / "out").exists()
    answer = CliRunner().invoke(app, ["study", "run", str(tmp_path / "study.yaml"), "--dry-run"])
    assert answer.exit_code == 0, answer.output
    assert "at most" in answer.output
    assert not (tmp_path / "study").exists()


def test_dry_run_counts_what_is_left(tiny, tmp_path):
    seen = Console(record=True, width=120, file=io.StringIO())
    file = changed_study(tiny, tmp_path, lambda content: content["sizes"].pop("late"))
    lines = plan_costs(file, seen, out=tiny.out, only="iid")
    assert lines == []
    assert "2 chosen, 2 of them done, 0 left" in seen.export_text()
    lines = plan_costs(file, QUIET, out=tmp_path / "out", only="iid/00/tuned")
    assert [(line.paradigm, line.n_runs) for line in lines] == [("tuned", 1)]
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"--only: expected a run such as"):
        plan_costs(file, QUIET, out=tiny.out, only="idd")


def test_step_is_timed_on_cells_that_the_foundation_knows(without_al):
    from moalloy_md.potentials.cost import seconds_per_atom

    larger = cells(9, 41, symbols=("Ni", "Al"))
    images = [atoms.repeat((2, 1, 1)) for atoms in larger]  # the 8 largest
    for atoms, old in zip(images, larger, strict=True):
        atoms.info = dict(old.info)
    unknown = [Frame(atoms) for atoms in images if "Al" in atoms.symbols]
    known = [Frame(atoms) for atoms in cells(2, 42, symbols=("Ni", "Cu"))]
    assert seconds_per_atom(str(without_al), unknown + known, device="cpu") > 0
    with pytest.raises(ModelError, match=r"expected a foundation that knows .*found that each"):
        seconds_per_atom(str(without_al), unknown, device="cpu")


@pytest.mark.slow
def test_a_killed_study_ends_as_an_unbroken_one(tiny, tmp_path):
    """kill -9 on the command in the middle of a training: nobody survives, the same command goes on."""

    def longer(content):
        content["paradigms"] = {"tuned": content["paradigms"]["tuned"]}
        content["paradigms"]["tuned"]["optimisation"] = {"max_epochs": 12, "batch_size": 2}
        content["sizes"] = {"good": content["sizes"]["good"]}
        content["protocols"] = {"iid": {"protocol": "iid", "repeats": 2}}

    file = changed_study(tiny, tmp_path, longer)
    out, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    code = "from moalloy_md.cli.app import app; app()"
    command = [sys.executable, "-c", code, "study", "run", str(file), "--out", str(out)]
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
        second = out / "runs/iid/01/tuned/good/train"
        history = second / "trainer/state/history.jsonl"
        wait_until(lambda: history.exists() and history.read_text().count("\n") >= 4, parent)
        kill(parent, str(out))
    first = out / "runs/iid/00/tuned/good"
    before = files_below(first)
    assert json.loads((second.parent / "run.json").read_text())["state"] == "begun"
    assert not (second / "model.model").exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert files_below(first) == before

    run_study(file, out=unbroken, console=QUIET)
    for label in ("00", "01"):
        metrics = [
            json.loads((folder / f"runs/iid/{label}/tuned/good/evaluate/metrics.json").read_text())
            for folder in (out, unbroken)
        ]
        assert metrics[0] == metrics[1]  # on one thread not a bit differs


@pytest.mark.slow
def test_a_job_that_reaches_its_wall_time_is_queued_again_and_goes_on(tiny, tmp_path, monkeypatch):
    """By the signal that SLURM sends before the end, with submitit's processes of this machine."""
    fake_slurm(tmp_path, monkeypatch)

    def longer(content):
        content["paradigms"] = {"tuned": content["paradigms"]["tuned"]}
        content["paradigms"]["tuned"]["optimisation"] = {"max_epochs": 12, "batch_size": 2}
        content["sizes"] = {"good": content["sizes"]["good"]}
        content["protocols"] = {"iid": {"protocol": "iid", "repeats": 1}}

    out, name = tmp_path / "out", "iid/00/tuned/good"
    run_study(changed_study(tiny, tmp_path, longer), out=out, executor="slurm", console=QUIET)
    queue = submitit.AutoExecutor(folder=out / "local", cluster="local")
    queue.update_parameters(timeout_min=10, tasks_per_node=1)
    job = queue.submit(ChainJob(requeue=True), out, [name])
    history = out / "runs" / name / "train/trainer/state/history.jsonl"
    end = time.monotonic() + 240
    while not (history.exists() and history.read_text().count("\n") >= 3):
        assert time.monotonic() < end
        time.sleep(0.02)
    (pid,) = pids_with(f"submitit.core._submit {out / 'local'}")
    os.kill(pid, signal.SIGUSR2)
    job.result()
    assert "Requeued job" in job.stdout()
    assert json.loads((out / "runs" / name / "run.json").read_text())["state"] == "done"
    log = (history.parents[2] / "train.log").read_text()
    assert [log.count(f" Epoch {k}: ") for k in (0, 1, 11)] == [1, 1, 1]  # it went on
    assert pids_with(str(out)) == []
