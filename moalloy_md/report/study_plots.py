"""Pictures of a study: parity, leave-one-dopant-out bars, learning curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.io import read
from numpy.typing import NDArray

from moalloy_md.report.plots import QUIET, logarithmic_y, new_figure, png

FloatArray = NDArray[np.float64]

#: Okabe and Ito's colours, which people with colour blindness tell apart; violet for their yellow, which
#: nobody can see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5D3A9B", "#000000")


@dataclass(frozen=True)
class Panel:
    """What one panel of a parity picture shows."""

    title: str
    predictions: Path
    """``predictions.extxyz`` of an evaluation."""
    note: str
    """Its errors, in words."""


@dataclass(frozen=True)
class CurvePoint:
    """One point of a learning curve."""

    n_train: float
    """Training cells, the mean over folds."""
    error: float
    """Mean over folds."""
    std: float
    """Standard deviation over folds; 0 of a single one."""


def parity_picture(panels: Sequence[Panel], quantity: str) -> bytes:
    """Draw predicted against reference ``energy`` (eV/atom) or ``force`` components (eV/Å).

    Energies have the mean of the reference taken off; the colours of forces are Fx, Fy, Fz.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    columns = 2 if len(panels) == 4 else min(3, len(panels))  # no row with one of four
    rows = -(-len(panels) // columns)
    layout = ConstrainedLayoutEngine(h_pad=0.08, hspace=0.04)  # titles have two lines
    figure = Figure(figsize=(2.6 * columns, 2.75 * rows + 0.3), dpi=144, layout=layout)
    FigureCanvasAgg(figure)
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid, panels, strict=False):
        reference, predicted = _points(panel.predictions, quantity)
        both = np.concatenate([reference.ravel(), predicted.ravel()])
        margin = 0.05 * np.ptp(both) or 0.01
        limits = (both.min() - margin, both.max() + margin)
        axes.plot(limits, limits, color=QUIET, linewidth=0.8)
        for k in range(reference.shape[1]):
            axes.scatter(
                reference[:, k], predicted[:, k], s=9 if quantity == "energy" else 3,
                color=COLOURS[k], alpha=0.7, linewidths=0,
                label=None if quantity == "energy" else f"$F_{'xyz'[k]}$",
            )  # fmt: skip
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.set_title(panel.title, fontsize=8)
        axes.tick_params(labelsize=6)
        axes.locator_params(nbins=5)
        # energies that are off by a constant lie in one corner: the words go into the other one
        below = quantity == "energy" and np.mean(predicted - reference) > 0
        axes.text(
            *((0.96, 0.04) if below else (0.04, 0.96)), panel.note, transform=axes.transAxes,
            ha="right" if below else "left", va="bottom" if below else "top", fontsize=6,
        )  # fmt: skip
        if quantity != "energy":
            axes.legend(loc="lower right", fontsize=6, frameon=False, handletextpad=0.1)
    unit = "energy (eV/atom)" if quantity == "energy" else "force component (eV/Å)"
    figure.supxlabel(f"reference {unit}", fontsize=8)
    figure.supylabel(f"predicted {unit}", fontsize=8)
    return png(figure)


def _points(path: Path, quantity: str) -> tuple[FloatArray, FloatArray]:
    images = read(path, ":")
    if quantity == "energy":
        n = np.array([len(atoms) for atoms in images])
        pairs = [
            np.array([atoms.info[key] for atoms in images]) / n
            for key in ("REF_energy", "pred_energy")
        ]
        middle = pairs[0].mean()
        return (pairs[0] - middle)[:, None], (pairs[1] - middle)[:, None]
    reference, predicted = (
        np.concatenate([atoms.arrays[key] for atoms in images])
        for key in ("REF_forces", "pred_forces")
    )
    return reference, predicted


def lodo_bars(
    errors: Mapping[str, Mapping[str, float]],
    *,
    ylabel: str,
    marks: Mapping[str, Mapping[str, float]] | None = None,
) -> bytes:
    """Draw bars by held-out element, one colour a series, on a logarithmic axis.

    Parameters
    ----------
    errors
        By series (such as ``strict: fine-tune, small``), then by element.
    ylabel
        What is drawn.
    marks
        Values to compare with, as `errors`: a line across each bar. The mean force, say.
    """
    elements = list(dict.fromkeys(x for series in errors.values() for x in series))
    figure, (axes,) = new_figure(rows=1, height=3.4, width=max(7.2, 0.6 * len(elements)))
    width = 0.8 / max(len(errors), 1)
    for k, (name, series) in enumerate(errors.items()):
        shift = (k - (len(errors) - 1) / 2) * width
        places = [elements.index(x) + shift for x in series]
        axes.bar(places, list(series.values()), width, label=name, color=COLOURS[k % len(COLOURS)])
        marked = (marks or {}).get(name, {})
        axes.hlines(
            list(marked.values()),
            [elements.index(x) + shift - width / 2 for x in marked],
            [elements.index(x) + shift + width / 2 for x in marked],
            color="black", linewidth=1.6, label="mean |F|" if marked and not k else "",
        )  # fmt: skip
    axes.set_xticks(range(len(elements)), elements)
    axes.set_ylabel(ylabel)
    logarithmic_y(axes)
    if values := [v for series in errors.values() for v in series.values() if v > 0]:
        axes.set_ylim(bottom=0.5 * min(values))  # or the smallest would have no bar
    # above the plot: within it, it would lie on the bars
    figure.legend(loc="outside upper center", fontsize=7, frameon=False, ncols=3)
    return png(figure)


def learning_curve(
    curves: Mapping[str, Sequence[CurvePoint]],
    *,
    ylabel: str,
    levels: Mapping[str, float] | None = None,
) -> bytes:
    """Draw errors against the number of training cells, both logarithmic.

    Parameters
    ----------
    curves
        By series.
    ylabel
        What is drawn.
    levels
        Values to compare with, by name: a dotted line each.
    """
    figure, (axes,) = new_figure(rows=1, height=3.6)
    for k, (name, points) in enumerate(curves.items()):
        n, error, spread = np.array(sorted((p.n_train, p.error, p.std) for p in points)).T
        low = np.minimum(spread, 0.9 * error)  # a logarithmic axis has no zero
        axes.errorbar(
            n, error, yerr=(low, spread), marker="o", markersize=4, capsize=2, label=name,
            color=COLOURS[k % len(COLOURS)],
        )  # fmt: skip
    for k, (name, level) in enumerate((levels or {}).items()):
        axes.axhline(level, color=QUIET, linestyle=(":", "-.", "--")[k % 3], label=name)
    axes.set_xscale("log")
    for formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        formatter("{x:g}")  # 20, 30, 40: not 2 × 10¹
    logarithmic_y(axes)
    axes.set_xlabel("training cells; bars: standard deviation over folds")
    axes.set_ylabel(ylabel)
    figure.legend(loc="outside upper center", fontsize=7, frameon=False, ncols=3)
    return png(figure)
