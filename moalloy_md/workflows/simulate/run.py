"""One run of a simulation: LAMMPS in a folder of its own, watched, and what comes out of it.

Everything that it needs is in the folder of the simulation, so it can be started by itself, on
another machine of a cluster too, and again after a kill.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from moalloy_md.errors import MoAlloyError
from moalloy_md.lammps.run import OnRow, VariableValue
from moalloy_md.rundir import RunDirectory, now, read_json, sha256, write_json
from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.plan import do_recorded, read_status
from moalloy_md.workflows.simulate.potential import Potential
from moalloy_md.workflows.simulate.watch import Watcher

RUNS, RESULTS = "runs", "results.json"
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


def results(out: Path, run: SimulationRun) -> dict[str, Any] | None:
    """Return the results of a run; None if it is not done, or was done with fewer steps."""
    folder = out / RUNS / run.name
    if read_status(folder).state != "done":
        return None
    found = dict(read_json(folder / RESULTS))
    return found if found["steps"] >= run.steps else None


def do_run(out: Path, run: SimulationRun, start: Start, *, watch: OnRow | None = None) -> bool:
    """Do one run, or what is left of it; a failure is written down, not raised.

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

    def work(directory: RunDirectory) -> None:
        write_json(folder / RESULTS, _do(out, folder, run, start, watch))
        directory.update_manifest(finished=now())

    return do_recorded(
        folder,
        work,
        kind="simulate-run",
        config=_identity(out, run, start),
        packages=("lammps", "torch"),
    )


def _identity(out: Path, run: SimulationRun, start: Start) -> dict[str, Any]:
    """Return what a run cannot change on the way."""
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

    watcher = Watcher(
        folder,
        start.config.watch,
        interval=start.config.dump_interval,
        info={"group": run.name, **({"host": run.about["host"]} if "host" in run.about else {})},
    )

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
    except MoAlloyError:
        watcher.after_a_failure()
        raise
    watcher.look(before=run.steps + 1)
    watched = watcher.finish()
    return {
        "name": run.name,
        "steps": run.steps,
        "n_atoms": run.n_atoms,
        "elements": list(run.elements),
        **run.about,
        "watch": watched,
        **start.analyse(folder, run, start.config),
    }
