"""``moalloy simulate interaction``: whether dopants attract one another, and how far they feel it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.build import bulk
from rich.console import Console

from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.config import validate
from moalloy_md.errors import ConfigError
from moalloy_md.rundir import RunDirectory, now, open_run
from moalloy_md.workflows.bundle_calculator import (
    bundle_calculator,
    engine_of,
    model_sha256,
    seconds_per_evaluation,
)
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.interaction.plan import Plan, make_plan
from moalloy_md.workflows.interaction.results import InteractionResults, collect, write_results
from moalloy_md.workflows.interaction.validation import validate_interactions
from moalloy_md.workflows.job_queue import submit_whole
from moalloy_md.workflows.properties.crystal import crystal_at_minimum
from moalloy_md.workflows.relaxations import count_done, relax_all
from moalloy_md.workflows.simulate.plan import Executor

KIND = "simulate interaction"
CELLS = "cells"

#: Where the search for the lattice parameter starts, Å: bcc from 2.2 to 4.4, fcc from 3.0 to 5.8.
_START_ANGSTROM = {"bcc": 3.0, "fcc": 4.0}

#: Evaluations of a relaxation to 0.003 eV/Å, measured over all pairs of 20 dopants in Mo.
_EVALUATIONS = 9


def interaction(
    config: InteractionConfig,
    *,
    out: Path,
    processes: int = 1,
    console: Console | None = None,
) -> InteractionResults:
    """Compute binding energies of dopants; the same call goes on after a kill.

    Parameters
    ----------
    config
        What is computed.
    out
        Run directory: ``interaction.json``, CSV tables, plots, and ``cells`` with every relaxed
        cell. More dopants, shells, triplets or sizes in the same folder cost what is new.
    processes
        Cells relaxed at once.
    console
        Where progress is shown; standard error if None.

    Raises
    ------
    ConfigError
        If there is no bundle, or the cell is too small for a shell.
    ModelError
        If the bundle is none or lacks an element.
    RunDirectoryError
        If `out` holds something else, or the energies of another model, host or lattice parameter.
    DataError
        If the DFT cells of the validation cannot be read or hold no pairs.
    MoAlloyError
        If a cell cannot be computed, after all others were.
    """
    from moalloy_md.report.interaction_plots import write_plots

    console = console or Console(stderr=True)
    bundle, dopants = _prepare(config)
    run = _open(config, bundle, out)
    validation = (
        None
        if config.validation is None
        else validate_interactions(config.validation, console=console)
    )
    edge = _edge(config, bundle, run)
    plan = make_plan(config, dopants, edge_angstrom=edge)
    relaxed = {}
    if plan.tasks:
        relaxed = relax_all(
            plan.tasks,
            bundle=bundle.path,
            folder=out / CELLS,
            fmax_ev_per_angstrom=config.fmax_ev_per_angstrom,
            max_steps=config.max_steps,
            processes=processes,
            console=console,
            precision=config.precision,
        )
    about = _about(config, bundle, dopants, edge)
    results = collect(plan, relaxed, about=about, validation=validation)
    write_results(results, out)
    write_plots(results, out, heat_map_shells=config.heat_map_shells)
    run.update_manifest(settings=config.model_dump(mode="json"), finished=now())
    return results


def is_computed(config: InteractionConfig, *, out: Path) -> bool:
    """Whether every cell is relaxed already; errors as `interaction`."""
    if not (out / CELLS).is_dir():
        return False
    bundle, dopants = _prepare(config)
    edge = _edge(config, bundle, _open(config, bundle, out))
    plan = make_plan(config, dopants, edge_angstrom=edge)
    return _count_done(config, bundle, plan, out) == len(plan.tasks)


def submit_interaction(
    config: InteractionConfig,
    *,
    out: Path,
    executor: Executor,
    resubmit: bool = False,
    console: Console,
) -> bool:
    """Submit one job that computes everything; the folder has to be on a disk that it sees.

    Parameters
    ----------
    config
        What is computed; ``slurm.cpus`` cells at once.
    out
        Run directory.
    executor
        ``slurm``, or ``local`` for a process of this machine started by submitit.
    resubmit
        Also where SLURM says nothing of a job that was submitted before.
    console
        Where to say it.

    Returns
    -------
    bool
        As `moalloy_md.workflows.job_queue.submit_whole`.

    Raises
    ------
    MoAlloyError
        As `interaction`, as far as it is seen before; and if submitit or SLURM is missing.
    """
    _prepare(config)
    return submit_whole(
        _compute,
        config.with_whole_paths().model_dump(mode="json"),
        out=out,
        name="moalloy-interaction",
        executor=executor,
        slurm=config.slurm,
        is_done=lambda: is_computed(config, out=out),
        resubmit=resubmit,
        console=console,
    )


def _compute(out: Path, settings: dict[str, Any]) -> None:
    """Compute in a job what is missing."""
    config = validate(settings, InteractionConfig, source=str(out))
    interaction(config, out=out, processes=config.slurm.cpus)


def show_forecast(
    config: InteractionConfig, *, out: Path, processes: int, console: Console
) -> float:
    """Show what the relaxations would cost, from energies timed here; nothing is left behind.

    Returns
    -------
    float
        Hours that are left.

    Raises
    ------
    MoAlloyError
        As `interaction`.
    """
    bundle, dopants = _prepare(config)
    run = _open(config, bundle, out) if (out / CELLS).is_dir() else None
    plan = make_plan(config, dopants, edge_angstrom=_edge(config, bundle, run))
    if not plan.tasks:
        _show_nothing_to_relax(config, console)
        return 0.0
    n_done = _count_done(config, bundle, plan, out) if run else 0
    by_size: dict[int, list[Atoms]] = {}
    for task in plan.tasks:
        by_size.setdefault(round(task.atoms.get_volume()), []).append(task.atoms)
    seconds, calculator = 0.0, _calculator(config, bundle)
    for alike in by_size.values():
        each = _EVALUATIONS * seconds_per_evaluation(alike[-1], calculator)
        seconds += len(alike) * each
        console.print(
            f"{len(alike)} cells of {max(map(len, alike))} sites, {each:.2f} s each",
            highlight=False,
        )
    hours = seconds / 3600 * (1 - n_done / len(plan.tasks)) / processes
    console.print(
        f"{len(plan.tasks)} cells, {n_done} done: {60 * hours:.0f} min left with {processes} "
        f"process(es) that have a core each, at {_EVALUATIONS} evaluations a cell. "
        f"{len(plan.bindings) + len(plan.converging)} binding energies",
        highlight=False,
    )
    return hours


def _show_nothing_to_relax(config: InteractionConfig, console: Console) -> None:
    validation = config.validation
    instead = (
        "so nothing is computed"
        if validation is None
        else f"the validation alone is done, of {', '.join(validation.models)} with the cells of "
        f"{validation.data}"
    )
    console.print(
        "0 cells to relax, 0 min: pairs, vacancy_shells, triplets and convergence ask for none, "
        + instead,
        highlight=False, markup=False,
    )  # fmt: skip


def _prepare(config: InteractionConfig) -> tuple[Bundle, tuple[str, ...]]:
    """Open the bundle, choose the dopants, and refuse what can be refused before any work."""
    if config.bundle is None:
        raise ConfigError(
            "expected a bundle, found none: give --bundle DIR, or bundle in the --config file"
        )
    bundle = open_bundle(config.bundle)
    dopants = config.dopants
    if dopants is None:
        dopants = tuple(x for x in bundle.elements if x != config.host)
    if not dopants:
        raise ConfigError(
            f"dopants: expected at least one, found none: {bundle.path} knows {config.host} alone"
        )
    named = [x for triplet in config.triplets for x in triplet]
    if config.convergence is not None:
        named += [x for pair in config.convergence.pairs for x in pair]
    bundle.check((config.host, *dopants, *named))
    make_plan(config, dopants[:1], edge_angstrom=_START_ANGSTROM[config.lattice])
    return bundle, dopants


def _open(config: InteractionConfig, bundle: Bundle, out: Path) -> RunDirectory:
    engine = engine_of(bundle)
    identity = {
        "model_sha256": model_sha256(bundle, engine),
        "host": config.host,
        "lattice": config.lattice,
        "lattice_parameter_angstrom": config.lattice_parameter_angstrom,
        "precision": config.precision,
    }
    return open_run(out, kind=KIND, config=identity, packages=("ase", "numpy", "torch"))


def _edge(config: InteractionConfig, bundle: Bundle, run: RunDirectory | None) -> float:
    """Lattice parameter of the host, Å: as given, or where the model's energy is lowest."""
    if config.lattice_parameter_angstrom is not None:
        return config.lattice_parameter_angstrom
    known = None if run is None else run.result("lattice parameter")
    if known is not None:
        return float(known["angstrom"])
    cell = bulk(config.host, config.lattice, a=_START_ANGSTROM[config.lattice], cubic=True)
    best = crystal_at_minimum(cell, _calculator(config, bundle))
    edge = round(float(best.cell.lengths()[0]), 6)
    if run is not None:
        run.finish_step("lattice parameter", {"angstrom": edge})
    return edge


def _calculator(config: InteractionConfig, bundle: Bundle) -> Any:
    return bundle_calculator(
        bundle.path, engine=engine_of(bundle), precision=config.precision, threads=1
    )


def _count_done(config: InteractionConfig, bundle: Bundle, plan: Plan, out: Path) -> int:
    return count_done(
        plan.tasks,
        bundle=bundle.path,
        folder=out / CELLS,
        fmax_ev_per_angstrom=config.fmax_ev_per_angstrom,
        max_steps=config.max_steps,
        precision=config.precision,
    )


def _about(
    config: InteractionConfig, bundle: Bundle, dopants: Sequence[str], edge: float
) -> dict[str, Any]:
    engine = engine_of(bundle)
    return {
        "host": config.host,
        "lattice": config.lattice,
        "lattice_parameter_angstrom": edge,
        "repeat": config.cells,
        "dopants": list(dopants),
        "bundle": str(bundle.path),
        "engine": engine,
        "precision": config.precision if engine == "native" else bundle.manifest["dtype"],
        "fmax_ev_per_angstrom": config.fmax_ev_per_angstrom,
    }
