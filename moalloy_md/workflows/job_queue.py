"""Jobs of a cluster, or of this machine in the same way, through submitit."""

from pathlib import Path
from typing import Any

from moalloy_md.errors import MoAlloyError, RunDirectoryError


def job_queue(folder: Path, executor: str, *, max_requeues: int | None = None) -> Any:
    """Return submitit's executor.

    Parameters
    ----------
    folder
        For the jobs' logs; on a disk that all nodes see.
    executor
        ``slurm``, or ``local`` for processes of this machine.
    max_requeues
        How often SLURM may queue a job again that reached its wall time; submitit's own limit if
        None.

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
    options = {} if max_requeues is None else {"slurm_max_num_timeout": max_requeues}
    try:
        return submitit.AutoExecutor(folder=folder, cluster=executor, **options)
    except RuntimeError as error:
        raise RunDirectoryError(
            f"expected SLURM on this machine (sbatch), found none ({error}). Run this where jobs "
            "are submitted, or use this machine"
        ) from error
