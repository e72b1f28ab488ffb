"""Plots for reports, as PNG in memory. No display is needed and no global state is touched."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from moalloy_md.analysis.statistics import Estimate
from moalloy_md.rundir import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pixels per inch of all plots.
DPI = 144
LINE = "#1f5f8b"
ACCENT = "#c0562f"
QUIET = "#9aa5b1"


def history_plot(
    time_ps: ArrayLike,
    temperature_k: ArrayLike,
    lattice_parameter: ArrayLike,
    *,
    target_k: float,
    estimate: Estimate,
) -> bytes:
    """Draw temperature and lattice parameter against time.

    Parameters
    ----------
    time_ps, temperature_k, lattice_parameter
        ``(n,)`` each; ps, K and Å.
    target_k
        Temperature of the thermostat, K.
    estimate
        Mean lattice parameter (Å) with its error; the samples that it left out are shaded.

    Returns
    -------
    bytes
        A PNG.
    """
    time = np.asarray(time_ps, dtype=np.float64)
    figure, (upper, lower) = new_figure(rows=2, height=4.6)
    upper.plot(time, np.asarray(temperature_k), color=LINE, linewidth=0.9)
    upper.axhline(target_k, color=ACCENT, linewidth=1.0, linestyle="--")
    upper.set_ylabel("temperature (K)")
    lower.plot(time, np.asarray(lattice_parameter), color=LINE, linewidth=0.9)
    lower.axhspan(
        estimate.value - estimate.error, estimate.value + estimate.error, color=ACCENT, alpha=0.3
    )
    lower.axhline(estimate.value, color=ACCENT, linewidth=1.0)
    lower.set_ylabel("lattice parameter (Å)")
    lower.set_xlabel("time (ps)")
    lower.ticklabel_format(axis="y", useOffset=False)
    for axes in (upper, lower):
        axes.set_xlim(time[0], time[-1])
        if estimate.n_discarded:
            axes.axvspan(time[0], time[estimate.n_discarded], color=QUIET, alpha=0.25, linewidth=0)
    return png(figure)


@dataclass(frozen=True)
class LearningCurve:
    """Errors on the validation cells during one training."""

    name: str
    """What the legend calls it."""
    epochs: ArrayLike
    """``(n,)``."""
    energy_mae_mev_per_atom: ArrayLike
    """``(n,)``."""
    force_mae_mev_per_angstrom: ArrayLike
    """``(n,)``."""
    kept_epoch: int
    """The epoch whose weights were kept."""


def learning_plot(curves: Sequence[LearningCurve]) -> bytes:
    """Draw the validation errors of up to three trainings against the epochs.

    Returns
    -------
    bytes
        A PNG.
    """
    figure, (upper, lower) = new_figure(rows=2, height=4.2)
    for curve, colour in zip(curves, (LINE, ACCENT, QUIET), strict=False):
        for axes, errors in (
            (upper, curve.energy_mae_mev_per_atom),
            (lower, curve.force_mae_mev_per_angstrom),
        ):
            epochs, values = np.asarray(curve.epochs), np.asarray(errors)
            axes.plot(epochs, values, color=colour, linewidth=1.1, label=curve.name)
            kept = epochs == curve.kept_epoch
            axes.plot(epochs[kept], values[kept], "o", color=colour, markersize=5)
    for axes, label in ((upper, "energy (meV/atom)"), (lower, "force (meV/Å)")):
        logarithmic_y(axes)
        axes.set_ylabel(label)
    if len(curves) > 1:
        upper.legend(frameon=False)
    lower.set_xlabel("epoch")
    return png(figure)


def distribution_plot(
    distances_angstrom: ArrayLike, values: ArrayLike, *, shells_angstrom: ArrayLike
) -> bytes:
    """Draw a radial distribution function, and where the shells of the perfect crystal are.

    Parameters
    ----------
    distances_angstrom, values
        ``(n,)`` each; Å, and g(r).
    shells_angstrom
        Distances of the perfect crystal's neighbours, Å.

    Returns
    -------
    bytes
        A PNG.
    """
    figure, (axes,) = new_figure(rows=1, height=2.9)
    for distance in np.asarray(shells_angstrom):
        axes.axvline(distance, color=ACCENT, linewidth=0.9, linestyle="--", alpha=0.7)
    axes.plot(np.asarray(distances_angstrom), np.asarray(values), color=LINE, linewidth=1.3)
    axes.set_xlim(np.min(distances_angstrom), np.max(distances_angstrom))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("distance (Å)")
    axes.set_ylabel("g(r)")
    return png(figure)


def new_figure(
    *, rows: int, height: float, width: float = 7.2, columns: int = 1, share_x: bool = True
) -> tuple["Figure", list["Axes"]]:
    """Make a figure in the reports' look, plots row by row, sizes in inches; one x axis unless said."""
    figure = empty_figure(width, height)
    axes = list(np.atleast_1d(figure.subplots(rows, columns, sharex=share_x)).ravel())
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(visible=True, color="#e4e8ec", linewidth=0.6)
        one.set_axisbelow(True)
    return figure, axes


def empty_figure(width: float, height: float) -> "Figure":
    """Make a figure without plots, sizes in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A Figure of its own, not pyplot: pyplot would pick a display and keep every figure alive.
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def logarithmic_y(axes: "Axes") -> None:
    """Make the y axis logarithmic, with plain numbers at 1, 2 and 5 of each decade.

    Errors may stay within a decade, whose ends alone would be labelled.
    """
    from matplotlib.ticker import LogLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")


def png(figure: "Figure") -> bytes:
    """Return the figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def write_pictures(pictures: Mapping[str, bytes | None], folder: Path) -> list[Path]:
    """Write pictures by name of file; one that an earlier run left goes away where there is none."""
    written = []
    for name, content in pictures.items():
        path = folder / name
        if content is None:
            path.unlink(missing_ok=True)
            continue
        with replacing(path) as temporary:
            temporary.write_bytes(content)
        written.append(path)
    return written
