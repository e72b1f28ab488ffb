"""The report that ``moalloy quickstart`` leaves: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.errors import DataError
from moalloy_md.report.page import Picture, write_page

__all__ = ["REQUIRED", "ParityCheck", "Picture", "write_quickstart_report"]

#: Keys of the summary that DESIGN.md promises and the report cannot do without.
REQUIRED = (
    "data.n_train",
    "data.n_test",
    "test.energy_mae_mev_per_atom",
    "test.force_mae_mev_per_angstrom",
    "test.mean_abs_force_mev_per_angstrom",
    "parity",
    "md.lattice_parameter_angstrom.value",
    "md.lattice_parameter_angstrom.error",
    "md.bcc_fraction",
    "md.steps",
    "wall_s",
)

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class ParityCheck:
    """One line of the export's parity report: what was measured, and what was allowed."""

    name: str
    measured: float
    limit: float


def write_quickstart_report(
    out: Path,
    summary: Mapping[str, Any],
    *,
    error_pictures: Sequence[Picture] = (),
    pictures: Sequence[Picture] = (),
    caveats: Sequence[str] = (),
    parity: Sequence[ParityCheck] = (),
    versions: Mapping[str, str | None] | None = None,
    made_by: Sequence[tuple[str, str]] = (),
    next_commands: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the quickstart's report.

    Parameters
    ----------
    out
        The HTML file.
    summary
        Content of ``summary.json``: nested mappings with the keys `REQUIRED`. Shown where given:
        ``data.n_valid``, ``data.n_train_groups``, ``data.n_valid_groups``, ``data.n_test_groups``,
        ``data.elements``; ``test.energy_mae_interval``, ``test.force_mae_interval`` (pairs, 95 %),
        ``test.interval_method``; ``compared``, one entry a model with ``model``,
        ``energy_mae_mev_per_atom``, ``shifted_energy_mae_mev_per_atom`` and
        ``force_mae_mev_per_angstrom``; ``md.composition``, ``md.n_atoms``, ``md.temperature_k``,
        ``md.timestep_ps``.
    error_pictures, pictures
        Shown under the errors and under the MD results, in this order.
    caveats
        What the DFT data are not, one sentence each.
    parity
        Lines of the export's parity report.
    versions
        Versions of what was used, by name.
    made_by
        Commands that did each step, and which.
    next_commands
        Commands to go on with, and what each is for.

    Raises
    ------
    DataError
        If a required key is missing, or a picture is no PNG. Nothing is written then.
    """
    for key in REQUIRED:
        _require(summary, key)
    for picture in (*error_pictures, *pictures):
        if not picture.png.startswith(_PNG_MAGIC):
            raise DataError(
                f"expected a PNG for the picture {picture.caption!r}, found another file"
            )
    write_page(
        out,
        "quickstart.html.j2",
        data=summary["data"],
        test=summary["test"],
        compared=summary.get("compared", []),
        md=summary["md"],
        wall_s=summary["wall_s"],
        error_pictures=error_pictures,
        pictures=pictures,
        caveats=caveats,
        parity=parity,
        versions=versions or {},
        made_by=made_by,
        next_commands=next_commands,
    )


def _require(summary: Mapping[str, Any], key: str) -> None:
    found: Any = summary
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise DataError(f"quickstart summary: expected the key {key!r}, found none at {part!r}")
        found = found[part]
