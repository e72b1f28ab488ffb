"""A search for a boundary's structure as the command line shows it: a table, or JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from moalloy_md.workflows.boundary_search.config import BoundarySearchConfig
from moalloy_md.workflows.boundary_search.workflow import BEST, DATA, PLOT, search_boundary

#: Structures whose energies differ by less are shown as one.
_SAME_J_PER_M2 = 5e-4


def search_shown(
    config: BoundarySearchConfig, *, out: Path, processes: int | None, as_json: bool
) -> None:
    """Search, show how far it is, and print what was found; errors as `search_boundary`."""
    results = search_boundary(config, out=out, processes=processes, console=Console(stderr=True))
    if as_json:
        print(json.dumps(results, indent=2))  # noqa: T201  asked for
        return
    found = results["boundary"]
    axis, plane = (" ".join(map(str, found[key])) for key in ("axis", "plane"))
    table = Table(title=f"{found['host']} Σ{found['sigma']} [{axis}] ({plane}) {found['kind']}")
    for heading in ("shift x, Å", "shift y, Å", "gap, Å", "atoms removed", "γ, J/m²", "starts"):
        table.add_column(heading, justify="right")
    for row, n_starts in _distinct(results["refined"]):
        x, y = row["smallest_shift_angstrom"]
        table.add_row(
            f"{x:.2f}", f"{y:.2f}", f"{row['expansion_angstrom']:.2f}", str(row["n_removed"]),
            f"{row['energy_j_per_m2']:.3f}", str(n_starts),
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(
        f"lowest of {len(results['candidates'])} candidates: {results['energy_j_per_m2']:.3f} J/m², excess "
        f"volume {results['excess_volume_angstrom']:.3f} Å, {results['n_atoms']} atoms, misorientation "
        f"{found['misorientation_deg']:.2f}°, area {results['area_angstrom2']:.2f} Å²; "
        f"without shift {results['unshifted_j_per_m2']:.3f} J/m²",
        highlight=False,
    )
    console.print(
        f"{out / BEST}, {out / DATA}, {out / PLOT}", highlight=False, markup=False, soft_wrap=True
    )


def _distinct(refined: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], int]]:
    """Structures that differ in energy or atoms removed, and how many of the starts ended in each."""
    found: list[tuple[Mapping[str, Any], int]] = []
    for row in refined:
        for k, (other, n) in enumerate(found):
            difference = row["energy_j_per_m2"] - other["energy_j_per_m2"]
            if row["n_removed"] == other["n_removed"] and abs(difference) < _SAME_J_PER_M2:
                found[k] = (other, n + 1)
                break
        else:
            found.append((row, 1))
    return found
