"""Pictures of a segregation simulation."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moalloy_md.analysis.segregation import SkewNormal
from moalloy_md.report.plots import (
    ACCENT,
    LINE,
    QUIET,
    empty_figure,
    logarithmic_y,
    new_figure,
    png,
    write_pictures,
)
from moalloy_md.report.segregation_mcmd_plots import mcmd_plot, profile_plot
from moalloy_md.report.study_plots import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from moalloy_md.workflows.segregation.host import Host
    from moalloy_md.workflows.segregation.sites import ChosenSites

_MARKERS = "osD^vPX*"


def write_plots(
    results: Mapping[str, Any], host: "Host", chosen: "ChosenSites", out: Path
) -> list[Path]:
    """Draw all pictures for which there are results, as PNG files in `out`."""
    pictures = {
        "energies.png": energies_plot(results),
        "volume.png": volume_plot(results),
        "spectrum.png": spectrum_plot(results),
        "isotherm.png": isotherm_plot(results),
        "mcmd.png": mcmd_plot(results),
        "profile.png": profile_plot(results),
        "boundary.png": boundary_picture(results, host, chosen),
    }
    return write_pictures(pictures, out)


def energies_plot(results: Mapping[str, Any]) -> bytes:
    """Draw segregation energies against the distance from the boundary, relaxed ones joined."""
    distance = {site["label"]: site["distance_angstrom"] for site in results["sites"]}
    is_sampled = results["host"]["is_sampled"]
    figure, (axes,) = new_figure(rows=1, height=4.0)
    axes.axhline(0.0, color=QUIET, linewidth=1.0)
    for k, dopant in enumerate(results["dopants"]):
        own = [one for one in results["energies"] if one["dopant"] == dopant]
        own.sort(key=lambda one: distance[one["site"]])
        x = [distance[one["site"]] for one in own]
        axes.plot(
            x,
            [one["relaxed_ev"] for one in own],
            _MARKERS[k % len(_MARKERS)],
            linestyle="none" if is_sampled else "-",
            linewidth=1.0,
            color=COLOURS[k % len(COLOURS)],
            markersize=4,
            label=dopant,
        )
    axes.set_xlabel("distance from the boundary (Å)")
    axes.set_ylabel("segregation energy (eV)")
    _legend_outside(figure, axes)
    return png(figure)


def volume_plot(results: Mapping[str, Any]) -> bytes | None:
    """Draw segregation energies against the room of the site."""
    volume = {site["label"]: site["volume_angstrom3"] for site in results["sites"]}
    chosen = [label for label, value in volume.items() if value is not None]
    if len(chosen) < 4:
        return None
    figure, (axes,) = new_figure(rows=1, height=4.0)
    axes.axhline(0.0, color=QUIET, linewidth=1.0)
    axes.axvline(
        results["host"]["lattice_parameter_angstrom"] ** 3 / 2, color=QUIET, linewidth=1.0,
        linestyle="--",
    )  # fmt: skip
    for k, dopant in enumerate(results["dopants"]):
        points = [
            (volume[one["site"]], one["relaxed_ev"])
            for one in results["energies"]
            if one["dopant"] == dopant and volume[one["site"]] is not None
        ]
        axes.plot(
            *np.array(points).T, _MARKERS[k % len(_MARKERS)], color=COLOURS[k % len(COLOURS)],
            markersize=4, linestyle="none", label=dopant,
        )  # fmt: skip
    axes.set_xlabel("Voronoi volume of the site in the pure host (Å³); dashed: crystal")
    axes.set_ylabel("segregation energy (eV)")
    _legend_outside(figure, axes)
    return png(figure)


def spectrum_plot(results: Mapping[str, Any]) -> bytes | None:
    """Draw the spectrum of each dopant with the skew normal through it."""
    spectra = results["spectra"]
    if not spectra:
        return None
    is_boundary = {site["label"]: not site["is_crystal"] for site in results["sites"]}
    figure, all_axes = _grid(len(spectra))
    energies = {
        dopant: [
            one["relaxed_ev"]
            for one in results["energies"]
            if one["dopant"] == dopant and is_boundary[one["site"]]
        ]
        for dopant in spectra
    }
    low = min(min(e) for e in energies.values()) - 0.1
    high = max(max(e) for e in energies.values()) + 0.1
    x = np.linspace(low, high, 300)
    for axes, (dopant, fit) in zip(all_axes, spectra.items(), strict=False):
        axes.hist(
            energies[dopant],
            bins=np.linspace(low, high, 31).tolist(),
            density=True,
            color=LINE,
            alpha=0.35,
        )
        axes.plot(x, SkewNormal(**fit).density(x), color=ACCENT, linewidth=1.4)
        axes.axvline(0.0, color=QUIET, linewidth=0.9)
        axes.set_title(
            f"{dopant}: mean {fit['mean_ev']:+.2f}, KS {fit['ks_distance']:.2f}".replace("-", "−"),
            fontsize=9,
        )
        axes.set_yticks([])
    figure.supxlabel(
        "segregation energy (eV); bars: sites, curve: skew normal, grey: zero", fontsize=10
    )
    figure.supylabel("part of the sites (each scaled)", fontsize=10)
    return png(figure)


def isotherm_plot(results: Mapping[str, Any]) -> bytes | None:
    """Draw the content of the boundary against temperature, a plot for each content of the bulk."""
    rows = results["isotherm"]
    contents = sorted({row["bulk_fraction"] for row in rows})
    if not rows or len({row["temperature_k"] for row in rows}) < 2:
        return None
    figure, all_axes = new_figure(rows=len(contents), height=0.7 + 2.5 * len(contents))
    for axes, content in zip(all_axes, contents, strict=True):
        axes.axhline(content, color=QUIET, linewidth=1.0, linestyle="--")
        for k, dopant in enumerate(results["dopants"]):
            own = [r for r in rows if r["dopant"] == dopant and r["bulk_fraction"] == content]
            axes.plot(
                [r["temperature_k"] for r in own],
                [r["boundary_fraction"] for r in own],
                f"{_MARKERS[k % len(_MARKERS)]}-",
                color=COLOURS[k % len(COLOURS)],
                linewidth=1.1,
                markersize=3.5,
                label=dopant,
            )
        logarithmic_y(axes)
        axes.set_ylabel("fraction of the\nboundary's sites")
        axes.set_title(f"bulk: {content:g} (dashed)", fontsize=9)
    all_axes[-1].set_xlabel("temperature (K)")
    _legend_outside(figure, all_axes[0])
    return png(figure)


def boundary_picture(
    results: Mapping[str, Any], host: "Host", chosen: "ChosenSites"
) -> bytes | None:
    """Draw the host's sites coloured by the segregation energy of the dopant that gains most."""
    from moalloy_md.analysis.pictures import draw_values

    lowest = min(results["energies"], key=lambda one: one["relaxed_ev"], default=None)
    if lowest is None:
        return None
    dopant = lowest["dopant"]
    own = {one["site"]: one["relaxed_ev"] for one in results["energies"] if one["dopant"] == dopant}
    values = np.full(len(host.atoms), np.nan)
    for number, site in enumerate(chosen.sites):
        values[chosen.groups == number] = own[site.label]
    if results["host"]["is_sampled"]:
        # what is crystal would hide all else
        near = chosen.distances_angstrom < 0.1
        atoms, values = host.atoms[near], values[near]
    else:
        shape = host.repeats(10.0)
        atoms = host.atoms.repeat(shape)
        values = np.tile(values, int(np.prod(shape)))
    return draw_values(
        atoms,
        values,
        label=f"{dopant}: segregation energy (eV); small: not computed",
        is_flat=bool(host.plane_fractions),
    )


def _grid(n: int, *, columns: int = 3) -> tuple["Figure", list["Axes"]]:
    """Make `n` plots of one x axis, whose numbers stand below the lowest of each column."""
    rows = -(-n // columns)
    figure = empty_figure(7.2, 0.6 + 1.6 * rows)
    found: list[Axes] = list(
        figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=False).ravel()
    )
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    for axes in found[n:]:
        axes.set_visible(False)
    for axes in found[max(n - columns, 0) : n]:
        axes.tick_params(labelbottom=True)
    return figure, found[:n]


def _legend_outside(figure: "Figure", axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize=9)
