"""Plots of static properties: equation of state, phonons, deviations from the references."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from moalloy_md.analysis.equation_of_state import BirchMurnaghan
from moalloy_md.report.plots import ACCENT, DPI, LINE, QUIET, new_figure, png
from moalloy_md.workflows.properties.reference import NOTABLE_PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREEK = {"G": "Γ"}


def equation_of_state_plot(found: Mapping[str, Any]) -> bytes:
    """Draw energies against volumes and the fit through them.

    Parameters
    ----------
    found
        ``equation_of_state`` of ``properties.json``.

    Returns
    -------
    bytes
        A PNG.
    """
    volumes = np.asarray(found["volumes_angstrom3_per_atom"])
    lowest = found["energy_ev_per_atom"]
    fit = BirchMurnaghan(
        energy_ev=0.0,
        volume_angstrom3=found["volume_angstrom3_per_atom"],
        bulk_modulus_gpa=found["bulk_modulus_gpa"],
        bulk_modulus_derivative=found["bulk_modulus_derivative"],
        rms_residual_ev=0.0,
    )
    dense = np.linspace(volumes.min(), volumes.max(), 200)
    figure, (axes,) = new_figure(rows=1, height=3.2)
    axes.plot(dense, fit.energies(dense), color=LINE, linewidth=1.2)
    axes.plot(
        volumes,
        np.asarray(found["energies_ev_per_atom"]) - lowest,
        "o",
        color=ACCENT,
        markersize=4,
    )
    axes.axvline(found["volume_angstrom3_per_atom"], color=QUIET, linewidth=0.9, linestyle="--")
    axes.set_xlabel("volume (Å³/atom)")
    axes.set_ylabel("energy (eV/atom)")
    axes.set_title(
        f"B = {found['bulk_modulus_gpa']:.0f} GPa, B' = {found['bulk_modulus_derivative']:.2f}",
        fontsize=10,
    )
    return png(figure)


def phonon_plot(found: Mapping[str, Any]) -> bytes:
    """Draw phonons along the path and their density of states, imaginary ones below zero in red.

    Parameters
    ----------
    found
        ``phonons`` of ``properties.json``.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    bands, density = figure.subplots(1, 2, sharey=True, width_ratios=(4, 1))
    for axes in (bands, density):
        axes.spines[["top", "right"]].set_visible(False)
        axes.axhline(0.0, color=QUIET, linewidth=0.8)
    _draw_bands(bands, found)
    frequencies = np.asarray(found["dos_frequencies_thz"])
    states = np.asarray(found["dos_per_thz"])
    density.fill_betweenx(frequencies, states, color=LINE, alpha=0.25, linewidth=0)
    density.plot(states, frequencies, color=LINE, linewidth=1.0)
    density.set_xlim(left=0)
    density.set_xlabel("states per THz")
    return png(figure)


def _draw_bands(axes: "Axes", found: Mapping[str, Any]) -> None:
    ticks: list[tuple[float, str]] = []
    for (begin, end), distances, frequencies in zip(
        found["path"],
        found["section_distances"],
        found["section_frequencies_thz"],
        strict=True,
    ):
        lines = np.asarray(frequencies)
        real = np.where(lines >= 0, lines, np.nan)
        imaginary = np.where(lines < 0, lines, np.nan)
        axes.plot(distances, real, color=LINE, linewidth=1.1)
        axes.plot(distances, imaginary, color="#c0202f", linewidth=1.3)
        left, right = _GREEK.get(begin, begin), _GREEK.get(end, end)
        if ticks and ticks[-1][1] != left:  # the path jumps
            ticks[-1] = (ticks[-1][0], f"{ticks[-1][1]}|{left}")
        elif not ticks:
            ticks.append((distances[0], left))
        ticks.append((distances[-1], right))
    for place, _ in ticks:
        axes.axvline(place, color="#e4e8ec", linewidth=0.8, zorder=0)
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.set_xlim(ticks[0][0], ticks[-1][0])
    axes.set_ylabel("frequency (THz)")


def deviation_plot(properties: Mapping[str, Any]) -> bytes:
    """Draw how far each property is from its reference, in per cent.

    Parameters
    ----------
    properties
        ``properties`` of ``properties.json``; those without a reference are left out.

    Returns
    -------
    bytes
        A PNG.
    """
    rows = [entry for entry in properties.values() if entry["reference"]]
    figure, (axes,) = new_figure(rows=1, height=0.8 + 0.27 * len(rows))
    deviations = [entry["reference"]["deviation_percent"] for entry in rows]
    places = np.arange(len(rows))[::-1]
    axes.axvspan(-NOTABLE_PERCENT, NOTABLE_PERCENT, color=QUIET, alpha=0.15, linewidth=0)
    axes.barh(places, deviations, height=0.62, color=LINE)
    axes.axvline(0, color="#5b6876", linewidth=0.9)
    axes.set_yticks(places, [entry["label"] for entry in rows])
    axes.grid(visible=False, axis="y")
    reach = max(15.0, 1.25 * max(map(abs, deviations)))
    axes.set_xlim(-reach, reach)
    for place, deviation in zip(places, deviations, strict=True):
        axes.annotate(
            f"{deviation:+.0f}",
            (deviation, place),
            xytext=(4 if deviation >= 0 else -4, 0),
            textcoords="offset points",
            ha="left" if deviation >= 0 else "right",
            va="center",
            fontsize=8,
        )
    axes.set_xlabel("deviation from the reference (%)")
    return png(figure)
