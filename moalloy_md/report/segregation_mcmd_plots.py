"""Pictures of Monte Carlo beside the isotherm: by temperature, site by site, and across the cell."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.report.plots import ACCENT, LINE, QUIET, new_figure, png
from moalloy_md.report.study_plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX*"
_NOTE: Mapping[str, Any] = {"fontsize": 7, "color": "#5a6570", "loc": "left"}
_LINES = ("-", "--", ":", "-.")
#: Contents below this are drawn at the edge of the logarithmic axis.
_LEAST = 1e-6
#: Kinds of sites whose distances differ by less are drawn so far apart.
_ALIKE_ANGSTROM = 0.2


def mcmd_plot(results: Mapping[str, Any]) -> bytes | None:
    """Draw the isotherm of the closed cell with the Monte Carlo points on it; site by site beside it."""
    runs = results["mcmd"]
    if not runs:
        return None
    figure, (left, right) = new_figure(rows=1, columns=2, height=4.2, share_x=False)
    dopants = list(dict.fromkeys(run["dopant"] for run in runs))
    for k, dopant in enumerate(dopants):
        own = [run for run in runs if run["dopant"] == dopant]
        colour = COLOURS[k % len(COLOURS)]
        curve = own[0]["curve"]
        left.plot(curve["temperatures_k"], curve["boundary_fraction"], color=colour, linewidth=1.1)
        for j, run in enumerate(own):
            _point(left, run["temperature_k"], run["boundary"], k, label=dopant if not j else None)
    left.set_xlabel("temperature (K)")
    left.set_ylabel("fraction of the boundary's sites")
    left.set_ylim(bottom=0)
    left.set_title("lines: isotherm; points: Monte Carlo", **_NOTE)
    left.legend(frameon=False, fontsize=8)
    _site_by_site(right, results, dopants)
    return png(figure)


def _site_by_site(axes: "Axes", results: Mapping[str, Any], dopants: Sequence[str]) -> None:
    """Draw what each kind of site holds against its distance, on a logarithmic axis."""
    runs = results["mcmd"]
    distance = {site["label"]: site["distance_angstrom"] for site in results["sites"]}
    contents = [
        one[key] for run in runs for one in run["sites"].values() for key in ("value", "isotherm")
    ]
    floor = max(_LEAST, 0.5 * min((x for x in contents if x > 0), default=_LEAST))
    for run in runs:
        k = dopants.index(run["dopant"])
        line = [r["temperature_k"] for r in runs if r["dopant"] == run["dopant"]]
        labels = sorted(run["sites"], key=lambda label: distance[label])
        axes.plot(
            [distance[label] for label in labels],
            [max(run["sites"][label]["isotherm"], floor) for label in labels],
            color=COLOURS[k % len(COLOURS)], linewidth=1.1,
            linestyle=_LINES[line.index(run["temperature_k"]) % len(_LINES)],
            label=f"{run['dopant']}, {run['temperature_k']:g} K",
        )  # fmt: skip
        for label, place in zip(labels, _apart([distance[x] for x in labels]), strict=True):
            _point(axes, place, run["sites"][label], k, floor=floor)
    axes.set_yscale("log")
    axes.set_ylim(floor, 2.0 * max(contents))
    axes.set_xlabel("distance of the site from the boundary (Å)")
    axes.set_ylabel("content of each kind of site")
    axes.set_title("hollow: run too short for an error bar; triangle: none found", **_NOTE)
    axes.legend(frameon=False, fontsize=8)


def _apart(distances: Sequence[float]) -> list[float]:
    """Move kinds of sites at one distance beside one another, ascending distances in Å."""
    places = list(distances)
    for j in range(1, len(places)):
        if distances[j] - distances[j - 1] < _ALIKE_ANGSTROM:
            places[j - 1] -= 0.5 * _ALIKE_ANGSTROM
            places[j] += 0.5 * _ALIKE_ANGSTROM
    return places


def _point(
    axes: "Axes",
    x: float,
    found: Mapping[str, Any],
    k: int,
    *,
    label: str | None = None,
    floor: float | None = None,
) -> None:
    """Draw a content with its error; hollow without one, a triangle at the `floor` where none was found."""
    colour, error = COLOURS[k % len(COLOURS)], found["error"]
    value = found["value"] if floor is None else max(found["value"], floor)
    is_none = value > found["value"]
    axes.errorbar(
        [x], [value],
        yerr=None if is_none or error is None else [error],
        fmt="v" if is_none else _MARKERS[k % len(_MARKERS)], color=colour, capsize=2,
        markersize=4.5, linewidth=0.9, label=label, clip_on=not is_none,
        markerfacecolor="none" if error is None or is_none else colour,
    )  # fmt: skip


def profile_plot(results: Mapping[str, Any]) -> bytes | None:
    """Draw profiles across the cell: Monte Carlo with errors, and what the isotherm says."""
    runs = [run for run in results["mcmd"] if "profile" in run]
    if not runs:
        return None
    figure, all_axes = new_figure(rows=len(runs), height=1.0 + 1.9 * len(runs))
    # no two planes of a crystal are farther apart than its nearest neighbours
    widest = 0.5 * np.sqrt(3) * results["host"]["lattice_parameter_angstrom"]
    for k, (axes, run) in enumerate(zip(all_axes, runs, strict=True)):
        found = run["profile"]
        for plane in results["host"]["planes_angstrom"]:
            axes.axvline(plane, color=QUIET, linewidth=1.0, linestyle="--")
        values, errors, isotherm = (
            np.array([np.nan if x is None else x for x in found[key]])
            for key in ("fraction", "error", "isotherm")
        )
        edges, kept = without_narrow_gaps(
            np.array(found["edges_angstrom"]), np.array(found["n_atoms"]) > 0, widest
        )
        middles = (edges[1:] + edges[:-1]) / 2
        axes.stairs(isotherm[kept], edges, baseline=None, color=ACCENT, linewidth=1.1,
                    label="isotherm")  # fmt: skip
        axes.errorbar(
            middles, values[kept], yerr=errors[kept], fmt="o", color=LINE, markersize=3.5, capsize=2,
            linewidth=0.9, label="Monte Carlo",
        )  # fmt: skip
        short = np.isnan(errors[kept])
        axes.plot(
            middles[short], values[kept][short], "o", color=LINE, markersize=3.5,
            markerfacecolor="white", zorder=3,
        )  # fmt: skip
        axes.set_title(f"{run['dopant']}, {run['temperature_k']:g} K", fontsize=9)
        axes.set_ylabel("content")
        axes.set_ylim(bottom=0)
        if k == 0:
            axes.legend(frameon=False, fontsize=8)
    all_axes[-1].set_xlabel(
        "height across the boundaries (Å); dashed: their planes; hollow: too short for an error bar",
        fontsize=9,
    )
    return png(figure)


def without_narrow_gaps(
    edges: NDArray[np.float64], has_sites: NDArray[np.bool_], widest: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give bins that fall between two planes of sites to their neighbours, half to each.

    Planes and bins of nearly one width run out of step, and a bin here and there holds no site. Left out, it
    would look as if the profile was unknown there. A wide gap stays: it is vacuum.

    Parameters
    ----------
    edges
        Of the bins, ``(n_bins + 1,)``, Å.
    has_sites
        ``(n_bins,)``.
    widest
        Of a gap that is closed, Å.

    Returns
    -------
    edges, bins
        ``(n_kept + 1,)``, Å, and the numbers of the bins between them, ``(n_kept,)``.
    """
    closed, bins = [float(edges[0])], []
    k = 0
    while k < len(has_sites):
        end = k
        while end < len(has_sites) and not has_sites[end]:
            end += 1
        width = edges[end] - edges[k]
        if end == k or width > widest:
            # a bin with sites, or the bins of a gap as they are
            for number in range(k, max(end, k + 1)):
                bins.append(number)
                closed.append(float(edges[number + 1]))
        elif k == 0:
            pass  # the first bin with sites begins at the edge of the cell
        elif end == len(has_sites):
            closed[-1] = float(edges[end])
        else:
            closed[-1] += 0.5 * float(width)
        k = max(end, k + 1)
    return np.array(closed), np.array(bins, dtype=np.int64)
