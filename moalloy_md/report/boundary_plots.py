"""Plots of a search for a boundary's structure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from moalloy_md.report.plots import ACCENT, DPI, LINE, QUIET, new_figure, png

#: Width of the part of the boundary that the picture shows, Å.
_SHOWN_ANGSTROM = 24.0
#: Atoms shown on either side of the boundary, Å.
_HEIGHT_ANGSTROM = 11.0


def candidates_plot(results: Mapping[str, Any]) -> bytes:
    """Draw the energies of all candidates against the density of atoms in the boundary.

    Parameters
    ----------
    results
        The content of ``boundary.json``.

    Returns
    -------
    bytes
        A PNG.
    """
    figure, (axes,) = new_figure(rows=1, height=3.4)
    area = results["area_angstrom2"]

    def removed(rows: Any) -> list[float]:
        return [row["n_removed"] / 2 / area * 100 for row in rows]

    rows, refined = results["candidates"], results["refined"]
    axes.plot(removed(rows), [row["energy_j_per_m2"] for row in rows], "o", color=LINE,
              markersize=4, alpha=0.5, label="candidates")  # fmt: skip
    axes.plot(removed(refined), [row["energy_j_per_m2"] for row in refined], "D", color=ACCENT,
              markersize=5, label="refined")  # fmt: skip
    axes.set_xlabel("atoms removed per nm² of boundary")
    axes.set_ylabel("boundary energy (J/m²)")
    lowest = results["energy_j_per_m2"]
    highest = max(row["energy_j_per_m2"] for row in rows)
    # some candidates are far from any structure: the interesting ones fill the picture
    axes.set_ylim(min(0.0, lowest), min(highest, 2.5 * abs(lowest) + 1.0) * 1.05)
    axes.set_title(f"lowest: {lowest:.2f} J/m²", fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    return png(figure)


def boundary_picture(atoms: Atoms) -> bytes:
    """Draw the upper boundary of a cell, projected along x: for tilts mostly the axis of the rotation.

    Parameters
    ----------
    atoms
        As `moalloy_md.structures.grain_boundaries.grain_boundary` makes them, relaxed or not. Coloured by
        ``arrays["excess_ev"]`` where there, else by grain; nearer atoms are larger.

    Returns
    -------
    bytes
        A PNG.
    """
    from matplotlib.figure import Figure

    plane = max(atoms.info["boundary_z"])
    shown = atoms.repeat((1, max(1, int(np.ceil(_SHOWN_ANGSTROM / atoms.cell[1, 1]))), 1))
    height = shown.cell[2, 2]
    below = shown.positions[:, 2] - plane < -height / 2  # the upper grain reaches through the top
    shown.positions[below] += shown.cell[2]
    shown.positions[:, 1] %= shown.cell[1, 1]
    shown = shown[np.abs(shown.positions[:, 2] - plane) < min(_HEIGHT_ANGSTROM, height / 4)]
    order = np.argsort(shown.positions[:, 0])
    x, y, z = shown.positions[order].T
    near = (x - x.min()) / max(float(np.ptp(x)), 1e-9)
    values = shown.arrays.get("excess_ev", shown.arrays["grain"])[order]
    by_energy = "excess_ev" in shown.arrays
    figure = Figure(figsize=(6.4, 5.0), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    limit = max(float(np.abs(values).max()), 0.05)
    drawn = axes.scatter(
        y, z - plane, s=70 + 90 * near, c=values, edgecolors="0.25", linewidths=0.6,
        cmap="RdBu_r" if by_energy else "Set2",
        vmin=-limit if by_energy else None, vmax=limit if by_energy else None,
    )  # fmt: skip
    if by_energy:
        figure.colorbar(drawn, ax=axes, label="energy above the crystal's (eV)", shrink=0.8)
    axes.axhline(0.0, color=QUIET, linewidth=0.9, linestyle="--", zorder=0)
    axes.set_aspect("equal")
    axes.set_xlabel("y (Å)")
    axes.set_ylabel("z from the boundary (Å)")
    axes.set_title(
        "seen along x, larger: nearer; dashed: middle of the gap", fontsize=8, loc="left"
    )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return png(figure)
