"""Pictures of ``moalloy simulate sro``: both starts side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moalloy_md.analysis.topics.clusters import COUNTED_SIZES
from moalloy_md.report.plots import QUIET, new_figure, png, write_pictures
from moalloy_md.report.study_plots import COLOURS
from moalloy_md.workflows.sro.results import Ensemble, SroResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour by start, marker by pair of dopants.
_COLOURS = {"random": COLOURS[0], "clustered": COLOURS[1]}
_MARKERS = "osD^vPX*"
_LINES = ("-", "--", ":", "-.")
_COUNTED = range(1, COUNTED_SIZES + 1)
_SIZES = (*map(str, _COUNTED), f"> {COUNTED_SIZES}")


def write_plots(results: SroResults, out: Path) -> list[Path]:
    """Draw all pictures for which there are results, as PNG files in `out`."""
    chosen = [one for one in results.ensembles if one.dopant_pairs]
    draw = {
        "alpha.png": alpha_plot,
        "alpha_against_swaps.png": history_plot,
        "clusters.png": clusters_plot,
        "pair_correlation.png": correlation_plot,
    }
    return write_pictures(
        {name: plot(chosen) if chosen else None for name, plot in draw.items()}, out
    )


def alpha_plot(ensembles: list[Ensemble]) -> bytes:
    """Draw α of the pairs of dopants by shell, from each start; grey: a random alloy of this size."""
    axes, finish = _grid(ensembles, "Warren-Cowley α", "neighbour shell")
    for panel, one in zip(axes, ensembles, strict=True):
        shells = np.arange(1, one.n_shells + 1)
        for k, pair in enumerate(one.dopant_pairs):
            panel.axhline(
                one.random_alpha[pair], color=QUIET, linewidth=1.0, linestyle="--",
                label="random alloy" if k == 0 else None,
            )  # fmt: skip
            for s, (start, run) in enumerate(one.starts.items()):
                found = [run["quantities"][f"alpha_{pair}_{n}"] for n in shells]
                place = shells + 0.12 * (s - 0.5) + 0.24 * (k - (len(one.dopant_pairs) - 1) / 2)
                panel.errorbar(
                    place, [q["value"] for q in found], yerr=[q["error"] or 0.0 for q in found],
                    color=_COLOURS[start], marker=_MARKERS[k % len(_MARKERS)], markersize=4,
                    # hollow: the error is not known
                    markerfacecolor="white" if any(q["error"] is None for q in found) else None,
                    linestyle="none", capsize=2, elinewidth=0.9, label=f"{pair}, {start} start",
                )  # fmt: skip
        panel.set_xticks(shells)
    return finish()


def history_plot(ensembles: list[Ensemble]) -> bytes:
    """Draw α of the first shell against successful swaps per dopant atom."""
    axes, finish = _grid(ensembles, "α, first shell", "successful swaps per dopant", share=False)
    for panel, one in zip(axes, ensembles, strict=True):
        for k, pair in enumerate(one.dopant_pairs):
            panel.axhline(
                one.random_alpha[pair], color=QUIET, linewidth=1.0, linestyle="--",
                label="random alloy" if k == 0 else None,
            )  # fmt: skip
            for start, run in one.starts.items():
                swaps = np.array(run["series"]["swaps_per_dopant"])
                alpha = _smooth(np.array(run["series"]["alpha"][pair]))
                panel.plot(
                    swaps, alpha, color=_COLOURS[start], linestyle=_LINES[k % len(_LINES)],
                    linewidth=1.0, label=f"{pair}, {start} start",
                )  # fmt: skip
    return finish()


def clusters_plot(ensembles: list[Ensemble]) -> bytes:
    """Draw which part of the dopant atoms is in clusters of which size, from each start."""
    axes, finish = _grid(ensembles, "part of the dopants", "atoms in the cluster")
    places = np.arange(len(_SIZES))
    for panel, one in zip(axes, ensembles, strict=True):
        for s, (start, run) in enumerate(one.starts.items()):
            quantities = run["quantities"]
            n = quantities["n_solutes"]["value"]
            parts = [k * quantities[f"size_{k}"]["value"] / n for k in _COUNTED]
            errors = [k * (quantities[f"size_{k}"]["error"] or 0.0) / n for k in _COUNTED]
            parts.append(quantities["in_larger"]["value"])
            errors.append(quantities["in_larger"]["error"] or 0.0)
            panel.bar(
                places + 0.38 * (s - 0.5), parts, width=0.36, yerr=errors, color=_COLOURS[start],
                error_kw={"elinewidth": 0.9, "capsize": 2}, label=f"{start} start",
            )  # fmt: skip
        panel.set_xticks(places, _SIZES)
    return finish()


def correlation_plot(ensembles: list[Ensemble]) -> bytes:
    """Draw g(r) of the pairs of dopants, from each start."""
    axes, finish = _grid(ensembles, "g(r)", "distance (Å)")
    for panel, one in zip(axes, ensembles, strict=True):
        for k, pair in enumerate(one.dopant_pairs):
            for start, run in one.starts.items():
                found = run["pair_correlations"][pair]
                r, g, error = (
                    np.array(found[key]) for key in ("distances_angstrom", "values", "errors")
                )
                panel.plot(
                    r, g, color=_COLOURS[start], linestyle=_LINES[k % len(_LINES)], linewidth=1.0,
                    label=f"{pair}, {start} start",
                )  # fmt: skip
                panel.fill_between(
                    r, g - error, g + error, color=_COLOURS[start], alpha=0.25, linewidth=0
                )
        panel.set_xlim(2.0, None)
        panel.set_ylim(bottom=0)
    return finish()


def _grid(
    ensembles: list[Ensemble], y_label: str, x_label: str, *, share: bool = True
) -> tuple[list["Axes"], Callable[[], bytes]]:
    """Make a panel for each ensemble; the function that is returned finishes them."""
    columns = 1 if len(ensembles) == 1 else 2
    rows = -(-len(ensembles) // columns)
    figure, axes = new_figure(rows=rows, columns=columns, height=0.5 + 2.3 * rows, share_x=share)
    for panel in axes[len(ensembles) :]:
        panel.set_axis_off()
    used = axes[: len(ensembles)]

    def finish() -> bytes:
        for k, (panel, one) in enumerate(zip(used, ensembles, strict=True)):
            panel.set_title(one.name, fontsize=9, loc="left")
            if k % columns == 0:
                panel.set_ylabel(y_label)
            if k + columns >= len(ensembles):
                panel.set_xlabel(x_label)
                panel.tick_params(labelbottom=True)
            if k == 0 or one.dopant_pairs != ensembles[k - 1].dopant_pairs:
                panel.legend(fontsize=6.5, frameon=False)
        return png(figure)

    return used, finish


def _smooth(series: np.ndarray, parts: int = 60) -> np.ndarray:
    """Take the running mean over a sixtieth of the series: single frames of few dopants say nothing."""
    width = max(1, len(series) // parts)
    if width == 1:
        return series
    ends = np.pad(series, (width // 2, width - 1 - width // 2), mode="edge")
    return np.convolve(ends, np.full(width, 1.0 / width), mode="valid")
