"""``moalloy simulate thermal``: what dopants do to a crystal when it gets hot."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from moalloy_md.structures.solid_solution import solid_solution
from moalloy_md.workflows.simulate.alloy_runs import alloy_identity, alloy_run
from moalloy_md.workflows.simulate.plan import Executor, Outcome
from moalloy_md.workflows.simulate.run import SimulationRun, seed_of
from moalloy_md.workflows.simulate.workflow import Topic, simulate_and_collect
from moalloy_md.workflows.thermal.analysis import analyse_run
from moalloy_md.workflows.thermal.config import Ramp, ThermalConfig
from moalloy_md.workflows.thermal.results import ThermalResults, collect, write_results


def thermal(
    config: ThermalConfig,
    *,
    out: Path,
    ranks: int = 1,
    executor: Executor = "here",
    only: str | None = None,
    resubmit: bool = False,
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
    ranks, executor, only, resubmit
        As `moalloy_md.workflows.simulate.workflow.simulate`.
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
    return simulate_and_collect(
        TOPIC,
        config,
        out=out,
        ranks=ranks,
        executor=executor,
        only=only,
        resubmit=resubmit,
        console=console,
        collect=lambda finished: collect(config, finished),
        write=_write,
    )


def _write(results: ThermalResults, out: Path) -> None:
    from moalloy_md.report.thermal_plots import write_plots

    write_results(results, out)
    write_plots(results, out)


def _plan(config: ThermalConfig, out: Path) -> list[SimulationRun]:
    """Write the structure of each composition, and list its runs."""
    return [
        run
        for name in config.compositions
        for run in _runs_of(
            config,
            alloy_run(
                config,
                name,
                label=name,
                build=solid_solution,
                input="in.npt",
                steps=config.steps,
                out=out,
            ),
        )
    ]


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
            analysis={
                "rdf_cutoff_angstrom": config.rdf_cutoff_angstrom,
                "crystal_rmsd_cutoff": config.crystal_rmsd_cutoff,
            },
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
        settings={
            **common.settings,
            "ramp.start_k": ramp.start_k,
            "ramp.end_k": ramp.end_k,
            "ramp.steps": ramp.steps,
        },
        analysis={
            "ramp.n_windows": ramp.n_windows,
            "crystal_rmsd_cutoff": config.crystal_rmsd_cutoff,
        },
    )


TOPIC = Topic(
    name="thermal",
    config=ThermalConfig,
    identity=alloy_identity,
    elements=lambda config: config.symbols,
    plan=_plan,
    analyse=analyse_run,
)
