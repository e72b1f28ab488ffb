"""Segregation as the command line shows it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from moalloy_md.analysis.segregation import LARGEST_SHAPE
from moalloy_md.config import validate
from moalloy_md.report.numbers import with_error_in_brackets
from moalloy_md.rundir import MANIFEST, read_json
from moalloy_md.units import MEV_PER_EV
from moalloy_md.workflows.job_queue import submit_whole
from moalloy_md.workflows.segregation.config import SegregationConfig
from moalloy_md.workflows.segregation.results import RESULTS
from moalloy_md.workflows.segregation.workflow import Work, segregation, show_forecast
from moalloy_md.workflows.simulate.plan import Executor, Outcome
from moalloy_md.workflows.simulate.workflow import show_outcome

#: With more dopants, their columns take the room of others.
_FEW_DOPANTS = 5
#: Sites that are printed; all are in sites.csv.
_MOST_SITES = 16


def segregation_shown(
    config: SegregationConfig,
    *,
    out: Path,
    ranks: int,
    slurm: bool,
    resubmit: bool,
    dry_run: bool,
    as_json: bool,
) -> Outcome | None:
    """Compute, submit or forecast, and print what came out; errors as `segregation`."""
    console = Console(stderr=True)
    if dry_run:
        show_forecast(config, out=out, ranks=ranks, console=console)
        return None
    if slurm and not submit_segregation(
        config, out=out, executor="slurm", resubmit=resubmit, console=console
    ):
        return None
    results, outcome = segregation(config, out=out, ranks=ranks, console=console)
    if as_json:
        print(json.dumps(results, indent=2))  # noqa: T201  asked for
    else:
        show_results(results, Console())
        console.print(f"results: {out}", highlight=False, markup=False, soft_wrap=True)
    if outcome is not None:
        show_outcome(outcome, console)
    return outcome


def _is_done(config: SegregationConfig, out: Path) -> bool:
    """Whether the folder has the results of just these settings."""
    if not ((out / RESULTS).exists() and (out / MANIFEST).exists()):
        return False
    done = read_json(out / MANIFEST).get("settings")
    return done in (
        settings.model_dump(mode="json") for settings in (config, config.with_whole_paths())
    )


def submit_segregation(
    config: SegregationConfig,
    *,
    out: Path,
    executor: Executor,
    resubmit: bool = False,
    console: Console,
) -> bool:
    """Submit one job that does everything on ``slurm.cpus`` cores; errors as far as they are seen before.

    Parameters
    ----------
    config
        What is computed.
    out
        Run directory, on a disk that the job sees.
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
    """
    Work(config, out.absolute(), config.slurm.cpus, console).check()
    return submit_whole(
        _compute,
        config.with_whole_paths().model_dump(mode="json"),
        out=out,
        name="moalloy-segregation",
        executor=executor,
        slurm=config.slurm,
        is_done=lambda: _is_done(config, out),
        resubmit=resubmit,
        console=console,
    )


def _compute(out: Path, settings: dict[str, Any]) -> None:
    """Compute in a job what is missing."""
    config = validate(settings, SegregationConfig, source=str(out))
    segregation(config, out=out, ranks=config.slurm.cpus)


def show_results(results: Mapping[str, Any], console: Console) -> None:
    """Print energies by site, the isotherm, spectra, Monte Carlo, cautions."""
    host = results["host"]
    gamma = host["boundary_energy_j_per_m2"]
    console.print(
        f"{host['name']}, {host['n_atoms']} atoms, a = {host['lattice_parameter_angstrom']:.4f} Å"
        + (f", {gamma:.3f} J/m²" if gamma is not None else "")
        + ". Segregation energies in meV, negative segregates.",
        highlight=False,
    )
    if host["is_sampled"]:
        _show_spectra(results, console)
    else:
        _show_sites(results, console)
    _show_isotherm(results, console)
    for run in results["mcmd"]:
        _show_run(run, console)
    for caution in results["cautions"]:
        console.print(f"[bold red]caution:[/] {escape(caution)}", highlight=False)


def _show_sites(results: Mapping[str, Any], console: Console) -> None:
    dopants = results["dopants"]
    energies = {
        (one["dopant"], one["site"]): _mev(one["relaxed_ev"]) for one in results["energies"]
    }
    is_wide = len(dopants) <= _FEW_DOPANTS
    table = _table("site", "Å", *(("alike", "neighbours") if is_wide else ()), "Å³", *dopants)
    for site in results["sites"][:_MOST_SITES]:
        volume = site["volume_angstrom3"]
        table.add_row(
            site["label"],
            f"{site['distance_angstrom']:.2f}",
            *((str(site["n_alike"]), str(site["coordination"])) if is_wide else ()),
            "–" if volume is None else f"{volume:.2f}",
            *(energies[dopant, site["label"]] for dopant in dopants),
        )
    table.add_section()
    middle = results["middle_minus_bulk_ev"]
    empty = [""] * (4 if is_wide else 2)
    table.add_row("middle", *empty, *(_mev(middle[dopant]) for dopant in dopants))
    console.print(table)
    console.print(
        "(middle: the reference in the middle of the host less a dopant in a crystal of its own)",
        highlight=False,
    )
    if len(results["sites"]) > _MOST_SITES:
        console.print(f"({len(results['sites'])} sites in all: sites.csv)", highlight=False)
    if len(results["sizes"]) > 1:
        _show_sizes(results, console)


def _show_sizes(results: Mapping[str, Any], console: Console) -> None:
    """Print, of the sites computed in every size, the lowest energy of each dopant by size."""
    table = _table("lowest, by size", *results["sizes"])
    for dopant in results["dopants"]:
        found: dict[str, dict[str, float]] = {}
        for one in results["by_size"]:
            if one["dopant"] == dopant:
                found.setdefault(one["site"], {})[one["size"]] = one["relaxed_ev"]
        whole = {k: v for k, v in found.items() if len(v) == len(results["sizes"])}
        last = results["sizes"][-1]
        best = min(whole, key=lambda site: whole[site][last])
        table.add_row(
            f"{dopant}, site {best}", *(_mev(whole[best][size]) for size in results["sizes"])
        )
    console.print(table)


def _show_spectra(results: Mapping[str, Any], console: Console) -> None:
    table = _table("dopant", "sites", "mean", "SD", "μ", "σ", "α", "KS", "far")
    for dopant in results["dopants"]:
        fit = results["spectra"].get(dopant)
        if fit is None:
            continue
        table.add_row(
            dopant,
            str(fit["n_energies"]),
            _pair(1e3 * fit["mean_ev"], 1e3 * fit["mean_error_ev"]),
            f"{1e3 * fit['standard_deviation_ev']:.0f}",
            _pair(1e3 * fit["location_ev"], 1e3 * fit["location_error_ev"]),
            _pair(1e3 * fit["scale_ev"], 1e3 * fit["scale_error_ev"]),
            "half" if _is_half(fit) else _pair(fit["shape"], fit["shape_error"]),
            f"{fit['ks_distance']:.2f}",
            _mev(results["far_ev"][dopant]["largest_ev"]),
        )
    console.print(table)
    if any(_is_half(fit) for fit in results["spectra"].values()):
        console.print(
            "(half: the fit is half a normal distribution; take more sites to know the shape)",
            highlight=False,
        )
    if len(results["sizes"]) > 1:
        _show_sizes(results, console)


def _is_half(fit: Mapping[str, Any]) -> bool:
    """Whether the shape went to its limit: half a normal distribution."""
    return bool(abs(fit["shape"]) > 0.99 * LARGEST_SHAPE)


def _show_isotherm(results: Mapping[str, Any], console: Console) -> None:
    rows = results["isotherm"]
    content = max((row["bulk_fraction"] for row in rows), default=None)
    if content is None:
        return
    chosen = {
        (row["dopant"], row["temperature_k"]): row
        for row in rows
        if row["bulk_fraction"] == content
    }
    temperatures = list(dict.fromkeys(t for _, t in chosen))
    console.print(
        f"Content of the boundary's sites beside {content:g} in the bulk, by temperature (K):",
        highlight=False,
    )
    table = _table("dopant", *(f"{t:g}" for t in temperatures))
    for dopant in results["dopants"]:
        table.add_row(
            dopant, *(f"{chosen[dopant, t]['boundary_fraction']:.4f}" for t in temperatures)
        )
    console.print(table)


def _show_run(run: Mapping[str, Any], console: Console) -> None:
    console.print(
        f"Monte Carlo, {run['dopant']} at {run['temperature_k']:g} K, {run['n_dopants']} in "
        f"{run['n_atoms']} sites; {run['swaps_accepted']:.0f} of {run['swaps_tried']:.0f} swaps "
        f"accepted, {100 * run['moved_fraction']:.1f} % of the atoms left their sites:",
        highlight=False,
    )
    table = _table("place", "sites", "Monte Carlo", "isotherm")
    places = {f"site {label}": one for label, one in run["sites"].items()}
    for place, one in {"boundary": run["boundary"], **places, "bulk": run["bulk"]}.items():
        table.add_row(
            place, str(one["n_sites"]), _bracket(one["value"], one["error"]),
            f"{one['isotherm']:.4f}",
        )  # fmt: skip
    if "excess_per_nm2" in run:
        excess = run["excess_per_nm2"]
        table.add_section()
        table.add_row(
            "excess (1/nm²)", "", _bracket(excess["value"], excess["error"]),
            f"{excess['isotherm']:.3f}",
        )  # fmt: skip
    console.print(table)


def _table(*titles: str) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for k, title in enumerate(titles):
        table.add_column(title, justify="left" if k == 0 else "right")
    return table


def _mev(energy_ev: float) -> str:
    return f"{MEV_PER_EV * energy_ev:+.0f}"


def _pair(value: float, error: float) -> str:
    return f"{value:.0f}±{error:.0f}"


def _bracket(value: float, error: float | None) -> str:
    """Write a number with its error; one that has none is marked."""
    return f"{value:.4f}(?)" if error is None else with_error_in_brackets(value, error)
