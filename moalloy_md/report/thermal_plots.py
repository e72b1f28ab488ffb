"""Pictures of a thermal simulation: pure and doped side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moalloy_md.report.plots import QUIET, new_figure, png, write_pictures
from moalloy_md.report.study_plots import COLOURS
from moalloy_md.workflows.thermal.results import Composition, ThermalResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX*"
#: Compositions stand beside one another by this part of the span of temperatures.
_BESIDE = 0.012
#: Lindemann's ratio at which crystals are said to melt: F. A. Lindemann, Phys. Z. 11 (1910) 609.
_MELTS_AT = 0.1
_BESIDE_NOTE = "compositions drawn beside one another"


def write_plots(results: ThermalResults, out: Path) -> list[Path]:
    """Draw all pictures for which there are results, as PNG files in `out`."""
    pictures = {
        "expansion.png": expansion_plot(results),
        "heat_capacity.png": heat_capacity_plot(results),
        "vibration.png": vibration_plot(results),
        "rdf.png": rdf_plot(results),
        "ramp.png": ramp_plot(results),
    }
    return write_pictures(pictures, out)


def expansion_plot(results: ThermalResults) -> bytes | None:
    """Draw lattice parameters against temperature with their fits, and what the dopants change."""
    name = "lattice_parameter_angstrom"
    grid = _grid(results)
    chosen = [(k, c) for k, c in enumerate(results.compositions) if grid.points(c, name)]
    if not chosen:
        return None
    with_differences = len(chosen) > 1
    figure, axes = new_figure(rows=1 + with_differences, height=3.4 + 2.2 * with_differences)
    for k, c in chosen:
        _errorbars(axes[0], c.name, grid.points(c, name), k, ring=True)
        if c.lattice is not None:
            temperatures = np.linspace(*_range(c), 100)
            values = [c.lattice.value(t)[0] for t in temperatures]
            axes[0].plot(temperatures, values, color=COLOURS[k % len(COLOURS)], linewidth=1.0)
    axes[0].set_ylabel("lattice parameter (Å)")
    axes[0].ticklabel_format(axis="y", useOffset=False)
    _legend(axes[0])
    if with_differences:
        _differences(axes[1], results, grid, name, factor=1e3)
        _note(axes[1], _BESIDE_NOTE)
        axes[1].set_ylabel(f"Δa to {results.compositions[0].name} (10⁻³ Å)")
    axes[-1].set_xlabel("temperature (K)")
    return png(figure)


def heat_capacity_plot(results: ThermalResults) -> bytes | None:
    """Draw heat capacities: from the slope of the enthalpy (lines), from its fluctuations (hollow)."""
    fluctuations, slope = "heat_capacity_fluctuations_kb", "heat_capacity_kb"
    grid = _grid(results)
    chosen = [
        (k, c)
        for k, c in enumerate(results.compositions)
        if grid.points(c, fluctuations) or grid.points(c, slope)
    ]
    if not chosen:
        return None
    figure, (upper, lower) = new_figure(rows=2, height=6.0)
    for k, c in chosen:
        _errorbars(upper, c.name, grid.beside(grid.points(c, slope), k), k, line="-")
        points = grid.beside(grid.points(c, fluctuations), k)
        _errorbars(upper, "", points, k, hollow=True)
        expansion = _scaled(grid.points(c, "expansion_per_k"), 1e6)
        _errorbars(lower, c.name, expansion, k, line="-", ring=True)
    upper.axhline(3.0, color=QUIET, linewidth=1.0, linestyle="--")
    upper.set_ylabel("heat capacity ($k_B$/atom)")
    _note(
        upper,
        f"{_BESIDE_NOTE}; joined: slope of the enthalpy, hollow: its fluctuations, "
        "dashed: Dulong-Petit",
    )
    lower.set_ylabel("linear expansion (10⁻⁶/K)")
    lower.set_xlabel("temperature (K)")
    _legend(lower)
    return png(figure)


def vibration_plot(results: ThermalResults) -> bytes | None:
    """Draw mean-square displacements of host and dopants over temperature, and Lindemann's ratio.

    A harmonic crystal's ``<u²>/T`` is level: what differs is not lost in what all have in common.
    """
    grid = _grid(results)
    chosen = [(k, c) for k, c in enumerate(results.compositions) if grid.points(c, "msd_angstrom2")]
    if not chosen:
        return None
    figure, (upper, lower) = new_figure(rows=2, height=6.0)
    for k, c in chosen:
        host = grid.over_temperature(grid.points(c, f"msd_{results.host}_angstrom2"))
        _errorbars(upper, f"{c.name}: {results.host}", grid.beside(host, k), k, line="-")
        for element in (x for x in c.counts if x != results.host):
            own = grid.over_temperature(grid.points(c, f"msd_{element}_angstrom2"))
            label = f"{c.name}: {element}"
            _errorbars(upper, label, grid.beside(own, k), k, line=":", hollow=True)
        _errorbars(lower, c.name, grid.points(c, "lindemann"), k, line="-", ring=True)
    upper.set_ylabel("<u²>/T (10⁻⁵ Å²/K)")
    _note(upper, f"{_BESIDE_NOTE}; lines break where the runs are too short to know a value")
    _legend_beside(upper)
    lower.set_ylabel("Lindemann's ratio √<u²>/d")
    lower.axhline(_MELTS_AT, color=QUIET, linewidth=1.0, linestyle="--")
    lower.annotate(
        f"{_MELTS_AT:g}: crystals melt about here (Lindemann)", (0.01, _MELTS_AT),
        xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
        fontsize=7, color="#5a6570",
    )  # fmt: skip
    lower.set_ylim(bottom=0)
    lower.set_xlabel("temperature (K)")
    return png(figure)


def rdf_plot(results: ThermalResults) -> bytes | None:
    """Draw g(r) at the lowest and the highest temperature."""
    chosen = [
        (k, c)
        for k, c in enumerate(results.compositions)
        if any(run["rdf"] for run in c.runs.values())
    ]
    if not chosen:
        return None
    temperatures = sorted({t for _, c in chosen for t in c.runs})
    ends = list(dict.fromkeys((temperatures[0], temperatures[-1])))
    figure, axes = new_figure(rows=len(ends), height=2.7 * len(ends) + 0.3)
    for panel, temperature in zip(axes, ends, strict=True):
        for k, c in chosen:
            rdf = c.runs.get(temperature, {}).get("rdf")
            if not rdf:
                continue
            r, g, error = (np.array(rdf[key]) for key in ("distances_angstrom", "values", "errors"))
            colour = COLOURS[k % len(COLOURS)]
            panel.plot(r, g, color=colour, linewidth=1.1, label=c.name)
            panel.fill_between(r, g - error, g + error, color=colour, alpha=0.25, linewidth=0)
        panel.set_ylabel("g(r)")
        panel.set_title(f"{temperature:g} K", fontsize=9, loc="left")
        panel.set_ylim(bottom=0)
        panel.set_xlim(2.0, None)
    axes[-1].set_xlabel("distance (Å)")
    _legend(axes[0])
    return png(figure)


def ramp_plot(results: ThermalResults) -> bytes | None:
    """Draw lattice parameter, enthalpy above 3 k_B T, and fraction of bcc along the ramps."""
    chosen = [(k, c) for k, c in enumerate(results.compositions) if c.ramp is not None]
    if not chosen:
        return None
    figure, axes = new_figure(rows=3, height=6.6)
    for k, c in chosen:
        windows: dict[str, Any] = c.ramp["windows"]  # type: ignore[index]
        _errorbars(
            axes[0], c.name, _window_points(windows, "lattice_parameter_angstrom"), k, line="-"
        )
        enthalpy = _window_points(windows, "enthalpy_ev_per_atom")
        _errorbars(axes[1], c.name, _above_dulong_petit(enthalpy), k, line="-")
        _errorbars(axes[2], c.name, _window_points(windows, "bcc_fraction"), k, line="-")
    axes[0].set_ylabel("(2V/N)$^{1/3}$ (Å)")
    axes[0].ticklabel_format(axis="y", useOffset=False)
    axes[1].set_ylabel("H − H$_0$ − 3k$_B$(T − T$_0$)\n(meV/atom)")
    axes[2].set_ylabel("fraction of bcc")
    axes[2].set_ylim(-0.03, 1.03)
    axes[2].set_xlabel("temperature of the thermostat (K)")
    _legend(axes[0])
    return png(figure)


Points = list[tuple[float, float, float]]


@dataclass(frozen=True)
class _Grid:
    """The temperatures of all compositions."""

    temperatures_k: tuple[float, ...]
    n_compositions: int

    def points(self, c: Composition, name: str) -> Points:
        """Temperature, value and error; not a number where there is none, so that lines end there."""
        known = {t: c.quantities(t).get(name, {}) for t in c.runs}
        if all(q.get("value") is None for q in known.values()):
            return []
        found = [(t, known.get(t, {})) for t in self.temperatures_k]
        return [
            (t, nan, nan) if q.get("value") is None else (t, q["value"], q["error"])
            for t, q in found
        ]

    def beside(self, points: Points, k: int) -> Points:
        """Move the points of composition `k` a little sideways, so that none hides another."""
        middle = 0.5 * (self.n_compositions - 1)
        return [(t + (k - middle) * self._step_k, value, error) for t, value, error in points]

    def over_temperature(self, points: Points) -> Points:
        """Divide by the temperature, in 10⁻⁵ of the unit a kelvin."""
        return [(t, 1e5 * value / t, 1e5 * error / t) for t, value, error in points]

    @property
    def _step_k(self) -> float:
        gaps = np.diff(self.temperatures_k)
        if not len(gaps):
            return 1.0
        # close temperatures must not run into one another
        return float(min(_BESIDE * gaps.sum(), 0.6 * gaps.min() / self.n_compositions))


def _grid(results: ThermalResults) -> _Grid:
    temperatures = {t for c in results.compositions for t in c.runs}
    return _Grid(tuple(sorted(temperatures)), len(results.compositions))


def _window_points(windows: dict[str, Any], name: str) -> Points:
    if name not in windows:
        return []
    w = windows[name]
    return list(zip(w["positions"], w["values"], w["errors"], strict=True))


def _above_dulong_petit(points: Points) -> Points:
    from ase.units import kB

    if not points:
        return []
    t0, h0, _ = points[0]
    return [(t, 1e3 * (h - h0 - 3 * kB * (t - t0)), 1e3 * error) for t, h, error in points]


def _scaled(points: Points, factor: float) -> Points:
    return [(t, factor * value, factor * error) for t, value, error in points]


def _range(c: Composition) -> tuple[float, float]:
    inside = [t for t, run in c.runs.items() if run["is_crystal"]]
    return min(inside), max(inside)


def _errorbars(
    axes: "Axes",
    label: str,
    points: Points,
    k: int,
    *,
    line: str = "none",
    hollow: bool = False,
    ring: bool = False,
) -> None:
    """Draw values with their errors; `ring`: the first composition as rings about the others' points."""
    if not points:
        return
    x, y, error = np.array(points).T
    colour = COLOURS[k % len(COLOURS)]
    around = ring and k == 0
    face = "none" if around else "white" if hollow else colour
    axes.errorbar(
        x, y, yerr=error, color=colour, marker=_MARKERS[k % len(_MARKERS)],
        markersize=9 if around else 4, markerfacecolor=face, linestyle=line, linewidth=1.0,
        capsize=2, elinewidth=0.9, label=label or None, zorder=3 if around else 2,
    )  # fmt: skip


def _differences(
    axes: "Axes", results: ThermalResults, grid: _Grid, name: str, *, factor: float
) -> None:
    rows = [row for row in results.differences() if row["quantity"] == name]
    axes.axhline(0, color=QUIET, linewidth=1.0)
    for k, c in enumerate(results.compositions):
        own = {
            r["temperature_k"]: (r["value"], r["error"]) for r in rows if r["composition"] == c.name
        }
        if not own:
            continue
        points = [(t, *own.get(t, (nan, nan))) for t in grid.temperatures_k]
        _errorbars(axes, c.name, grid.beside(_scaled(points, factor), k), k, line="-")


def _note(axes: "Axes", text: str) -> None:
    axes.set_title(text, fontsize=7, loc="left", color="#5a6570")


def _legend_beside(axes: "Axes") -> None:
    axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _legend(axes: "Axes", columns: Sequence[int] = (1, 2)) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(handles, labels, fontsize=7, frameon=False, ncols=columns[len(labels) > 5])
