"""Interactions of dopants as the command line shows them."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.units import MEV_PER_EV
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.interaction.results import Interaction, InteractionResults, SizeSeries
from moalloy_md.workflows.interaction.validation import ValidationResults
from moalloy_md.workflows.interaction.workflow import (
    interaction,
    show_forecast,
    submit_interaction,
)

#: Lines of each half of the table of the strongest.
_STRONGEST = 10
#: k_B T at 290 K.
_NOTABLE_EV = 0.025


def interaction_shown(
    config: InteractionConfig,
    *,
    out: Path,
    processes: int,
    slurm: bool,
    resubmit: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compute, submit or forecast, and print what came out; errors as `interaction`."""
    console = Console(stderr=True)
    if dry_run:
        show_forecast(config, out=out, processes=processes, console=console)
        return
    if slurm and not submit_interaction(
        config, out=out, executor="slurm", resubmit=resubmit, console=console
    ):
        return
    results = interaction(config, out=out, processes=processes, console=console)
    if as_json:
        print(json.dumps(results.as_dict(), indent=2))  # noqa: T201  asked for
    else:
        show_results(results, Console())
        console.print(f"results: {out}", highlight=False, markup=False, soft_wrap=True)


def show_results(results: InteractionResults, console: Console) -> None:
    """Print the strongest attractions and repulsions, and all other tables."""
    about = results.about
    sites = {one.n_sites for one in results.interactions}
    console.print(
        f"{about['lattice']} {about['host']}, a = {about['lattice_parameter_angstrom']:.4f} Å"
        f"{''.join(f', cells of {n} sites' for n in sorted(sites))}. Binding energies in meV, "
        "negative attracts.",
        highlight=False,
    )
    _show_strongest(results.of("pair"), console)
    _show_vacancies(results.of("vacancy"), console)
    _show_triplets(results.of("triplet"), console)
    _show_convergence(results.convergence, console)
    if results.validation is not None:
        _show_validation(results.validation, console)
    _show_images(results.interactions, console)
    if results.left_sites:
        console.print(
            f"In {len(results.left_sites)} cells an atom left its site when relaxed, so that they are not "
            f"what they are called: {', '.join(results.left_sites[:_STRONGEST])}",
            style="yellow", highlight=False,
        )  # fmt: skip
    if results.unconverged:
        console.print(
            f"{len(results.unconverged)} cells did not relax, and their energies are marked "
            "(converged: false): give more max_steps",
            style="yellow", highlight=False,
        )  # fmt: skip


def _show_strongest(pairs: Sequence[Interaction], console: Console) -> None:
    if not pairs:
        return
    ordered = sorted(pairs, key=lambda one: one.relaxed_ev)
    table = _table("", "pair", "shell", "Å", "relaxed", "unrelaxed", first_left=2)
    attractive = [one for one in ordered if one.relaxed_ev < 0][:_STRONGEST]
    repulsive = [one for one in reversed(ordered) if one.relaxed_ev > 0][:_STRONGEST]
    for title, chosen in (("attract", attractive), ("repel", repulsive)):
        for k, one in enumerate(chosen):
            table.add_row(
                title if k == 0 else "", one.name, one.place, f"{one.distance_angstrom:.2f}",
                _mev(one.relaxed_ev), _mev(one.unrelaxed_ev),
            )  # fmt: skip
        table.add_section()
    console.print(table)
    attract = sum(one.relaxed_ev < -_NOTABLE_EV for one in pairs)
    repel = sum(one.relaxed_ev > _NOTABLE_EV for one in pairs)
    console.print(
        f"Of {len(pairs)} pairs and shells {attract} attract and {repel} repel by more than "
        f"{_mev(_NOTABLE_EV).lstrip('+')} meV, k_B T at room temperature.",
        highlight=False,
    )


def _show_vacancies(found: Sequence[Interaction], console: Console) -> None:
    if not found:
        return
    places = list(dict.fromkeys(one.place for one in found))
    energies = {(one.members[0], one.place): one.relaxed_ev for one in found}
    console.print("\nDopant and vacancy, relaxed, by shell:", highlight=False)
    table = _table("", *places)
    for x in dict.fromkeys(one.members[0] for one in found):
        table.add_row(x, *(_mev(energies[x, place]) for place in places))
    console.print(table)


def _show_triplets(found: Sequence[Interaction], console: Console) -> None:
    if not found:
        return
    console.print("\nThree dopants in a triangle, relaxed:", highlight=False)
    table = _table("sides", "binding", "sum of pairs", "three-body part")
    for one in found:
        three_body = one.many_body_relaxed_ev or 0.0
        table.add_row(
            one.sides, _mev(one.relaxed_ev), _mev(one.relaxed_ev - three_body), _mev(three_body)
        )
    console.print(table)


def _show_convergence(found: Sequence[SizeSeries], console: Console) -> None:
    if not found:
        return
    sizes = sorted({one.n_sites for series in found for one in series.energies})
    console.print("\nSize of the cell (sites), relaxed:", highlight=False)
    table = _table("pair", "shell", *map(str, sizes), "∞", first_left=1)
    for series in found:
        energies = {one.n_sites: _mev(one.relaxed_ev) for one in series.energies}
        limit = "–" if series.limit is None else _mev(series.limit.limit_ev)
        table.add_row(
            "-".join(series.members), series.place, *(energies.get(n, "–") for n in sizes), limit
        )
    console.print(table)


def _show_validation(found: ValidationResults, console: Console) -> None:
    contacts = {pair.n_contacts for pair in found.pairs if pair.n_contacts is not None}
    sizes = sorted({pair.n_sites for pair in found.pairs})
    console.print(
        f"\nDFT ({found.source}): {len(found.pairs)} pairs in cells of "
        f"{', '.join(map(str, sizes))} sites, with up to {max(contacts, default=1)} contacts each. "
        "Errors in meV per cell; signs of the "
        f"{len(found.certain)} whose size is above {found.uncertainty_mev:g} meV.",
        highlight=False,
    )
    table = _table("model", "pairs", "MAE", "of mean |E_b|", "rank", "sign right", "unseen", "MAE")
    for model in found.models:
        every, unseen = found.errors(model), found.errors(model, unseen=True)
        table.add_row(
            model, str(every.n), _number(every.mae_mev), _number(every.mean_abs_mev),
            _number(every.rank_correlation, 2), _percent(found.sign_agreement(model)),
            str(unseen.n) if unseen.n else "–", _number(unseen.mae_mev),
        )  # fmt: skip
    console.print(table)
    if found.n_left_out:
        console.print(
            f"{found.n_left_out} cells with elements that a model lacks were left out.",
            style="yellow", highlight=False,
        )  # fmt: skip


def _show_images(found: Sequence[Interaction], console: Console) -> None:
    several = {one.place: one.n_contacts for one in found if one.n_contacts > 1}
    if several:
        shells = ", ".join(f"{place} ({n} contacts)" for place, n in several.items())
        console.print(
            f"So small a cell brings images of the second dopant as near as itself in shells "
            f"{shells}: the energy is of all contacts. A larger repeat separates them.",
            highlight=False,
        )


def _table(*titles: str, first_left: int = 0) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for k, title in enumerate(titles):
        table.add_column(title, justify="left" if k <= first_left - 1 or k == 0 else "right")
    return table


def _mev(energy_ev: float) -> str:
    return f"{MEV_PER_EV * energy_ev:+.0f}"


def _number(value: float | None, decimals: int = 0) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
