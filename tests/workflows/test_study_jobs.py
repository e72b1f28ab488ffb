"""Studies as jobs: of this machine by submitit, and of SLURM."""

import io
import json
import os
import shutil
import signal
import time

import pytest
import submitit
import yaml
from rich.console import Console
from support.processes import pids_with
from support.slurm import fake_slurm
from support.studies import changed_study

from moalloy_md.errors import RunDirectoryError
from moalloy_md.rundir import read_json
from moalloy_md.workflows.study.plan import read_study
from moalloy_md.workflows.study.run import ChainJob, status
from moalloy_md.workflows.study.workflow import run_study

QUIET = Console(quiet=True)


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
