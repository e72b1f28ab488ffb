"""``moalloy simulate sro``: whether dopants order or cluster at a temperature."""

from collections.abc import Iterator
from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

from rich.console import Console

from moalloy_md.structures.clustered import clustered_solution
from moalloy_md.structures.solid_solution import solid_solution
from moalloy_md.workflows.simulate.alloy_runs import alloy_identity, alloy_run
from moalloy_md.workflows.simulate.plan import Executor, Outcome
from moalloy_md.workflows.simulate.run import SimulationRun, seed_of
from moalloy_md.workflows.simulate.workflow import Topic, simulate_and_collect
from moalloy_md.workflows.sro.analysis import analyse_run
from moalloy_md.workflows.sro.config import SroConfig, StartName
from moalloy_md.workflows.sro.results import SroResults, collect, write_results

_BUILDERS = {"random": solid_solution, "clustered": clustered_solution}


def sro(
    config: SroConfig,
    *,
    out: Path,
    ranks: int = 1,
    executor: Executor = "here",
    only: str | None = None,
    resubmit: bool = False,
    console: Console | None = None,
) -> tuple[Outcome, SroResults | None]:
    """Sample arrangements of dopants by Monte Carlo swaps within molecular dynamics.

    Each composition at each temperature runs from two starts, random and clustered, which must end
    alike.

    Parameters
    ----------
    config
        Compositions, size, temperatures, steps, swaps, potential.
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
    SroResults or None
        What came out of those that are done, also written to ``sro.json``, CSV tables and plots in
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


def _write(results: SroResults, out: Path) -> None:
    from moalloy_md.report.sro_plots import write_plots

    write_results(results, out)
    write_plots(results, out)


def _identity(config: SroConfig) -> dict[str, Any]:
    return {
        **alloy_identity(config),
        "barostat": config.barostat,
        "rigid": config.rigid,
        "swap_every": config.swap_every,
        "swaps": config.swaps,
    }


def _plan(config: SroConfig, out: Path) -> list[SimulationRun]:
    """Write the starting structures of each composition, and list its runs."""
    return [
        run
        for name in config.compositions
        for start in config.starts
        for run in _runs_of(config, name, start, out)
    ]


def _runs_of(
    config: SroConfig, composition: str, start: StartName, out: Path
) -> Iterator[SimulationRun]:
    common = alloy_run(
        config,
        composition,
        label=f"{composition}-{start}",
        build=_BUILDERS[start],
        input="in.mcmd",
        steps=config.steps,
        out=out,
    )
    swapping = comb(len(common.elements), 2) * (config.swaps + 1) / config.swap_every
    for temperature in config.temperatures_k:
        name = f"{composition}/{temperature:g}K-{start}"
        yield replace(
            common,
            name=name,
            variables={
                **common.variables,
                "temperature_k": temperature,
                "barostat": config.barostat,
                "rigid": "yes" if config.rigid else "no",
                "swap_every": config.swap_every,
                "swaps": config.swaps,
                "seed": seed_of(name, config.seed),
            },
            about={**common.about, "temperature_k": temperature, "start": start},
            evaluations_per_step=1 + swapping,
            analysis={
                "shells": config.shells,
                "rdf_cutoff_angstrom": config.rdf_cutoff_angstrom,
                "picture": config.picture,
            },
        )


TOPIC = Topic(
    name="sro",
    config=SroConfig,
    identity=_identity,
    elements=lambda config: config.symbols,
    plan=_plan,
    analyse=analyse_run,
)
