"""What a job of a cluster does, and again where its wall time ended it."""

import os
from pathlib import Path
from typing import Any

from submitit.helpers import Checkpointable, DelayedSubmission


class Requeued(Checkpointable):
    """A job that submitit queues again when SLURM is about to end it.

    Parameters
    ----------
    requeue
        Whether it is queued again. It goes on from where it was.
    """

    def __init__(self, *, requeue: bool) -> None:
        self._requeue = requeue

    def checkpoint(self, *arguments: Any, **keywords: Any) -> DelayedSubmission | None:  # type: ignore[override]
        """Say what to queue again; None, which submitit takes as well, for nothing."""
        return super().checkpoint(*arguments, **keywords) if self._requeue else None


class RunJob(Requeued):
    """Does one run of a simulation."""

    def __call__(self, out: Path, topic: str, name: str) -> bool:
        """Do the run; return whether it is done."""
        from moalloy_md.workflows.simulate import run_job

        # The job has its cores on this one node: mpiexec is not to ask SLURM for more.
        os.environ.setdefault("HYDRA_BOOTSTRAP", "fork")
        return run_job(out, topic, name)


class InteractionJob(Requeued):
    """Computes the interactions of dopants."""

    def __call__(self, out: Path, settings: dict[str, Any]) -> None:
        """Compute what is missing in the folder `out`."""
        from moalloy_md.config import validate
        from moalloy_md.workflows.interaction import interaction
        from moalloy_md.workflows.interaction_config import InteractionConfig

        config = validate(settings, InteractionConfig, source=str(out))
        interaction(config, out=out, processes=config.slurm.cpus)


class SegregationJob(Requeued):
    """Finds where dopants segregate to."""

    def __call__(self, out: Path, settings: dict[str, Any]) -> None:
        """Compute what is missing in the folder `out`."""
        from moalloy_md.config import validate
        from moalloy_md.workflows.segregation import segregation
        from moalloy_md.workflows.segregation_config import SegregationConfig

        os.environ.setdefault("HYDRA_BOOTSTRAP", "fork")
        config = validate(settings, SegregationConfig, source=str(out))
        segregation(config, out=out, ranks=config.slurm.cpus)
