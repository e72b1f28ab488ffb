"""The same command while its jobs are queued, running, gone, or SLURM is silent: no run twice."""

import io

import pytest
from rich.console import Console
from support.slurm import fake_slurm
from support.thermal import settings
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.errors import RunDirectoryBusyError, RunDirectoryError
from moalloy_md.rundir import read_json
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.job_queue import submit_whole
from moalloy_md.workflows.submitted_jobs import record_jobs, standing
from moalloy_md.workflows.thermal.workflow import thermal

RUNS = ["pure/npt-100K", "pure/npt-300K"]
PLAN = {"compositions": {"pure": {}}, "ramp": None, "repeat": 2, "steps": 1000}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return fake_slurm(tmp_path, monkeypatch, first=101)


def said(function, *arguments, **options):
    """Call with a console; return what is returned, and what was printed."""
    text = io.StringIO()
    found = function(*arguments, console=Console(file=text, width=400), **options)
    return found, text.getvalue()


# ---- an array: one job a run ------------------------------------------------------------------------------


def test_runs_with_a_live_job_are_not_submitted_again(slurm, tmp_path):
    out = tmp_path / "out"
    submit = {"out": out, "executor": "slurm"}
    _, text = said(thermal, settings(**PLAN), **submit)
    assert "2 jobs submitted, the first is 101_0" in text
    recorded = read_json(out / "jobs/submitted.json")["jobs"]
    assert [(job["id"], job["runs"]) for job in recorded] == [
        ("101_0", RUNS[:1]),
        ("101_1", RUNS[1:]),
    ]
    slurm.put("101_0", "RUNNING")
    (found, _), text = said(thermal, settings(**PLAN), **submit)
    assert slurm.submissions == [101]
    assert len(found.waiting) == 2
    assert "1 running, 1 queued" in text
    assert "pure/npt-100K: running, job 101_0" in text
    assert "pure/npt-300K: queued, job 101_1" in text
    # one is done; the other was killed; a third is new
    thermal(settings(**PLAN), out=out, only=RUNS[0], console=Console(quiet=True))
    slurm.end_all()
    more = settings(**{**PLAN, "temperatures_k": [300, 100, 200]})
    _, text = said(thermal, more, **submit)
    assert slurm.submissions == [101, 102]
    recorded = read_json(out / "jobs/submitted.json")["jobs"]
    assert [job["runs"] for job in recorded[2:]] == [["pure/npt-200K"], [RUNS[1]]]
    said(thermal, more, **submit)
    assert slurm.submissions == [101, 102]


def test_only_the_runs_without_a_job_are_submitted(slurm, tmp_path):
    """A job that is queued again keeps its id, and one that ends is still at work."""
    submit = {"out": tmp_path / "out", "executor": "slurm"}
    said(thermal, settings(**PLAN), **submit)
    slurm.put("101_0", None)
    slurm.put("101_1", "COMPLETING")
    _, text = said(thermal, settings(**PLAN), **submit)
    assert "1 completing" in text
    assert "1 job submitted: 102" in text
    assert slurm.jobs == {"101_1": "COMPLETING", "102": "PENDING"}


def test_a_silent_slurm_gets_no_run_twice_unless_told(slurm, tmp_path):
    submit = {"out": tmp_path / "out", "executor": "slurm"}
    said(thermal, settings(**PLAN), only=RUNS[0], **submit)
    slurm.fall_silent()
    _, text = said(thermal, settings(**PLAN), **submit)
    assert "squeue: slurm_load_jobs error: Unable to contact slurm controller" in text
    assert "sacct: Slurm accounting storage is disabled" in text
    assert "1 run(s), such as pure/npt-100K (job 101), may be queued or running" in text
    assert "--resubmit" in text
    assert slurm.submissions == [101, 102]  # the other had no job
    assert read_json(submit["out"] / "jobs/submitted.json")["jobs"][-1]["runs"] == [RUNS[1]]
    said(thermal, settings(**PLAN), resubmit=True, **submit)
    assert slurm.submissions == [101, 102, 103]
    slurm.speak()
    said(thermal, settings(**PLAN), resubmit=True, **submit)  # not what is known to live
    assert slurm.submissions == [101, 102, 103]


@pytest.mark.parametrize(
    ("records", "live", "unknown"),
    [
        ("7_0|RUNNING\n7_0.batch|RUNNING\n7_[1-3%2]|PENDING\n", {"a", "b", "c", "d"}, set()),
        ("7_0|COMPLETED\n7_1|CANCELLED by 1000\n7_2|TIMEOUT\n7_3|NODE_FAIL\n", set(), set()),
        ("7_0|FAILED\n7_1|SUSPENDED\n", {"b"}, {"c", "d"}),
        ("", set(), {"a", "b", "c", "d"}),
    ],
)
def test_what_sacct_says_where_squeue_is_silent(slurm, tmp_path, records, live, unknown):
    slurm.fall_silent(records)
    record_jobs(tmp_path, [f"7_{k}" for k in range(4)], ["a", "b", "c", "d"])
    found = standing(tmp_path, "abcd")
    assert (set(found.live), set(found.unknown)) == (live, unknown)


def test_a_user_s_own_settings_hide_no_jobs(slurm, tmp_path, monkeypatch):
    """SQUEUE_STATES=RUNNING, a common alias, would hide what is queued; a cluster's line is no job."""
    program = tmp_path / "bin/squeue"
    program.write_text(
        program.read_text() + "\nimport os\nassert 'SQUEUE_STATES' not in os.environ\n"
    )
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    slurm.put("9", "PENDING")
    record_jobs(tmp_path, ["9"], [["a"]], clusters="far")
    assert standing(tmp_path, ["a", "b"]).live == {"a": ("9", "queued")}
    assert standing(tmp_path, ["b"]).live == {}


def test_jobs_that_slurm_does_not_take(slurm, tmp_path):
    (tmp_path / "bin/sbatch").write_text(
        "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpuu' >&2\nexit 1\n"
    )
    with pytest.raises(
        RunDirectoryError, match=r"sbatch refused: .*invalid partition.*section slurm"
    ):
        said(thermal, settings(**PLAN), out=tmp_path / "out", executor="slurm")
    assert not (tmp_path / "out/jobs/submitted.json").exists()


def test_resubmit_without_slurm_is_refused(tmp_path):
    shown = CliRunner().invoke(
        app, ["simulate", "thermal", "--out", str(tmp_path / "out"), "--resubmit"]
    )
    assert shown.exit_code == 1
    assert "--resubmit: expected jobs of SLURM" in str(shown.exception or shown.output)


# ---- one job that does everything -------------------------------------------------------------------------


def test_a_folder_in_which_another_command_is_at_work(slurm, tmp_path):
    """With a job of ours that is said; otherwise nothing is submitted into it."""

    def busy():
        raise RunDirectoryBusyError("another moalloy command is at work")

    common = {
        "out": tmp_path / "out", "name": "moalloy-x", "executor": "slurm", "resubmit": False,
        "slurm": InteractionConfig().slurm,
    }  # fmt: skip
    said(submit_whole, print, {}, is_done=lambda: False, **common)
    done, text = said(submit_whole, print, {}, is_done=busy, **common)
    assert not done
    assert "moalloy-x: queued, job 101" in text
    slurm.end_all()
    with pytest.raises(RunDirectoryBusyError, match="another moalloy command"):
        said(submit_whole, print, {}, is_done=busy, **common)
    assert slurm.submissions == [101]
