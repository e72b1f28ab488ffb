"""Jobs of a cluster, or of this machine in the same way, through submitit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import Field
from rich.console import Console

from moalloy_md.config import StrictModel
from moalloy_md.errors import MoAlloyError, RunDirectoryBusyError, RunDirectoryError
from moalloy_md.workflows.simulate.plan import Executor
from moalloy_md.workflows.submitted_jobs import record_jobs, runs_to_submit


class Slurm(StrictModel):
    """How runs are submitted to SLURM, through submitit."""

    partition: str | None = None
    """Partition."""
    account: str | None = None
    """Account."""
    modules: tuple[str, ...] = ()
    """Environment modules that a job loads first."""
    time_minutes: int = Field(default=720, ge=1)
    """Wall time of a job, minutes."""
    cpus: int = Field(default=4, ge=1)
    """Cores of a job."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of a job."""
    memory_gb: float = Field(default=16.0, gt=0)
    """Memory of a job, GB."""
    parallel: int = Field(default=16, ge=1)
    """Jobs of the array that may run at once."""
    more: dict[str, Any] = Field(default={})
    """Further options of ``sbatch``, such as ``{qos: long}``."""
    requeue: bool = True
    """A job that reaches its wall time or is preempted is queued again and goes on."""
    max_requeues: int = Field(default=20, ge=0)
    """How often a job is queued again that reached its wall time."""

    @property
    def sbatch_options(self) -> dict[str, Any]:
        """What ``sbatch`` is told besides, by its own names."""
        return {**({"requeue": True} if self.requeue else {}), **self.more}

    @property
    def submitit_options(self) -> dict[str, Any]:
        """What submitit is told of SLURM alone."""
        return {
            "slurm_array_parallelism": self.parallel,
            "slurm_additional_parameters": self.sbatch_options,
            "slurm_setup": [f"module load {module}" for module in self.modules],
            **({"slurm_partition": self.partition} if self.partition else {}),
            **({"slurm_account": self.account} if self.account else {}),
            **({"gpus_per_node": self.gpus} if self.gpus else {}),
        }


class Requeued:
    """Base of what a job calls, such that submitit queues it again when SLURM is about to end it.

    A subclass is called with the job's arguments, and goes on from where it was when it is called with
    them again. submitit knows such a one by its method ``checkpoint``.

    Parameters
    ----------
    requeue
        Whether the job is queued again.
    """

    def __init__(self, *, requeue: bool) -> None:
        self._requeue = requeue

    def checkpoint(self, *arguments: Any, **keywords: Any) -> Any:
        """Return what submitit is to queue again: the same call; None, which it takes as well, for nothing."""
        from submitit.helpers import DelayedSubmission

        call = cast("Callable[..., Any]", self)
        return DelayedSubmission(call, *arguments, **keywords) if self._requeue else None


def job_queue(folder: Path, executor: str, *, max_requeues: int) -> Any:
    """Return submitit's executor.

    Parameters
    ----------
    folder
        For the jobs' logs; on a disk that all nodes see.
    executor
        ``slurm``, or ``local`` for processes of this machine.
    max_requeues
        How often a job is queued again that reached its wall time.

    Raises
    ------
    MoAlloyError
        If submitit is not installed.
    RunDirectoryError
        If there is no SLURM here.
    """
    try:
        import submitit
    except ImportError as error:
        raise MoAlloyError(
            "expected submitit for jobs of a cluster, found that it is not installed: "
            "pip install submitit"
        ) from error
    try:
        return submitit.AutoExecutor(
            folder=folder, cluster=executor, slurm_max_num_timeout=max_requeues
        )
    except RuntimeError as error:
        raise RunDirectoryError(
            f"expected SLURM on this machine (sbatch), found none ({error}). Run this where jobs "
            "are submitted, or leave SLURM out to use this machine"
        ) from error


def submit_array(
    queue: Any,
    executor: Executor,
    slurm: Slurm,
    *,
    logs: Path,
    name: str,
    function: Callable[..., Any],
    arguments: Sequence[Sequence[Any]],
    runs: Sequence[Sequence[str]],
    console: Console,
    options: dict[str, Any] | None = None,
    note: str = "",
) -> None:
    """Submit an array of jobs and say so; those of this machine are waited for.

    Parameters
    ----------
    queue
        As `job_queue` returns it.
    executor
        What it is.
    slurm
        Time, cores, memory, and what SLURM is asked for besides.
    logs
        The queue's folder.
    name
        Of the jobs.
    function, arguments
        What each job calls, and with what.
    runs
        Of each job, the names of the runs that it does: written down for those of SLURM.
    console
        Where to say it.
    options
        Further options of submitit.
    note
        What to say besides.

    Raises
    ------
    RunDirectoryError
        If SLURM does not take the jobs.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    asked: dict[str, Any] = {
        "name": name,
        "timeout_min": slurm.time_minutes,
        "cpus_per_task": slurm.cpus,
        "mem_gb": slurm.memory_gb,
        **(options or {}),
    }
    if executor == "slurm":
        asked |= slurm.submitit_options
    queue.update_parameters(**asked)
    try:
        jobs = queue.map_array(function, *map(list, zip(*arguments, strict=True)))
    except (FailedJobError, FailedSubmissionError) as error:
        raise RunDirectoryError(
            f"expected SLURM to take {len(arguments)} job(s), found that sbatch refused: "
            f"{str(error).strip()}. Look at partition, account and limits in the section slurm"
        ) from error
    if executor == "slurm":
        clusters = slurm.sbatch_options.get("clusters")
        record_jobs(logs, [job.job_id for job in jobs], runs, clusters=clusters)
    submitted = (
        f"1 job submitted: {jobs[0].job_id}; its logs are in"
        if len(jobs) == 1
        else f"{len(jobs)} jobs submitted, the first is {jobs[0].job_id}; their logs are in"
    )
    console.print(
        f"{submitted} {logs}{note}",
        highlight=False,
    )
    if executor == "local":
        for job in jobs:
            job.wait()


def submit_whole(
    work: Callable[[Path, dict[str, Any]], None],
    settings: dict[str, Any],
    *,
    out: Path,
    name: str,
    executor: Executor,
    slurm: Slurm,
    is_done: Callable[[], bool],
    resubmit: bool,
    console: Console,
) -> bool:
    """Submit one job that does everything, on ``slurm.cpus`` cores of one node.

    Parameters
    ----------
    work
        Called in the job with the folder and the settings; a function that Python finds by its name.
    settings
        JSON-compatible, with paths that are valid from every folder.
    out
        Run directory, which is the job's; on a disk that it sees. The logs are beside it.
    name
        Of the job.
    executor
        ``slurm``, or ``local`` for a process of this machine started by submitit.
    slurm
        Time, cores, memory, and what SLURM is asked for besides.
    is_done
        Whether nothing is left to do; may raise `RunDirectoryBusyError` while a job is at work.
    resubmit
        As of `moalloy_md.workflows.submitted_jobs.runs_to_submit`.
    console
        Where to say it.

    Returns
    -------
    bool
        Whether nothing was left to do. Also False where a job is queued or running already, which is
        said.

    Raises
    ------
    MoAlloyError, RunDirectoryError
        As `job_queue` and `submit_array`, and if another command is at work in the folder.
    """
    out = out.absolute()
    busy = None
    try:
        if is_done():
            return True
    except RunDirectoryBusyError as error:
        busy = error
    logs = out.parent / f"{out.name}.jobs"
    queue = job_queue(logs, executor, max_requeues=slurm.max_requeues)
    from moalloy_md.workflows.simulate.job import WholeJob  # which stands on this module

    if not runs_to_submit(logs, [name], executor=executor, resubmit=resubmit, console=console):
        return False
    if busy is not None:  # and not with a job of ours
        raise busy
    submit_array(
        queue,
        executor,
        slurm,
        logs=logs,
        name=name,
        function=WholeJob(work, requeue=slurm.requeue),
        arguments=[(out, settings)],
        runs=[[name]],
        console=console,
        options={"tasks_per_node": 1, "nodes": 1},
        note=". The same command shows how it stands, and the results when it is done",
    )
    return False
