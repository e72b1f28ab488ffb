"""Plot of a search for a boundary's structure."""

from collections.abc import Mapping
from typing import Any

from moalloy_md.report.plots import ACCENT, LINE, new_figure, png


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
