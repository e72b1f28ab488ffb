"""The page that ``moalloy dataset describe --html`` writes: one file that needs nothing else."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from moalloy_md.datasets.describe import FORCE_EDGES, UNKNOWN, Description
from moalloy_md.report.page import Picture, write_page
from moalloy_md.report.plots import ACCENT, LINE, QUIET, new_figure, png
from moalloy_md.units import MEV_PER_EV

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = "#f3ddd3"
_STATE_COLOURS = {"relaxed": LINE, "ideal": QUIET, "noneq": ACCENT}


def write_dataset_page(out: Path, description: Description, *, title: str) -> None:
    """Write the page of a dataset.

    Parameters
    ----------
    out
        The HTML file; an older one is replaced.
    description
        What `moalloy_md.datasets.describe.describe` found.
    title
        Name of the dataset.
    """
    write_page(
        out,
        "dataset.html.j2",
        title=title,
        d=description,
        mean_force_mev=MEV_PER_EV * description.mean_abs_force_component,
        rms_force_mev=MEV_PER_EV * description.rms_force_component,
        largest_force_frame=int(np.argmax(description.largest_forces)),
        cells_by_shell=description.shells("cells"),
        contacts_by_shell=description.shells("contacts"),
        pictures=_pictures(description),
    )


def _pictures(description: Description) -> list[Picture]:
    pictures = [
        Picture(
            _energy_plot(description),
            "Energy per atom, less the part that is linear in the composition. Cells far to the "
            "right are strongly displaced or strained, of another structure, or wrong.",
        ),
        Picture(
            _force_plot(description),
            "Forces on the atoms. What lies beyond an end of the scale is counted in the last "
            "class there.",
        ),
    ]
    if len(description.dopants) > 2:
        captions: dict[Literal["cells", "contacts"], str] = {
            "cells": "Cells with exactly two dopant atoms",
            "contacts": "Contacts in cells with more than two dopant atoms",
        }
        for counter, what in captions.items():
            shells = [s for s in description.shells(counter) if s != UNKNOWN]
            if shells:
                caption = f"{what}, by neighbour shell of the two. Reddish squares are gaps."
                pictures.append(Picture(_pair_plot(description, counter, shells), caption))
    return pictures


def _energy_plot(description: Description) -> bytes:
    figure, (axes,) = new_figure(rows=1, height=2.7)
    energies, states = description.energies_mev_per_atom, np.array(description.frame_states)
    present = [state for state in _STATE_COLOURS if state in description.states]
    axes.hist(
        [energies[states == state] for state in present],
        bins=min(60, max(10, len(energies) // 3)),
        color=[_STATE_COLOURS[state] for state in present],
        label=present,
        stacked=True,
    )
    axes.set_xlabel("energy less composition-linear part (meV/atom)")
    axes.set_ylabel("frames")
    _legend(axes, present)
    return png(figure)


def _force_plot(description: Description) -> bytes:
    figure, (axes,) = new_figure(rows=1, height=2.7)
    below = np.zeros(len(FORCE_EDGES) - 1)
    for state, counts in description.force_counts.items():
        axes.bar(
            FORCE_EDGES[:-1], counts, width=np.diff(FORCE_EDGES), bottom=below, align="edge",
            color=_STATE_COLOURS[state], label=state,
        )  # fmt: skip
        below += counts
    axes.set_xscale("log")
    occupied = np.flatnonzero(below)
    axes.set_xlim(FORCE_EDGES[occupied[0]], FORCE_EDGES[occupied[-1] + 1])
    axes.set_xlabel("|F| (eV/Å)")
    axes.set_ylabel("atoms")
    _legend(axes, list(description.force_counts))
    return png(figure)


def _legend(axes: "Axes", names: Sequence[str]) -> None:
    if len(names) > 1:
        axes.legend(frameon=False)


def _pair_plot(description: Description, counter: str, shells: Sequence[str]) -> bytes:
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from moalloy_md.report.plots import DPI

    names = list(description.dopants)
    matrices = [_pair_matrix(description, counter, shell, names) for shell in shells]
    most = max(1.0, *(float(np.nanmax(matrix)) for matrix in matrices))
    columns = min(3 if len(names) <= 10 else 2, len(shells))
    rows = -(-len(shells) // columns)
    figure = Figure(figsize=(7.2, rows * (7.6 / columns + 0.2)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    colours = colormaps["Blues"].with_extremes(under=_GAP)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, matrix, shell in zip(panels, matrices, shells, strict=False):
        image = axes.imshow(matrix, cmap=colours, vmin=0.5, vmax=most)
        axes.set_title(f"shell {shell}" if shell.isdigit() else shell, fontsize=9)
        axes.set_xticks(range(len(names)), names, fontsize=7, rotation=90)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.spines[:].set_visible(False)
        if len(names) <= 10:
            _write_counts(axes, matrix, most)
    for axes in panels[len(shells) :]:
        axes.set_visible(False)
    if len(names) > 10 and most > 1:  # where no counts are written
        ticks = [tick for tick in MaxNLocator(5, integer=True).tick_values(1, most) if tick >= 1]
        figure.colorbar(image, ax=list(panels), shrink=0.6, label=counter, ticks=ticks)
    return png(figure)


def _pair_matrix(
    description: Description, counter: str, shell: str, names: Sequence[str]
) -> NDArray[np.float64]:
    """Return counts below and on the diagonal; above it nothing, for a pair has no order."""
    matrix = np.full((len(names), len(names)), np.nan)
    matrix[np.tril_indices(len(names))] = 0
    for (x, y), counts in description.pairs.items():
        i, j = sorted((names.index(x), names.index(y)))
        matrix[j, i] = getattr(counts, counter)[shell]
    return matrix


def _write_counts(axes: "Axes", matrix: NDArray[np.float64], most: float) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        if count > 0:
            colour = "white" if count > 0.6 * most else "#1d2733"
            axes.text(
                column, row, f"{count:.0f}", ha="center", va="center", fontsize=7, color=colour
            )
