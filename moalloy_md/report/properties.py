"""The page that ``moalloy properties`` leaves: one table, its plots, and the plots as PNG beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from moalloy_md.report.page import Picture, write_page
from moalloy_md.report.plots import write_pictures
from moalloy_md.report.properties_plots import deviation_plot, equation_of_state_plot, phonon_plot
from moalloy_md.workflows.properties.reference import LABELS, NOTABLE_PERCENT, Reference

PAGE = "properties.html"

_DEVIATIONS = (
    "Deviation of each property from its reference; of a range, from the nearer end. The grey band "
    f"is ±{NOTABLE_PERCENT:.0f} %."
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
    write_pictures({f"{name}.png": picture.png for name, picture in pictures.items()}, out)
    page = out / PAGE
    write_page(
        page,
        "properties.html.j2",
        results=results,
        rows=table_rows(results["properties"]),
        sources=_sources(results["properties"]),
        pictures=list(pictures.values()),
        versions=versions,
    )
    return page


class Row(NamedTuple):
    """A row of the table, as text."""

    label: str
    value: str
    reference: str
    deviation: str


def table_rows(properties: Mapping[str, Any]) -> list[Row]:
    """Rows of the table, from ``properties`` of ``properties.json``."""
    return [_row(key, entry) for key, entry in properties.items()]


def _row(key: str, entry: Mapping[str, Any]) -> Row:
    value = f"{entry['value']:{LABELS[key][2]}} {entry['unit']}".strip()
    found = entry["reference"]
    if not found:
        return Row(entry["label"], value, "", "")
    off = found["deviation_percent"]
    reference = Reference(found["low"], found["high"], found["kind"], found["source"])
    deviation = "within" if off == 0 else f"{off:+.1f} %"
    return Row(entry["label"], value, reference.text, deviation)


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
