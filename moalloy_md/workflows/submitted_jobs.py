"""Jobs that were submitted to SLURM for runs: which job does which run, and whether it has ended.

What was submitted is written down beside the jobs' logs. How it stands is asked of ``squeue``, which
is there wherever jobs can be submitted, and where that is silent of ``sacct``.
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from moalloy_md.rundir import now, read_json, write_json
from moalloy_md.workflows.simulate.plan import Executor

#: What was submitted, in the folder of the jobs' logs.
SUBMITTED = "submitted.json"

ENDED, UNKNOWN = "ended", "unknown"

#: How SLURM's states are called here; others by their own names.
_WORDS = {"PENDING": "queued", "RUNNING": "running"}
#: States in which ``sacct`` says that a job is over. A job that is queued again has another one.
_OVER = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
#: A controller that is down lets its commands wait; seconds.
_PATIENCE_S = 60
#: Lines that are printed.
_MOST_LINES = 40


@dataclass(frozen=True)
class SubmittedJob:
    """A job, and the runs that it does."""

    id: str
    """As SLURM calls it, ``101_3`` in an array. A job that is queued again keeps it."""
    runs: tuple[str, ...]
    """Names of its runs."""
    user: int
    """Number of the user who submitted it."""
    clusters: str | None
    """Where several clusters share one SLURM: which."""
    submitted: str
    """When, UTC."""


@dataclass(frozen=True)
class Standing:
    """How the jobs of runs stand; runs without a job, or whose jobs have ended, are left out."""

    live: dict[str, tuple[str, str]]
    """Run, and its job's id and state: ``queued``, ``running``, or in SLURM's words."""
    unknown: dict[str, str]
    """Run, and the id of its job, of which SLURM says nothing."""
    silence: str
    """What was found in place of an answer."""


class _SilenceError(Exception):
    """A command of SLURM did not answer."""


def read_jobs(logs: Path) -> list[SubmittedJob]:
    """Read what was submitted, first to last; nothing where nothing was.

    Raises
    ------
    RunDirectoryError
        If the file is damaged.
    """
    path = logs / SUBMITTED
    entries = read_json(path)["jobs"] if path.exists() else []
    return [SubmittedJob(**{**entry, "runs": tuple(entry["runs"])}) for entry in entries]


def record_jobs(
    logs: Path, ids: Sequence[str], runs: Sequence[Sequence[str]], *, clusters: str | None = None
) -> None:
    """Write down jobs that were just submitted.

    Parameters
    ----------
    logs
        Folder of their logs.
    ids
        Of the jobs.
    runs
        Of each job, the names of its runs.
    clusters
        As of `SubmittedJob`.
    """
    when, user = now(), os.getuid()
    new = [
        SubmittedJob(job, tuple(names), user, clusters, when)
        for job, names in zip(ids, runs, strict=True)
    ]
    write_json(logs / SUBMITTED, {"jobs": [asdict(job) for job in (*read_jobs(logs), *new)]})


def standing(logs: Path, names: Iterable[str]) -> Standing:
    """Ask SLURM for the jobs of runs; it is not asked where none was submitted.

    Parameters
    ----------
    logs
        Folder of the jobs' logs.
    names
        Of the runs.
    """
    wanted = set(names)
    jobs = [job for job in read_jobs(logs) if wanted & set(job.runs)]
    live: dict[str, tuple[str, str]] = {}
    unknown: dict[str, str] = {}
    silence = ""
    for clusters in dict.fromkeys(job.clusters for job in jobs):
        alike = [job for job in jobs if job.clusters == clusters]
        states, found = _states(alike, clusters)
        silence = silence or found
        for job in alike:
            for name in wanted & set(job.runs):
                if states[job.id] == UNKNOWN:
                    unknown[name] = job.id
                elif states[job.id] != ENDED and live.get(name, ("", ""))[1] != "running":
                    live[name] = (job.id, states[job.id])
    unknown = {name: job for name, job in unknown.items() if name not in live}
    return Standing(live, unknown, silence)


def runs_to_submit(
    logs: Path,
    names: Sequence[str],
    *,
    executor: Executor,
    resubmit: bool,
    console: Console,
) -> list[str]:
    """Leave runs out that have a job which is queued or running, and say how these stand.

    Parameters
    ----------
    logs
        Folder of the jobs' logs.
    names
        Of runs that are not done.
    executor
        Processes of this machine are not asked for: they are waited for.
    resubmit
        Whether runs are taken whose jobs SLURM says nothing of. Never those with a live job.
    console
        Where to say it.
    """
    if executor != "slurm":
        return list(names)
    found = standing(logs, names)
    _show(found, [name for name in names if name in found.live], console)
    held = set(found.live)
    if found.unknown and not resubmit:
        held |= set(found.unknown)
        console.print(
            f"Expected an answer of SLURM about jobs submitted before, found {found.silence}. "
            f"{len(found.unknown)} run(s), such as {next(iter(found.unknown))} (job "
            f"{next(iter(found.unknown.values()))}), may be queued or running and are not submitted "
            "again. Give the command later; or, where you know that these jobs have ended, with "
            "--resubmit",
            style="yellow", highlight=False, markup=False,
        )  # fmt: skip
    return [name for name in names if name not in held]


def _show(found: Standing, names: Sequence[str], console: Console) -> None:
    if not names:
        return
    states = [found.live[name][1] for name in names]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    console.print(f"submitted before: {counted}", highlight=False, markup=False)
    for name in names[:_MOST_LINES]:
        job, state = found.live[name]
        console.print(
            f"  {name}: {state}, job {job}", highlight=False, markup=False, soft_wrap=True
        )
    if len(names) > _MOST_LINES:
        console.print(f"  and {len(names) - _MOST_LINES} more", highlight=False)


def _states(jobs: Sequence[SubmittedJob], clusters: str | None) -> tuple[dict[str, str], str]:
    """Return the state of each job by its id, and what was found in place of an answer."""
    where = [f"--clusters={clusters}"] if clusters else []
    users = ",".join(sorted({str(job.user) for job in jobs}))
    try:
        listed = _answer(
            ["squeue", *where, f"--user={users}", "--noheader", "--array", "--format=%i|%T"]
        )
    except _SilenceError as of_squeue:
        silence = str(of_squeue)
    else:  # it lists what has not ended
        return {job.id: _word(listed.get(job.id, ENDED)) for job in jobs}, ""
    numbers = ",".join(sorted({job.id.partition("_")[0] for job in jobs}))
    fields = ["--noheader", "--parsable2", "--format=JobID,State"]
    try:
        listed = _answer(["sacct", *where, f"--jobs={numbers}", *fields])
    except _SilenceError as of_sacct:
        return {job.id: UNKNOWN for job in jobs}, f"{silence}; {of_sacct}"
    known = {job: ENDED if state.split()[0] in _OVER else state for job, state in listed.items()}
    states = {job.id: _word(known.get(job.id, UNKNOWN)) for job in jobs}
    return states, f"{silence}; sacct: no entry of them"


def _word(state: str) -> str:
    return _WORDS.get(state, state.lower())


def _answer(command: Sequence[str]) -> dict[str, str]:
    """Run a command of SLURM that prints ``id|state`` lines; return the states by id."""
    from submitit.slurm.slurm import SlurmInfoWatcher

    # a user's own SQUEUE_STATES or SQUEUE_PARTITION would hide jobs
    own = {k: v for k, v in os.environ.items() if not k.startswith(("SQUEUE_", "SACCT_"))}
    try:
        done = subprocess.run(
            command,
            env=own,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _SilenceError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise _SilenceError(f"{command[0]}: {said[-1]}")
    # with --clusters a line names the cluster
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()[:1].isdigit()]
    read = SlurmInfoWatcher().read_info("\n".join(["JobID|State", *lines]))
    return {job: entry["State"] for job, entry in read.items() if entry.get("State")}
