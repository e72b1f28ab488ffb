"""Pictures of the interactions of dopants: all pairs at once, against distance, against DFT."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moalloy_md.analysis.interactions import pair_matrix
from moalloy_md.report.plots import QUIET, empty_figure, new_figure, png, write_pictures
from moalloy_md.report.study_plots import COLOURS
from moalloy_md.units import MEV_PER_EV
from moalloy_md.workflows.interaction.results import Interaction, InteractionResults, SizeSeries
from moalloy_md.workflows.interaction.validation import ValidationResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX*"
#: Lines of a plot that can be told apart.
_LINES = 8
#: Up to so many elements a heat map's numbers can be read.
_WITH_NUMBERS = 12


def write_plots(
    results: InteractionResults, out: Path, *, heat_map_shells: Sequence[int]
) -> list[Path]:
    """Draw all pictures for which there are results, as PNG files in `out`."""
    pictures = {
        "distance.png": distance_plot(results),
        "convergence.png": convergence_plot(results.convergence),
        "validation.png": None if results.validation is None else parity_plot(results.validation),
    }
    for old in out.glob("heat_map_shell_*.png"):
        pictures[old.name] = None
    for shell in heat_map_shells:
        pictures[f"heat_map_shell_{shell}.png"] = heat_map(results, shell)
    return write_pictures(pictures, out)


def heat_map(results: InteractionResults, shell: int) -> bytes | None:
    """Draw the relaxed binding energies of all pairs in a shell: blue attracts, red repels.

    Elements stand by their column of the periodic table: neighbours are alike.
    """
    found = [one for one in results.of("pair") if one.shell == shell]
    elements = by_column({x for one in found for x in one.members})
    if len(elements) < 2:
        return None
    energies = {(one.members[0], one.members[1]): MEV_PER_EV * one.relaxed_ev for one in found}
    matrix = pair_matrix(elements, energies)
    side = 2.2 + 0.36 * len(elements)
    figure = empty_figure(side + 0.8, side)
    axes = figure.subplots()
    # one strong pair is not to pale all others
    largest = float(np.nanpercentile(np.abs(matrix), 97)) or 1.0
    picture = axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.set_xticks(range(len(elements)), elements, fontsize=8)
    axes.set_yticks(range(len(elements)), elements, fontsize=8)
    axes.tick_params(length=0)
    size = 7 if len(elements) <= _WITH_NUMBERS else 5
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.65 * largest else "#222222"
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=size, color=colour
            )
    bar = figure.colorbar(picture, ax=axes, shrink=0.8, extend="both")
    bar.set_label("relaxed binding energy (meV)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    contacts = max(one.n_contacts for one in found)
    note = f", {contacts} contacts" if contacts > 1 else ""
    axes.set_title(
        f"pairs in {results.about['host']}, shell {shell} ({found[0].distance_angstrom:.2f} Å{note})",
        fontsize=9,
    )
    return png(figure)


def by_column(elements: set[str]) -> list[str]:
    """Order chemical symbols by their column of the periodic table, then by row."""
    from pymatgen.core.periodic_table import Element

    return sorted(elements, key=lambda x: (Element(x).group, Element(x).row))


def distance_plot(results: InteractionResults) -> bytes | None:
    """Draw binding energies against distance: equal pairs, unequal pairs, dopant and vacancy.

    Where there are more lines than can be told apart, the strongest attractions and repulsions are drawn.
    """
    pairs = results.of("pair")
    panels = {
        "equal dopants": [one for one in pairs if one.members[0] == one.members[1]],
        "unequal dopants": [one for one in pairs if one.members[0] != one.members[1]],
        "dopant and vacancy": results.of("vacancy"),
    }
    panels = {title: found for title, found in panels.items() if found}
    if not panels:
        return None
    figure, axes = new_figure(rows=len(panels), height=2.7 * len(panels) + 0.3)
    for panel, (title, found) in zip(axes, panels.items(), strict=True):
        _distance_panel(panel, title, found)
    axes[-1].set_xlabel("distance on the ideal lattice (Å); filled: relaxed, hollow: unrelaxed")
    return png(figure)


def _distance_panel(axes: "Axes", title: str, found: Sequence[Interaction]) -> None:
    names = list(dict.fromkeys(one.name for one in found))
    shown = _strongest(found, names)
    axes.axhline(0, color=QUIET, linewidth=1.0)
    for k, name in enumerate(n for n in names if n in shown):
        own = sorted((o for o in found if o.name == name), key=lambda o: o.distance_angstrom)
        x = [one.distance_angstrom for one in own]
        style: dict[str, Any] = {
            "color": COLOURS[k],
            "marker": _MARKERS[k],
            "markersize": 4.0,
            "linewidth": 1.0,
        }
        # larger, and below: one that is equal to the relaxed one is seen about it
        hollow = {"linewidth": 0.6, "linestyle": ":", "markerfacecolor": "white", "markersize": 6.5}
        axes.plot(x, [MEV_PER_EV * one.unrelaxed_ev for one in own], **{**style, **hollow})
        axes.plot(x, [MEV_PER_EV * one.relaxed_ev for one in own], label=name, **style)
    more = f", strongest attractions and repulsions of {len(names)}" if len(names) > _LINES else ""
    axes.set_title(title + more, fontsize=9, loc="left")
    axes.set_ylabel("binding energy (meV)")
    axes.legend(fontsize=7, frameon=False, ncols=2)


def _strongest(found: Sequence[Interaction], names: Sequence[str]) -> set[str]:
    """Choose the lines of a panel: half of those with the lowest energies, half with the highest."""
    lowest = {n: min(one.relaxed_ev for one in found if one.name == n) for n in names}
    highest = {n: max(one.relaxed_ev for one in found if one.name == n) for n in names}
    if len(names) <= _LINES:
        return set(names)
    attracting = sorted(names, key=lambda name: lowest[name])[: _LINES // 2]
    others = [name for name in names if name not in attracting]
    repelling = sorted(others, key=lambda name: -highest[name])[: _LINES - len(attracting)]
    return {*attracting, *repelling}


def convergence_plot(convergence: Sequence[SizeSeries]) -> bytes | None:
    """Draw relaxed binding energies against one over the cell's sites, with the extrapolation."""
    shown = sorted(
        (series for series in convergence if len(series.energies) > 1),
        key=lambda series: -abs(series.energies[-1].relaxed_ev),
    )[:_LINES]
    if not shown:
        return None
    figure, (axes,) = new_figure(rows=1, height=3.6)
    for k, series in enumerate(shown):
        x = np.array([1000 / one.n_sites for one in series.energies])
        y = [MEV_PER_EV * one.relaxed_ev for one in series.energies]
        style: dict[str, Any] = {"color": COLOURS[k], "marker": _MARKERS[k], "markersize": 4.5}
        name = f"{'-'.join(series.members)} shell {series.place}"
        axes.plot(x, y, linestyle="none", label=name, **style)
        if series.limit is not None:
            line = np.array([0.0, x.max()])
            values = series.limit.limit_ev + series.limit.slope_ev * line / 1000
            axes.plot(line, MEV_PER_EV * values, color=COLOURS[k], linewidth=0.9)
    axes.set_xlim(left=0)
    axes.set_xlabel("1000 / sites of the cell; at 0: extrapolated to an infinite cell")
    axes.set_ylabel("relaxed binding energy (meV)")
    figure.legend(fontsize=7, frameon=False, loc="outside right upper")
    return png(figure)


def parity_plot(validation: ValidationResults) -> bytes:
    """Draw binding energies of each model against DFT, by shell; hollow: seen in training."""
    models = validation.models
    columns = min(3, len(models))
    rows = -(-len(models) // columns)
    figure = empty_figure(3.1 * columns, 3.5 * rows + 0.5)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[len(models) :]:
        axes.set_axis_off()
    for axes, model in zip(grid, models, strict=False):
        _parity_panel(axes, validation, model)
    grid[0].set_ylabel("model (meV)", fontsize=8)
    if any(pair.seen[model] for pair in validation.pairs for model in models):
        grid[0].scatter([], [], s=18, facecolors="none", edgecolors="black", label="trained on")
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, fontsize=7, frameon=False, loc="outside lower center", ncols=len(labels)
    )
    return png(figure)


def _parity_panel(axes: "Axes", validation: ValidationResults, model: str) -> None:
    values = [p.reference_mev for p in validation.pairs]
    values += [value for p in validation.pairs for value in p.predicted_mev.values()]
    margin = 0.07 * (max(values) - min(values)) or 1.0
    limits = (min(values) - margin, max(values) + margin)
    axes.plot(limits, limits, color=QUIET, linewidth=0.9)
    axes.axhline(0, color=QUIET, linewidth=0.6, linestyle=":")
    axes.axvline(0, color=QUIET, linewidth=0.6, linestyle=":")
    shells = sorted({pair.shell or 0 for pair in validation.pairs})
    for k, shell in enumerate(shells):
        own = [pair for pair in validation.pairs if (pair.shell or 0) == shell]
        contacts = max(pair.n_contacts or 1 for pair in own)
        label = f"shell {shell or '?'}" + (f", {contacts} contacts" if contacts > 1 else "")
        colour = COLOURS[k % len(COLOURS)]
        axes.scatter([], [], s=18, color=colour, label=label)
        axes.scatter(
            [pair.reference_mev for pair in own],
            [pair.predicted_mev[model] for pair in own],
            s=18, edgecolors=colour, linewidths=1.0,
            facecolors=["none" if pair.seen[model] else colour for pair in own],
        )  # fmt: skip
    errors = validation.errors(model)
    said = [f"MAE {errors.mae_mev:.0f} meV"]
    if errors.rank_correlation is not None:
        said.append(f"rank {errors.rank_correlation:.2f}")
    if (agreement := validation.sign_agreement(model)) is not None:
        said.append(f"sign {100 * agreement:.0f} %")
    axes.set_title(f"{model}\n{', '.join(said)}", fontsize=8)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("DFT (meV)", fontsize=8)
    axes.tick_params(labelsize=7)
