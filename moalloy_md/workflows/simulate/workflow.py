"""``moalloy simulate``: a plan of independent runs, on this machine or as jobs of a cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from moalloy_md.config import validate
from moalloy_md.rundir import RunDirectory, now, open_run
from moalloy_md.workflows.job_queue import job_queue, submit_array
from moalloy_md.workflows.simulate.bar import simulation_bar
from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.cost import CostLine, cost_table, show_costs
from moalloy_md.workflows.simulate.job import RunJob
from moalloy_md.workflows.simulate.plan import Executor, Outcome, chosen_runs, read_status
from moalloy_md.workflows.simulate.potential import Potential, resolve_potential
from moalloy_md.workflows.simulate.recorded import place_runs, refuse_changed_settings
from moalloy_md.workflows.simulate.run import (
    RUNS,
    AnalyseRun,
    SimulationRun,
    Start,
    do_run,
    read_plan,
    results,
    simulated,
    write_plan,
)
from moalloy_md.workflows.submitted_jobs import runs_to_submit

Results = TypeVar("Results")


@dataclass(frozen=True)
class Topic:
    """What is simulated: the parts that differ from topic to topic."""

    name: str
    """As on the command line."""
    config: type[SimulationConfig]
    """Its settings."""
    identity: Callable[[Any], dict[str, Any]]
    """What of the settings a simulation cannot change; the rest may grow."""
    elements: Callable[[Any], set[str]]
    """What the potential has to know."""
    plan: Callable[[Any, Path], list[SimulationRun]]
    """Makes the runs, and their structures in the folder."""
    analyse: AnalyseRun
    """What is computed of a run when LAMMPS has finished it."""


def topic(name: str) -> Topic:
    """Return a topic by its name."""
    from moalloy_md.workflows.sro.workflow import TOPIC as SRO
    from moalloy_md.workflows.thermal.workflow import TOPIC as THERMAL

    return {about.name: about for about in (THERMAL, SRO)}[name]


def simulate(
    about: Topic,
    config: SimulationConfig,
    *,
    out: Path,
    ranks: int = 1,
    executor: Executor = "here",
    only: str | None = None,
    resubmit: bool = False,
    console: Console,
) -> Outcome:
    """Do all runs of a simulation that are not done; the same call goes on after a kill.

    Parameters
    ----------
    about
        The topic.
    config
        Its settings.
    out
        Folder of the simulation: ``structures``, ``runs``, and ``simulation.json``.
    ranks
        MPI ranks of each run on this machine.
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
        Where progress is shown.

    Returns
    -------
    Outcome
        A run that fails does not stop the others.

    Raises
    ------
    ConfigError
        If there is no potential, or no run has the name `only`.
    ModelError
        If the potential does not know an element.
    RunDirectoryError
        If `out` holds something else, or a simulation or a run of it with other settings. Settings
        that only the analysis depends on may change: runs that are done are analysed anew.
    """
    out = Path(out).absolute()
    runs, start = _prepare(about, config, out=out, ranks=ranks)
    chosen = chosen_runs(runs, only)
    todo = [run for run in chosen if results(out, run) is None]
    anew = sum(simulated(out, run) is not None for run in todo)
    console.print(
        f"{len(runs)} runs, {len(chosen) - len(todo) + anew} of {len(chosen)} chosen ones done before"
        + (f", {anew} of them to be analysed anew, with other settings" if anew else ""),
        highlight=False,
    )
    if executor == "here":
        _do_here(out, todo, start, console)
    elif todo:
        _submit(out, about, config, todo, executor=executor, resubmit=resubmit, console=console)
    return outcome(out, chosen)


def simulate_and_collect(
    about: Topic,
    config: SimulationConfig,
    *,
    out: Path,
    ranks: int,
    executor: Executor,
    only: str | None,
    resubmit: bool,
    console: Console | None,
    collect: Callable[[list[dict[str, Any]]], Results],
    write: Callable[[Results, Path], None],
) -> tuple[Outcome, Results | None]:
    """Do all runs that are not done, and put together what came out of those that are.

    Parameters
    ----------
    about, config, out, ranks, executor, only, resubmit
        As `simulate`.
    console
        Where progress is shown; standard error if None.
    collect
        Makes the results of what the topic's `Topic.analyse` found, run by run.
    write
        Writes them into the folder.

    Returns
    -------
    Outcome
        How the runs stand.
    Results or None
        None while no run is done.

    Raises
    ------
    MoAlloyError
        As `simulate`.
    """
    console = console or Console(stderr=True)
    out = Path(out).absolute()
    found = simulate(
        about,
        config,
        out=out,
        ranks=ranks,
        executor=executor,
        only=only,
        resubmit=resubmit,
        console=console,
    )
    _, runs = read_plan(out)
    finished = [entry for run in runs if (entry := results(out, run)) is not None]
    if not finished:
        return found, None
    summary = collect(finished)
    write(summary, out)
    if not found.failed and not found.waiting:
        RunDirectory(out).update_manifest(finished=now())
    return found, summary


def plan_costs(
    about: Topic, config: SimulationConfig, *, out: Path, ranks: int, console: Console
) -> list[CostLine]:
    """Show what the runs would cost; nothing is left in `out` that was not there.

    Raises
    ------
    ConfigError, ModelError, RunDirectoryError, LammpsError
        As `simulate`, and if LAMMPS fails.
    """
    import tempfile

    potential = _potential(about, config)
    start = Start(config, potential, about.analyse, ranks)
    if (out / RUNS).is_dir():
        open_run(out, kind=f"simulate {about.name}", config=_identity(about, config, potential))
    with tempfile.TemporaryDirectory(prefix="moalloy-plan-") as folder:
        runs = _runs(about, config, Path(folder))
        refuse_changed_settings(out, runs, start, structures=Path(folder))
        done = {run.name for run in runs if simulated(out, run) is not None}
        lines = cost_table(Path(folder), runs, start, done=done)
    show_costs(lines, console, start=start)
    return lines


def outcome(out: Path, runs: Sequence[SimulationRun]) -> Outcome:
    """Say how runs stand."""
    done, failed, waiting = [], {}, []
    for run in runs:
        found = read_status(out / RUNS / run.name)
        if results(out, run) is not None:
            done.append(run.name)
        elif found.error:
            failed[run.name] = found.error
        else:
            waiting.append(run.name)
    return Outcome(tuple(done), failed, tuple(waiting))


def show_outcome(found: Outcome, console: Console) -> None:
    """Print how many runs are done, and why others failed."""
    console.print(found.summary(), highlight=False)
    for name, error in found.failed.items():
        console.print(f"[bold]{name}[/]", highlight=False)
        console.print(f"  {error}", markup=False, highlight=False, style="red")
    if found.failed:
        console.print(
            "The same command tries these again from their last restart, and no others; --only RUN "
            "tries one alone.",
            highlight=False,
        )


def run_job(out: Path, topic_name: str, name: str) -> bool:
    """Do one run of a plan in a job of a cluster, on the cores that ``slurm.cpus`` says."""
    about = topic(topic_name)
    content, runs = read_plan(out)
    config = validate(content, about.config, source=str(out / "simulation.json"))
    run = next(run for run in runs if run.name == name)
    ranks = max(1, config.slurm.cpus // config.threads)
    start = Start(config, resolve_potential(config.potential), about.analyse, ranks)
    return do_run(out, run, start)


def _prepare(
    about: Topic, config: SimulationConfig, *, out: Path, ranks: int
) -> tuple[list[SimulationRun], Start]:
    potential = _potential(about, config)
    start = Start(config, potential, about.analyse, ranks)
    open_run(out, kind=f"simulate {about.name}", config=_identity(about, config, potential))
    runs = place_runs(out, lambda folder: _runs(about, config, folder), start)
    write_plan(out, _with_whole_paths(config), runs)
    return runs, start


def _runs(about: Topic, config: SimulationConfig, folder: Path) -> list[SimulationRun]:
    """Plan the runs; what is watched is judged when they are analysed, in every topic."""
    watch = {"watch": config.watch.model_dump(mode="json")}
    return [replace(run, analysis=watch | run.analysis) for run in about.plan(config, folder)]


def _potential(about: Topic, config: SimulationConfig) -> Potential:
    potential = resolve_potential(config.potential)
    potential.check(about.elements(config))
    return potential


def _identity(about: Topic, config: SimulationConfig, potential: Potential) -> dict[str, Any]:
    return {
        "potential": potential.identity,
        "timestep_ps": config.timestep_ps,
        "thermo_interval": config.thermo_interval,
        "dump_interval": config.dump_interval,
        "seed": config.seed,
        **about.identity(config),
    }


def _with_whole_paths(config: SimulationConfig) -> SimulationConfig:
    """Make the paths of the potential valid from every folder."""
    potential = config.potential
    if potential is None:
        return config
    whole = (
        potential.with_whole_paths()
        if potential.kind == "bundle"
        else potential.model_copy(update={"files": resolve_potential(potential).files})
    )
    return config.model_copy(update={"potential": whole})


def _do_here(out: Path, todo: Sequence[SimulationRun], start: Start, console: Console) -> None:
    for k, run in enumerate(todo, start=1):
        what = f"{run.n_atoms} atoms" if simulated(out, run) is None else "analysed anew"
        console.print(f"run {k} of {len(todo)}: {run.name}, {what}", highlight=False)
        with simulation_bar(console, total=run.steps, n_atoms=run.n_atoms) as watch:
            finished = do_run(out, run, start, watch=watch)
        if not finished:
            found = read_status(out / RUNS / run.name)
            error = found.error or "another process is at work on it"
            console.print(f"  not done: {error}", style="red", markup=False, highlight=False)
            continue
        for sentence in (results(out, run) or {}).get("warnings", []):
            console.print(f"  {sentence}", style="yellow", markup=False, highlight=False)


def _submit(
    out: Path,
    about: Topic,
    config: SimulationConfig,
    todo: Sequence[SimulationRun],
    *,
    executor: Executor,
    resubmit: bool,
    console: Console,
) -> None:
    slurm = config.slurm
    logs = out / "jobs"
    queue = job_queue(logs, executor, max_requeues=slurm.max_requeues)
    names = runs_to_submit(
        logs,
        [run.name for run in todo],
        executor=executor,
        resubmit=resubmit,
        console=console,
    )
    if not names:
        return
    submit_array(
        queue,
        executor,
        slurm,
        logs=logs,
        name=f"moalloy-{about.name}",
        function=RunJob(requeue=slurm.requeue),
        arguments=[(out, about.name, name) for name in names],
        runs=[[name] for name in names],
        console=console,
        options={"tasks_per_node": 1, "nodes": 1},
        note=". The same command shows how they stand, and the results when they are done",
    )
