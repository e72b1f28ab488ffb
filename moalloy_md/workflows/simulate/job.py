"""What a job of a cluster does, and again where its wall time ended it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moalloy_md.workflows.job_queue import Requeued


class RunJob(Requeued):
    """Does one run of a simulation."""

    def __call__(self, out: Path, topic: str, name: str) -> bool:
        """Do the run; return whether it is done."""
        from moalloy_md.workflows.simulate.workflow import run_job

        _start_ranks_on_this_node()
        return run_job(out, topic, name)


class WholeJob(Requeued):
    """Does all of a simulation that is missing in a run directory.

    Parameters
    ----------
    work
        Called with the folder and the settings; a function that Python finds by its name.
    requeue
        As of `moalloy_md.workflows.job_queue.Requeued`.
    """

    def __init__(self, work: Callable[[Path, dict[str, Any]], None], *, requeue: bool) -> None:
        super().__init__(requeue=requeue)
        self._work = work

    def __call__(self, out: Path, settings: dict[str, Any]) -> None:
        """Do it."""
        _start_ranks_on_this_node()
        self._work(out, settings)


def _start_ranks_on_this_node() -> None:
    """Keep mpiexec from asking SLURM for more: the job has its cores on this one node."""
    os.environ.setdefault("HYDRA_BOOTSTRAP", "fork")
