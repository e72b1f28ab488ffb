"""What a job of a cluster does: one run, and again where its wall time ended it."""

import os
from pathlib import Path
from typing import Any

from submitit.helpers import Checkpointable, DelayedSubmission


class RunJob(Checkpointable):
    """Does one run of a simulation; submitit queues it again when SLURM is about to end it.

    Parameters
    ----------
    requeue
        Whether it is queued again. The run goes on from its last restart.
    """

    def __init__(self, *, requeue: bool) -> None:
        self._requeue = requeue

    def __call__(self, out: Path, topic: str, name: str) -> bool:
        """Do the run; return whether it is done."""
        from moalloy_md.workflows.simulate import run_job

        # The job has its cores on this one node: mpiexec is not to ask SLURM for more.
        os.environ.setdefault("HYDRA_BOOTSTRAP", "fork")
        return run_job(out, topic, name)

    def checkpoint(self, *arguments: Any, **keywords: Any) -> DelayedSubmission | None:  # type: ignore[override]
        """Say what to queue again; None, which submitit takes as well, for nothing."""
        return super().checkpoint(*arguments, **keywords) if self._requeue else None
