"""Plots of analysed trajectories, for publication: as PNG and as PDF."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moalloy_md.analysis.topics.base import Column, Curve, Table
from moalloy_md.report.plots import ACCENT, DPI, LINE, QUIET, new_figure
from moalloy_md.rundir import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (LINE, ACCENT, "#5a8f3c", "#7b5a9e", "#c79a1b", "#3aa3a0", "#8a8f98", "#b0446c")
_MARKERS = "osD^vP*X"


def series_figure(
    times: Sequence[float],
    series: Mapping[str, Sequence[float]],
    columns: Mapping[str, Column],
    *,
    x_label: str,
) -> "Figure":
    """Draw series of frames, those of one panel together.

    Parameters
    ----------
    times
        ``(n_frames,)``.
    series
        Values by the names of the columns, ``(n_frames,)`` each.
    columns
        Labels and panels; those without a panel are left out.
    x_label
        What the times are.
    """
    panels = list(dict.fromkeys(column.panel for column in columns.values() if column.panel))
    figure, all_axes = new_figure(rows=len(panels), height=0.6 + 2.1 * len(panels))
    for axes, panel in zip(all_axes, panels, strict=True):
        names = [name for name, column in columns.items() if column.panel == panel]
        for k, name in enumerate(names):
            # one that is equal to another before it would hide it: as many vacancies as interstitials
            is_hiding = any(np.array_equal(series[name], series[other]) for other in names[:k])
            axes.plot(
                times,
                series[name],
                color=COLOURS[k % len(COLOURS)],
                linewidth=1.1,
                linestyle=(0, (4, 4)) if is_hiding else "solid",
                label=columns[name].label,
            )
        axes.set_ylabel(panel)
        if len(names) > 1:
            _legend(axes)
    all_axes[-1].set_xlabel(x_label)
    return figure


def table_figure(table: Table) -> "Figure":
    """Draw a table's curves with their errors, and (grey bars) what chance alone gives."""
    figure, (axes,) = new_figure(rows=1, height=3.4)
    for k, curve in enumerate(table.curves):
        _draw_points(axes, table, curve, k) if table.points else _draw_line(axes, table, curve, k)
    axes.set_xlabel(table.x_label)
    axes.set_ylabel(table.y_label)
    if table.points:
        axes.set_xticks(table.x)
        axes.axhline(0.0, color="#5b6876", linewidth=0.8)
    else:
        axes.set_xlim(table.x.min(), table.x.max())
        axes.set_ylim(bottom=0)
    if len(table.curves) > 1:
        _legend(axes)
    return figure


def _draw_line(axes: "Axes", table: Table, curve: Curve, k: int) -> None:
    colour = COLOURS[k % len(COLOURS)]
    if curve.error is not None:
        low, high = curve.y - curve.error, curve.y + curve.error
        axes.fill_between(table.x, low, high, color=colour, alpha=0.25, linewidth=0)
    axes.plot(table.x, curve.y, color=colour, linewidth=1.3, label=curve.label)


def _draw_points(axes: "Axes", table: Table, curve: Curve, k: int) -> None:
    x = table.x + 0.05 * (k - 0.5 * (len(table.curves) - 1))  # beside one another
    if curve.chance is not None:
        axes.vlines(
            x, -curve.chance, curve.chance, color=QUIET, alpha=0.35, linewidth=8,
            label="" if k else "chance alone",
        )  # fmt: skip
    axes.errorbar(
        x,
        curve.y,
        yerr=curve.error,
        fmt=_MARKERS[k % len(_MARKERS)],
        color=COLOURS[k % len(COLOURS)],
        markersize=5,
        capsize=2,
        label=curve.label,
    )


def comparison_figure(rows: Sequence[Mapping[str, Any]], runs: Sequence[str]) -> "Figure":
    """Draw quantities of several runs, a panel each, with 95 % intervals where there are any.

    Parameters
    ----------
    rows
        ``quantities`` of ``compare.json``.
    runs
        Names of the runs.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_columns = min(3, len(rows))
    n_rows = int(np.ceil(len(rows) / n_columns))
    size = (2.5 * n_columns, 0.6 + (0.9 + 0.25 * len(runs)) * n_rows)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    grid = np.atleast_1d(figure.subplots(n_rows, n_columns, sharey=True)).ravel()
    places = np.arange(len(runs))[::-1]
    for axes, row in zip(grid, rows, strict=False):
        for k, (place, found) in enumerate(zip(places, row["runs"], strict=True)):
            if found is None:
                continue
            value, interval = found["value"], found["interval_95"]
            reach = None if interval is None else [[value - interval[0]], [interval[1] - value]]
            axes.errorbar(
                value, place, xerr=reach, fmt="o", color=COLOURS[k % len(COLOURS)], capsize=2
            )
        axes.set_title(
            f"{row['label']}{' (' + row['unit'] + ')' if row['unit'] else ''}", fontsize=8
        )
        axes.set_yticks(places, runs, fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.locator_params(axis="x", nbins=4)  # more would run into one another
        axes.margins(x=0.25)
        axes.set_ylim(-0.6, len(runs) - 0.4)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("bars: 95 % intervals", fontsize=8)
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    return figure


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a figure as ``path.png`` and ``path.pdf``."""
    for ending in ("png", "pdf"):
        with replacing(path.with_name(f"{path.name}.{ending}")) as temporary:
            figure.savefig(temporary, format=ending)


def _legend(axes: "Axes") -> None:
    axes.legend(
        frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), borderpad=1.0
    )
