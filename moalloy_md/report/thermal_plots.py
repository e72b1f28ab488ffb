"""Pictures of a thermal simulation: pure and doped side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moalloy_md.report.plots import QUIET, new_figure, png, write_pictures
from moalloy_md.report.study_plots import COLOURS
from moalloy_md.workflows.thermal.results import Composition, ThermalResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = "osD^vPX*"


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
    chosen = [c for c in results.compositions if _points(c, name)]
    if not chosen:
        return None
    with_differences = len(chosen) > 1
    figure, axes = new_figure(rows=1 + with_differences, height=3.4 + 2.2 * with_differences)
    for k, c in enumerate(chosen):
        _errorbars(axes[0], c.name, _points(c, name), k)
        if c.lattice is not None:
            temperatures = np.linspace(*_range(c), 100)
            values = [c.lattice.value(t)[0] for t in temperatures]
            axes[0].plot(temperatures, values, color=COLOURS[k % len(COLOURS)], linewidth=1.0)
    axes[0].set_ylabel("lattice parameter (Å)")
    axes[0].ticklabel_format(axis="y", useOffset=False)
    _legend(axes[0])
    if with_differences:
        _differences(axes[1], results, name, factor=1e3)
        axes[1].set_ylabel(f"Δa to {chosen[0].name} (10⁻³ Å)")
    axes[-1].set_xlabel("temperature (K)")
    return png(figure)


def heat_capacity_plot(results: ThermalResults) -> bytes | None:
    """Draw heat capacities: from the slope of the enthalpy (lines), from its fluctuations (points)."""
    fluctuations, slope = "heat_capacity_fluctuations_kb", "heat_capacity_kb"
    chosen = [c for c in results.compositions if _points(c, fluctuations) or _points(c, slope)]
    if not chosen:
        return None
    figure, (upper, lower) = new_figure(rows=2, height=5.4)
    for k, c in enumerate(chosen):
        for name, line in ((slope, "-"), (fluctuations, "none")):
            _errorbars(upper, c.name if line == "-" else "", _points(c, name), k, line=line)
        _errorbars(lower, c.name, _scaled(_points(c, "expansion_per_k"), 1e6), k, line="-")
    upper.axhline(3.0, color=QUIET, linewidth=1.0, linestyle="--")
    upper.set_ylabel("heat capacity ($k_B$/atom)")
    upper.text(
        0.01, 0.97, "joined: slope of the enthalpy; single: its fluctuations; dashed: Dulong-Petit",
        transform=upper.transAxes, va="top", fontsize=7, color="#5a6570",
    )  # fmt: skip
    upper.margins(y=0.2)
    lower.set_ylabel("linear expansion (10⁻⁶/K)")
    lower.set_xlabel("temperature (K)")
    _legend(lower)
    return png(figure)


def vibration_plot(results: ThermalResults) -> bytes | None:
    """Draw mean-square displacements of host and dopants, and Lindemann's ratio."""
    chosen = [c for c in results.compositions if _points(c, "msd_angstrom2")]
    if not chosen:
        return None
    figure, (upper, lower) = new_figure(rows=2, height=5.4)
    for k, c in enumerate(chosen):
        host = _points(c, f"msd_{results.host}_angstrom2")
        _errorbars(upper, f"{c.name}: {results.host}", host, k, line="-")
        for element in (x for x in c.counts if x != results.host):
            points = _points(c, f"msd_{element}_angstrom2")
            _errorbars(upper, f"{c.name}: {element}", points, k, line=":", hollow=True)
        _errorbars(lower, c.name, _points(c, "lindemann"), k, line="-")
    upper.set_ylabel("<u²> (Å²)")
    upper.set_ylim(bottom=0)
    _legend(upper)
    lower.set_ylabel("Lindemann's ratio √<u²>/d")
    lower.axhline(0.1, color=QUIET, linewidth=1.0, linestyle="--")
    lower.set_ylim(bottom=0)
    lower.set_xlabel("temperature (K)")
    return png(figure)


def rdf_plot(results: ThermalResults) -> bytes | None:
    """Draw g(r) at the lowest and the highest temperature."""
    chosen = [c for c in results.compositions if any(run["rdf"] for run in c.runs.values())]
    if not chosen:
        return None
    temperatures = sorted({t for c in chosen for t in c.runs})
    ends = list(dict.fromkeys((temperatures[0], temperatures[-1])))
    figure, axes = new_figure(rows=len(ends), height=2.7 * len(ends) + 0.3)
    for panel, temperature in zip(axes, ends, strict=True):
        for k, c in enumerate(chosen):
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

_UNKNOWN = {"value": float("nan"), "error": float("nan")}


def _points(c: Composition, name: str) -> Points:
    """Temperature, value and error; not a number where there is none, so that lines end there."""
    found = [(t, c.quantities(t).get(name) or {}) for t in sorted(c.runs)]
    known = [(t, q) if q.get("value") is not None else (t, _UNKNOWN) for t, q in found]
    if all(q is _UNKNOWN for _, q in known):
        return []
    return [(t, q["value"], q["error"]) for t, q in known]


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
    axes: "Axes", label: str, points: Points, k: int, *, line: str = "none", hollow: bool = False
) -> None:
    if not points:
        return
    x, y, error = np.array(points).T
    colour = COLOURS[k % len(COLOURS)]
    axes.errorbar(
        x, y, yerr=error, color=colour, marker=_MARKERS[k % len(_MARKERS)], markersize=4,
        markerfacecolor="white" if hollow else colour, linestyle=line, linewidth=1.0, capsize=2,
        elinewidth=0.9, label=label or None,
    )  # fmt: skip


def _differences(axes: "Axes", results: ThermalResults, name: str, *, factor: float) -> None:
    rows = [row for row in results.differences() if row["quantity"] == name]
    axes.axhline(0, color=QUIET, linewidth=1.0)
    for k, c in enumerate(results.compositions):
        own = [r for r in rows if r["composition"] == c.name]
        points = [(r["temperature_k"], factor * r["value"], factor * r["error"]) for r in own]
        _errorbars(axes, c.name, points, k, line="-")


def _legend(axes: "Axes", columns: Sequence[int] = (1, 2)) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        axes.legend(handles, labels, fontsize=7, frameon=False, ncols=columns[len(labels) > 5])
