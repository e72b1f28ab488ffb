"""``moalloy study run``: all runs of a study, on this machine or as jobs of a cluster."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.config import load_config
from moalloy_md.datasets.frames import Frame, dataset_hash, read_dataset
from moalloy_md.rundir import open_run
from moalloy_md.workflows.job_queue import job_queue, submit_array
from moalloy_md.workflows.simulate.plan import Executor, Outcome, chosen_runs
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.cost import CostLine, cost_table, show_costs
from moalloy_md.workflows.study.plan import (
    Run,
    chains,
    make_folds,
    make_runs,
    read_study,
    write_folds,
    write_study,
)
from moalloy_md.workflows.study.preflight import check_runs
from moalloy_md.workflows.study.run import ChainJob, do_run, status
from moalloy_md.workflows.study.settings import refuse_changed_settings
from moalloy_md.workflows.submitted_jobs import runs_to_submit
from moalloy_md.workflows.training_bar import training_bar

if TYPE_CHECKING:
    from moalloy_md.potentials.committee import Member


def run_study(
    path: Path,
    *,
    out: Path,
    executor: Executor = "here",
    only: str | None = None,
    resubmit: bool = False,
    console: Console | None = None,
) -> Outcome:
    """Do all runs of a study that are not done; the same call goes on after a kill.

    Parameters
    ----------
    path
        YAML file; see `moalloy_md.workflows.study.config.StudyConfig`.
    out
        Folder of the study: ``splits``, ``runs``, and ``study.json``.
    executor
        ``here``: one after the other in this process. ``slurm``: an array of jobs, through
        submitit; the call returns when they are submitted, and leaves out runs that have a job
        which is queued or running. ``local``: processes of this machine, started by submitit, to
        try the same way without SLURM.
    only
        Name of a run, or the beginning of several: only these.
    resubmit
        Submit runs again whose jobs SLURM says nothing of.
    console
        Where progress is shown; standard error if None.

    Returns
    -------
    Outcome
        A run that fails does not stop the others.

    Raises
    ------
    ConfigError
        If the file is wrong, or no run has the name `only`.
    DataError
        If the cells cannot be read or split as asked.
    ModelError
        If CUDA is asked for and absent, or a foundation lacks elements that its runs need.
    RunDirectoryError
        If `out` holds something else, or a study of other cells, or if the settings of a run that
        was begun have changed.
    """
    console = console or Console(stderr=True)
    config = load_config(path, StudyConfig)
    frames = read_dataset(_data(config))
    out = Path(out).absolute()
    folds = make_folds(config, frames)
    runs = make_runs(config, folds)
    chosen = chosen_runs(runs, only, separator="/")
    check_runs(
        config,
        folds,
        [run for run in chosen if status(out, run).state != "done"],
        executor=executor,
    )
    open_run(out, kind="study", config=_identity(frames))
    refuse_changed_settings(out, config, runs)
    write_folds(folds, out)
    write_study(out, config, runs)
    todo = [run for run in chosen if status(out, run).state != "done"]
    console.print(
        f"{len(runs)} runs, {len(chosen) - len(todo)} of {len(chosen)} chosen ones done before",
        highlight=False,
    )
    if executor == "here":
        _do_here(out, todo, console)
    elif todo:
        _submit(out, config, todo, executor=executor, resubmit=resubmit, console=console)
    return outcome(out, chosen)


def plan_costs(
    path: Path, console: Console, *, out: Path | None = None, only: str | None = None
) -> list[CostLine]:
    """Show what the runs that are not done would cost, by timing a training step of each size here.

    Parameters
    ----------
    path
        YAML file.
    console
        Where it is shown.
    out
        Folder of the study, in which runs may be done; nothing is written.
    only
        As in `run_study`.

    Raises
    ------
    ConfigError, DataError, ModelError, RunDirectoryError
        As `run_study`; and if a foundation cannot be had.
    """
    config = load_config(path, StudyConfig)
    folds = make_folds(config, read_dataset(_data(config)))
    runs = make_runs(config, folds)
    todo = chosen = chosen_runs(runs, only, separator="/")
    if out is not None:
        out = Path(out).absolute()
        refuse_changed_settings(out, config, runs)
        todo = [run for run in chosen if status(out, run).state != "done"]
        begun = sum(status(out, run).state == "begun" for run in todo)
        console.print(
            f"{len(runs)} runs, {len(chosen)} chosen, {len(chosen) - len(todo)} of them done, "
            f"{len(todo)} left{f' ({begun} begun, counted whole)' if begun else ''}",
            highlight=False,
        )
    check_runs(config, folds, todo, executor="here")
    lines = cost_table(config, folds, todo)
    if lines:
        show_costs(lines, console)
    return lines


def outcome(out: Path, runs: Sequence[Run]) -> Outcome:
    """Say how runs stand."""
    found = {run.name: status(out, run) for run in runs}
    return Outcome(
        done=tuple(name for name, s in found.items() if s.state == "done"),
        failed={name: s.error for name, s in found.items() if s.state == "failed"},
        waiting=tuple(name for name, s in found.items() if s.state in {"waiting", "begun"}),
    )


def show_outcome(found: Outcome, console: Console) -> None:
    """Print how many runs are done, and why others failed."""
    console.print(found.summary(), highlight=False)
    if not found.failed:
        return
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("failed run", no_wrap=True)
    table.add_column("why")
    for name, error in found.failed.items():
        table.add_row(name, error.strip().splitlines()[-1] if "Traceback" in error else error)
    console.print(table)
    console.print(
        "The same command tries these again, and no others; --only RUN tries one alone.",
        highlight=False,
    )


def _data(config: StudyConfig) -> Path:
    from moalloy_md.datasets.bundled import bundled_path

    return bundled_path() if config.data == "bundled" else Path(config.data)


def _identity(frames: Sequence[Frame]) -> dict[str, Any]:
    """Return what no run may differ in; what each of them is made of, it says itself."""
    return {"data_sha256": dataset_hash(frames)}


def _do_here(out: Path, todo: Sequence[Run], console: Console) -> None:
    for k, run in enumerate(todo, start=1):
        console.print(f"run {k} of {len(todo)}: {run.name}", highlight=False)
        if run.parent is not None and run.parent not in _done(out):
            console.print(
                f"  left out: {run.parent}, which it refines, is not done", style="yellow"
            )
            continue
        with training_bar(console) as watch:
            finished = do_run(out, run, watch=watch, begin=partial(_say_member, console))
        if not finished:
            error = status(out, run).error or "another process is at work on it"
            console.print(f"  not done: {error}", style="red", markup=False)


def _say_member(console: Console, member: "Member") -> None:
    console.print(
        f"  model {member.index + 1} of {member.n_members}, seed {member.seed}", highlight=False
    )


def _done(out: Path) -> set[str]:
    _, runs = read_study(out)
    return {run.name for run in runs if status(out, run).state == "done"}


def _submit(
    out: Path,
    config: StudyConfig,
    todo: Sequence[Run],
    *,
    executor: Executor,
    resubmit: bool,
    console: Console,
) -> None:
    logs = out / "jobs"
    queue = job_queue(logs, executor, max_requeues=config.slurm.max_requeues)
    # a run that refines the model of a job which is at work has to wait for it
    parents = {run.parent for run in todo if run.parent is not None} - _done(out)
    names = list(dict.fromkeys([*(run.name for run in todo), *sorted(parents)]))
    free = set(runs_to_submit(logs, names, executor=executor, resubmit=resubmit, console=console))
    held = set(names) - free
    left = [run for run in todo if run.name in free and run.parent not in held]
    if len(left) < len(free & {run.name for run in todo}):
        console.print("runs that refine their models are submitted when these are done")
    if not left:
        return
    jobs = [[run.name for run in chain] for chain in chains(left)]
    submit_array(
        queue,
        executor,
        config.slurm,
        logs=logs,
        name="moalloy-study",
        function=ChainJob(requeue=config.slurm.requeue),
        arguments=[(out, names) for names in jobs],
        runs=jobs,
        console=console,
        note=". The same command shows how they stand",
    )
