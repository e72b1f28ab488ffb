"""``moalloy simulate sro``: whether dopants order or cluster at a temperature."""

from collections import Counter
from collections.abc import Iterator
from math import comb
from pathlib import Path
from typing import Any

from rich.console import Console

from moalloy_md.lammps.single_point import write_structure
from moalloy_md.rundir import RunDirectory, now, replacing
from moalloy_md.structures.clustered import clustered_solution
from moalloy_md.structures.solid_solution import solid_solution
from moalloy_md.workflows.run_plan import Executor, Outcome
from moalloy_md.workflows.simulate import Topic, simulate
from moalloy_md.workflows.simulate_run import SimulationRun, read_plan, results, seed_of
from moalloy_md.workflows.sro_analysis import analyse_run
from moalloy_md.workflows.sro_config import SroConfig, StartName
from moalloy_md.workflows.sro_results import SroResults, collect, write_results

_BUILDERS = {"random": solid_solution, "clustered": clustered_solution}


def sro(
    config: SroConfig,
    *,
    out: Path,
    ranks: int = 1,
    executor: Executor = "here",
    only: str | None = None,
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
    ranks, executor, only
        As `moalloy_md.workflows.simulate.simulate`.
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
    from moalloy_md.report.sro_plots import write_plots

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
    if not found.failed and not found.waiting:
        RunDirectory(out).update_manifest(finished=now())
    return found, summary


def _identity(config: SroConfig) -> dict[str, Any]:
    return {
        "host": config.host,
        "lattice": config.lattice,
        "repeat": list(config.cells),
        "lattice_parameter_angstrom": config.edge_angstrom,
        "pressure_bar": config.pressure_bar,
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
    dopants = config.compositions[composition]
    structure = f"structures/{composition}-{start}.data"
    atoms = _BUILDERS[start](
        dopants=dict(dopants),
        repeat=config.cells,
        lattice_parameter_angstrom=config.edge_angstrom,
        host=config.host,
        lattice=config.lattice,
        seed=seed_of(f"{composition}-{start}", config.seed),
    )
    elements = (config.host, *dopants)
    with replacing(out / structure) as temporary:
        write_structure(atoms, temporary, elements=list(elements))
    counts = Counter(str(symbol) for symbol in atoms.symbols)
    for temperature in config.temperatures_k:
        name = f"{composition}/{temperature:g}K-{start}"
        yield SimulationRun(
            name=name,
            input="in.mcmd",
            steps=config.steps,
            structure=structure,
            elements=elements,
            n_atoms=len(atoms),
            variables={
                "temperature_k": temperature,
                "pressure_bar": config.pressure_bar,
                "barostat": config.barostat,
                "rigid": "yes" if config.rigid else "no",
                "swap_every": config.swap_every,
                "swaps": config.swaps,
                "seed": seed_of(name, config.seed),
            },
            about={
                "host": config.host,
                "composition": composition,
                "counts": dict(counts),
                "temperature_k": temperature,
                "start": start,
            },
            evaluations_per_step=1
            + comb(len(elements), 2) * (config.swaps + 1) / config.swap_every,
        )


TOPIC = Topic(
    name="sro",
    config=SroConfig,
    identity=_identity,
    elements=lambda config: config.symbols,
    plan=_plan,
    analyse=analyse_run,
)
