"""``moalloy simulate thermal``: what dopants do to a crystal when it gets hot."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from moalloy_md.lammps.single_point import write_structure
from moalloy_md.rundir import RunDirectory, now, replacing
from moalloy_md.structures.solid_solution import solid_solution
from moalloy_md.workflows.run_plan import Executor, Outcome
from moalloy_md.workflows.simulate import Topic, simulate
from moalloy_md.workflows.simulate_run import SimulationRun, read_plan, results, seed_of
from moalloy_md.workflows.thermal_analysis import analyse_run
from moalloy_md.workflows.thermal_config import Ramp, ThermalConfig
from moalloy_md.workflows.thermal_results import ThermalResults, collect, write_results


def thermal(
    config: ThermalConfig,
    *,
    out: Path,
    ranks: int = 1,
    executor: Executor = "here",
    only: str | None = None,
    console: Console | None = None,
) -> tuple[Outcome, ThermalResults | None]:
    """Simulate compositions side by side at temperatures and along a heating ramp.

    Parameters
    ----------
    config
        Compositions, size, temperatures, steps, potential.
    out
        Folder of the simulation. The same call goes on after a kill, adds compositions and
        temperatures that the settings have got since, and extends runs to more steps.
    ranks, executor, only
        As `moalloy_md.workflows.simulate.simulate`.
    console
        Where progress is shown; standard error if None.

    Returns
    -------
    Outcome
        How the runs stand.
    ThermalResults or None
        What came out of those that are done, also written to ``thermal.json``, CSV tables and plots in
        `out`; None while there is none.

    Raises
    ------
    MoAlloyError
        As `simulate`.
    """
    from moalloy_md.report.thermal_plots import write_plots

    console = console or Console(stderr=True)
    out = Path(out).absolute()
    found = simulate(
        TOPIC, config, out=out, ranks=ranks, executor=executor, only=only, console=console
    )
    _, runs = read_plan(out)
    finished = [entry for run in runs if (entry := results(out, run)) is not None]
    if not finished:
        return found, None
    summary = collect(config, finished)
    write_results(summary, out)
    write_plots(summary, out)
    _stamp(out, found)
    return found, summary


def _stamp(out: Path, found: Outcome) -> None:
    if not found.failed and not found.waiting:
        RunDirectory(out).update_manifest(finished=now())


def _identity(config: ThermalConfig) -> dict[str, Any]:
    return {
        "host": config.host,
        "lattice": config.lattice,
        "repeat": list(config.cells),
        "lattice_parameter_angstrom": config.edge_angstrom,
        "pressure_bar": config.pressure_bar,
    }


def _plan(config: ThermalConfig, out: Path) -> list[SimulationRun]:
    """Write the structure of each composition, and list its runs."""
    runs: list[SimulationRun] = []
    for name, dopants in config.compositions.items():
        atoms = solid_solution(
            dopants=dict(dopants),
            repeat=config.cells,
            lattice_parameter_angstrom=config.edge_angstrom,
            host=config.host,
            lattice=config.lattice,
            seed=seed_of(name, config.seed),
        )
        elements = (config.host, *dopants)
        structure = f"structures/{name}.data"
        with replacing(out / structure) as temporary:
            write_structure(atoms, temporary, elements=list(elements))
        counts = Counter(str(symbol) for symbol in atoms.symbols)
        common = SimulationRun(
            name=name,
            input="in.npt",
            steps=config.steps,
            structure=structure,
            elements=elements,
            n_atoms=len(atoms),
            variables={"pressure_bar": config.pressure_bar},
            about={"host": config.host, "composition": name, "counts": dict(counts)},
        )
        runs += _runs_of(config, common)
    return runs


def _runs_of(config: ThermalConfig, common: SimulationRun) -> Iterator[SimulationRun]:
    for temperature in config.temperatures_k:
        name = f"{common.name}/npt-{temperature:g}K"
        yield replace(
            common,
            name=name,
            variables={
                **common.variables,
                "temperature_k": temperature,
                "seed": seed_of(name, config.seed),
            },
            about={**common.about, "kind": "npt", "temperature_k": temperature},
        )
    if config.ramp is not None:
        yield _ramp(config, config.ramp, common)


def _ramp(config: ThermalConfig, ramp: Ramp, common: SimulationRun) -> SimulationRun:
    name = f"{common.name}/ramp"
    ends = {"temperature_k": ramp.start_k, "end_temperature_k": ramp.end_k}
    return replace(
        common,
        name=name,
        input="in.ramp",
        steps=ramp.steps,
        variables={**common.variables, **ends, "seed": seed_of(name, config.seed)},
        extendable=False,
        about={**common.about, "kind": "ramp", **ends},
    )


TOPIC = Topic(
    name="thermal",
    config=ThermalConfig,
    identity=_identity,
    elements=lambda config: config.symbols,
    plan=_plan,
    analyse=analyse_run,
)
