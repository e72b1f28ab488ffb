"""One run of a simulation: LAMMPS in a folder of its own, watched, and what comes out of it.

Everything that it needs is in the folder of the simulation, so it can be started by itself, on
another machine of a cluster too, and again after a kill.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from moalloy_md.errors import DataError, MoAlloyError
from moalloy_md.lammps.run import OnRow, VariableValue, variable_text
from moalloy_md.rundir import (
    RunDirectory,
    as_json,
    first_difference,
    now,
    read_json,
    sha256,
    write_json,
)
from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.plan import do_recorded, read_status
from moalloy_md.workflows.simulate.potential import Potential
from moalloy_md.workflows.simulate.watch import Watcher

RUNS, RESULTS = "runs", "results.json"
#: Where results have the settings that they were analysed with.
ANALYSIS = "analysis"
#: LAMMPS's random number generators want seeds from 1 on, below this.
_MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class SimulationRun:
    """A LAMMPS run of a plan."""

    name: str
    """Its folder below ``runs``, such as ``W2/npt-0300K``."""
    input: str
    """Name of one of our LAMMPS inputs."""
    steps: int
    """Time steps in all."""
    structure: str
    """LAMMPS data file, from the folder of the simulation."""
    elements: tuple[str, ...]
    """Symbols of its atom types."""
    n_atoms: int
    """Atoms in it."""
    variables: dict[str, float | str] = field(default_factory=dict)
    """Further variables of the input: temperature, pressure, seed."""
    extendable: bool = True
    """Whether more steps go on where fewer ended."""
    about: dict[str, Any] = field(default_factory=dict)
    """What the topic wants to know again: composition and the like."""
    evaluations_per_step: float = 1.0
    """Energies that a time step costs: more than one where atoms swap."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings that decide on its motion, by their keys (``compositions.W2``, ``ramp.end_k``), beside those
    of the whole folder: where one is changed under a run that was begun, this names it."""
    analysis: dict[str, Any] = field(default_factory=dict)
    """Settings that its analysis alone depends on, by their keys. A run that is done and was analysed with
    others is analysed anew from its frames."""


#: What a topic computes of a run that LAMMPS has finished.
AnalyseRun = Callable[[Path, SimulationRun, SimulationConfig], dict[str, Any]]


@dataclass(frozen=True)
class Start:
    """How runs are started."""

    config: SimulationConfig
    potential: Potential
    analyse: AnalyseRun
    ranks: int = 1


def seed_of(name: str, seed: int) -> int:
    """Return a seed that differs from run to run, and stays when others are added."""
    return (zlib.crc32(name.encode()) + seed) % (_MAX_SEED - 1) + 1


def write_plan(out: Path, config: SimulationConfig, runs: list[SimulationRun]) -> None:
    """Write what each run needs to know."""
    plan = {"config": config.model_dump(mode="json"), "runs": [asdict(run) for run in runs]}
    write_json(out / "simulation.json", plan)


def read_plan(out: Path) -> tuple[dict[str, Any], list[SimulationRun]]:
    """Read what `write_plan` wrote: settings as plain values, and runs.

    Raises
    ------
    RunDirectoryError
        If there is no simulation in the folder, or its file is damaged.
    """
    plan = read_json(out / "simulation.json")
    runs = [SimulationRun(**{**run, "elements": tuple(run["elements"])}) for run in plan["runs"]]
    return plan["config"], runs


def simulated(out: Path, run: SimulationRun) -> dict[str, Any] | None:
    """Return the results of a run that has all its steps, whatever settings they were analysed with.

    None if it is not done, or was done with fewer steps.
    """
    folder = out / RUNS / run.name
    if read_status(folder).state != "done":
        return None
    found = dict(read_json(folder / RESULTS))
    return found if found["steps"] >= run.steps else None


def results(out: Path, run: SimulationRun) -> dict[str, Any] | None:
    """Return the results of a run; None if it is not done, or not with these steps and this analysis."""
    found = simulated(out, run)
    return found if found is not None and found.get(ANALYSIS) == as_json(run.analysis) else None


def do_run(out: Path, run: SimulationRun, start: Start, *, watch: OnRow | None = None) -> bool:
    """Do one run, or what is left of it; a failure is written down, not raised.

    A run that has all its steps is only analysed, if its results are of other settings. It keeps
    them where that fails.

    Parameters
    ----------
    out
        Folder of the simulation.
    run
        Which one.
    start
        How.
    watch
        Called with each line of thermo output.

    Returns
    -------
    bool
        Whether it is done; also False while another process is at work on it.

    Raises
    ------
    RunDirectoryError
        If its folder holds something else.
    """
    if results(out, run) is not None:
        return True
    folder = out / RUNS / run.name
    before = simulated(out, run)

    def work(directory: RunDirectory) -> None:
        if before is None:
            variables = lammps_variables(out, run, start)
            given = {name: variable_text(name, x, folder) for name, x in variables.items()}
            directory.update_manifest(settings=run.settings, variables=given)
            found = _do(out, folder, run, start, watch)
        else:
            found = _analysed_anew(folder, replace(run, steps=before["steps"]), start)
        write_json(folder / RESULTS, found)
        directory.update_manifest(finished=now())

    return do_recorded(
        folder,
        work,
        kind="simulate-run",
        config=identity(out, run, start),
        packages=("lammps", "torch"),
        is_done=before is not None,
    )


def identity(out: Path, run: SimulationRun, start: Start) -> dict[str, Any]:
    """Return what a run cannot change on the way; its structure is in `out`."""
    config = start.config
    return {
        "input": run.input,
        "structure_sha256": sha256(out / run.structure),
        "potential": start.potential.identity,
        "timestep_ps": config.timestep_ps,
        "thermo_interval": config.thermo_interval,
        "dump_interval": config.dump_interval,
        **run.variables,
        **({} if run.extendable else {"steps": run.steps}),
    }


def lammps_variables(out: Path, run: SimulationRun, start: Start) -> dict[str, VariableValue]:
    """Variables that the run's input is given."""
    config = start.config
    return {
        "steps": run.steps,
        "structure": out / run.structure,
        "elements": " ".join(run.elements),
        "style": start.potential.style,
        "potential": start.potential.files,
        "timestep_ps": config.timestep_ps,
        "thermo_interval": config.thermo_interval,
        "dump_interval": config.dump_interval,
        "restart_interval": config.restart_interval,
        "committee_interval": config.dump_interval if start.potential.is_committee else 0,
        **run.variables,
    }


def _do(
    out: Path, folder: Path, run: SimulationRun, start: Start, watch: OnRow | None
) -> dict[str, Any]:
    from moalloy_md.lammps.inputs import input_file
    from moalloy_md.lammps.run import run_lammps

    watcher = _watcher(folder, run, start)

    def on_row(row: Mapping[str, float]) -> None:
        watcher.look(before=int(row["Step"]))
        if watch is not None:
            watch(row)

    try:
        run_lammps(
            input_file(run.input),
            run_dir=folder,
            variables=lammps_variables(out, run, start),
            ranks=start.ranks,
            threads=start.config.threads,
            on_row=on_row,
        )
        watcher.look(before=run.steps + 1)
        watched = watcher.finish()
    except MoAlloyError:
        watcher.after_a_failure()
        raise
    return _results(folder, run, start, watched)


def _analysed_anew(folder: Path, run: SimulationRun, start: Start) -> dict[str, Any]:
    """Analyse the frames of a run that is done with other settings than before."""
    try:
        watcher = _watcher(folder, run, start)
        watcher.look(before=run.steps + 1)
        return _results(folder, run, start, watcher.finish())
    except MoAlloyError as error:
        raise DataError(
            f"its results are of other settings ({_changed_analysis(folder, run)}), and it could not be "
            f"analysed anew: {error}. Give the old settings back to see the old results"
        ) from error


def _changed_analysis(folder: Path, run: SimulationRun) -> str:
    """Name a setting of the analysis that differs from the one that the results were made with."""
    old = read_json(folder / RESULTS).get(ANALYSIS)
    if old is None:
        return "of a version that did not write them down"
    key, before, new = first_difference(old, as_json(run.analysis)) or ("", None, None)
    return f"{key} was {before!r} and is now {new!r}"


def _watcher(folder: Path, run: SimulationRun, start: Start) -> Watcher:
    return Watcher(
        folder,
        start.config.watch,
        interval=start.config.dump_interval,
        info={"group": run.name, **({"host": run.about["host"]} if "host" in run.about else {})},
    )


def _results(
    folder: Path, run: SimulationRun, start: Start, watched: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": run.name,
        "steps": run.steps,
        "n_atoms": run.n_atoms,
        "elements": list(run.elements),
        **run.about,
        ANALYSIS: run.analysis,
        "watch": watched,
        **start.analyse(folder, run, start.config),
    }
