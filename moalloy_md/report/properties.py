"""The page that ``moalloy properties`` leaves: one table, its plots, and the plots as PNG beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moalloy_md.report.page import Picture, write_page
from moalloy_md.report.properties_plots import deviation_plot, equation_of_state_plot, phonon_plot
from moalloy_md.rundir import replacing
from moalloy_md.workflows.properties_reference import LABELS, Reference

PAGE = "properties.html"

_DEVIATIONS = (
    "Deviation of each property from its reference; of a range, from the nearer end. The grey band "
    "is ±10 %."
)
_EQUATION_OF_STATE = (
    "Energy against volume (points) and the Birch-Murnaghan equation of state through them (line); "
    "dashed: the volume at the minimum."
)
_PHONONS = (
    "Phonons by finite displacement in {n} atoms, and their density of states. Imaginary "
    "frequencies, if there are any, are drawn in red below zero."
)


def write_properties_report(
    out: Path, results: Mapping[str, Any], *, versions: Mapping[str, str | None]
) -> Path:
    """Write the page and its plots.

    Parameters
    ----------
    out
        Folder: ``properties.html``, ``deviations.png``, ``equation_of_state.png``, ``phonons.png``.
    results
        Content of ``properties.json``.
    versions
        Versions of what was used, by name.

    Returns
    -------
    Path
        The page.
    """
    pictures = _pictures(results)
    for name, picture in pictures.items():
        with replacing(out / f"{name}.png") as temporary:
            temporary.write_bytes(picture.png)
    page = out / PAGE
    write_page(
        page,
        "properties.html.j2",
        results=results,
        rows=[_row(key, entry) for key, entry in results["properties"].items()],
        sources=_sources(results["properties"]),
        pictures=list(pictures.values()),
        versions=versions,
    )
    return page


def table_rows(properties: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of the table: property, value with its unit, reference, deviation."""
    rows = [_row(key, entry) for key, entry in properties.items()]
    return [(r["label"], r["value"], r["reference"], r["deviation"]) for r in rows]


def _row(key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    spec = LABELS[key][2]
    reference = entry["reference"]
    row = {
        "label": entry["label"],
        "value": f"{entry['value']:{spec}} {entry['unit']}".strip(),
        "reference": "",
        "deviation": "",
        "source": reference["source"] if reference else "",
        "kind": reference["kind"] if reference else "",
    }
    if reference:
        known = Reference(reference["low"], reference["high"], "", "")
        off = reference["deviation_percent"]
        row["reference"] = known.text
        row["deviation"] = "within" if off == 0 else f"{off:+.1f} %"
    return row


def _sources(properties: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Kind, source, and the properties whose references come from there."""
    by_source: dict[tuple[str, str], list[str]] = {}
    for entry in properties.values():
        if entry["reference"]:
            key = entry["reference"]["kind"], entry["reference"]["source"]
            by_source.setdefault(key, []).append(entry["label"])
    return [(kind, source, ", ".join(labels)) for (kind, source), labels in by_source.items()]


def _pictures(results: Mapping[str, Any]) -> dict[str, Picture]:
    pictures = {}
    if any(entry["reference"] for entry in results["properties"].values()):
        pictures["deviations"] = Picture(deviation_plot(results["properties"]), _DEVIATIONS)
    state = results["equation_of_state"]
    if state:
        pictures["equation_of_state"] = Picture(equation_of_state_plot(state), _EQUATION_OF_STATE)
    if results["phonons"]:
        caption = _PHONONS.format(n=results["phonons"]["supercell_atoms"])
        pictures["phonons"] = Picture(phonon_plot(results["phonons"]), caption)
    return pictures
