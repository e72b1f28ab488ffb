"""The picture of an evaluation: predicted against reference energies and force components."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from moalloy_md.elements import pairs_text
from moalloy_md.potentials.metrics import ErrorMetrics
from moalloy_md.rundir import replacing

FloatArray = NDArray[np.float64]

#: Okabe and Ito's colours, which people with colour blindness tell apart.
_HOST_COLOUR, _DOPANT_COLOUR, _LINE_COLOUR = "#0072B2", "#D55E00", "#666666"
_COMPONENT_COLOURS = ("#0072B2", "#D55E00", "#009E73")


_PLACES = {"left": 0.06, "right": 0.99, "bottom": 0.13, "top": 0.97, "wspace": 0.24}
#: Characters of a line within a panel, beside the points.
_NOTE_WIDTH = 26


@dataclass(frozen=True)
class ParityData:
    """What the three panels show."""

    reference_energies: FloatArray
    """Reference energies without the E0s, ``(n_cells,)``, eV/atom."""
    predicted_energies: FloatArray
    """Predicted energies without the E0s, ``(n_cells,)``, eV/atom."""
    is_doped: NDArray[np.bool_]
    """Whether a cell holds a dopant, ``(n_cells,)``."""
    reference_forces: FloatArray
    """``(n_atoms, 3)``, eV/Å."""
    predicted_forces: FloatArray
    """``(n_atoms, 3)``, eV/Å."""
    is_dopant: NDArray[np.bool_]
    """Whether an atom is a dopant, ``(n_atoms,)``."""


def plot_parity(
    data: ParityData, metrics: ErrorMetrics, path: Path, *, proxies: Mapping[str, str]
) -> None:
    """Draw predicted against reference energies and forces into a PNG file.

    Parameters
    ----------
    data
        The points.
    metrics
        The errors that are written into the panels.
    path
        The picture; an older one is replaced.
    proxies
        Elements of the cells that the model lacks, and which stand in for them: each panel says so.
    """
    figure = parity_figure(data, metrics, proxies)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", pil_kwargs={"compress_level": 1})  # quick


def parity_figure(data: ParityData, metrics: ErrorMetrics, proxies: Mapping[str, str]) -> Figure:
    """Draw the panels: energies; force components by direction; the same by kind of atom."""
    figure = Figure(figsize=(10.5, 3.6), dpi=200)
    FigureCanvasAgg(figure)
    # places that fit these labels: matplotlib's own layout draws everything twice to find them
    left, middle, right = figure.subplots(1, 3, gridspec_kw=_PLACES)
    proxy = _proxy_lines(proxies)
    _panel(
        left,
        data.reference_energies,
        data.predicted_energies,
        (("undoped cells", ~data.is_doped), ("doped cells", data.is_doped)),
        quantity="energy − ΣE0 (eV/atom)",
        note=(
            f"MAE {metrics.energy_mae_mev_per_atom:.1f} meV/atom\n"
            f"RMSE {metrics.energy_rmse_mev_per_atom:.1f} meV/atom\n"
            f"{metrics.n_cells} cells, {metrics.n_groups} groups{proxy}"
        ),
        size=16,
    )
    quality = "" if metrics.force_r2 is None else f"\nR² {metrics.force_r2:.3f}"
    if metrics.force_slope is not None:
        quality += f", slope {metrics.force_slope:.2f}"
    directions = np.tile(np.arange(3), len(data.is_dopant))
    _panel(
        middle,
        data.reference_forces.ravel(),
        data.predicted_forces.ravel(),
        [(f"$F_{x}$", directions == k) for k, x in enumerate("xyz")],
        colours=_COMPONENT_COLOURS,
        quantity="force component (eV/Å)",
        note=(
            f"MAE {metrics.force_mae_mev_per_angstrom:.1f} meV/Å\n"
            f"RMSE {metrics.force_rmse_mev_per_angstrom:.1f} meV/Å\n"
            f"mean |F| {metrics.mean_abs_force_mev_per_angstrom:.0f} meV/Å{quality}{proxy}"
        ),
        size=5,
    )
    component = np.repeat(data.is_dopant, 3)
    _panel(
        right,
        data.reference_forces.ravel(),
        data.predicted_forces.ravel(),
        (("host atoms", ~component), ("dopant atoms", component)),
        quantity="force component (eV/Å)",
        note=proxy.lstrip("\n"),
        size=5,
    )
    return figure


def _proxy_lines(proxies: Mapping[str, str]) -> str:
    """Lines under a panel's errors, beginning with a line break; empty without proxies."""
    if not proxies:
        return ""
    lines = wrap(f"proxy {pairs_text(proxies)}", _NOTE_WIDTH)
    return "".join(f"\n{line}" for line in lines)


def _panel(
    axes: Any,
    reference: FloatArray,
    predicted: FloatArray,
    kinds: Sequence[tuple[str, NDArray[np.bool_]]],
    *,
    quantity: str,
    note: str,
    size: float,
    colours: Sequence[str] = (_HOST_COLOUR, _DOPANT_COLOUR),
) -> None:
    both = np.concatenate([reference, predicted])
    margin = 0.05 * np.ptp(both) or 0.01
    limits = (both.min() - margin, both.max() + margin)
    axes.plot(limits, limits, color=_LINE_COLOUR, linewidth=0.8, zorder=1)
    for (label, chosen), colour in zip(kinds, colours, strict=True):
        if chosen.any():
            axes.scatter(
                reference[chosen], predicted[chosen], s=size, color=colour, alpha=0.75,
                linewidths=0, label=label, zorder=2,
            )  # fmt: skip
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel(f"reference {quantity}", fontsize=8)
    axes.set_ylabel(f"predicted {quantity}", fontsize=8)
    axes.tick_params(labelsize=7, direction="in", top=True, right=True)
    axes.locator_params(nbins=6)
    axes.text(
        0.04, 0.96, note, transform=axes.transAxes, ha="left", va="top", fontsize=7,
        linespacing=1.4,
    )  # fmt: skip
    axes.legend(loc="lower right", fontsize=7, frameon=False, handletextpad=0.2)
