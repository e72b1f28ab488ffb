"""The report of ``moalloy study report``: HTML, PNG and CSV, each number traceable to its runs."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.report.page import Picture, write_page
from moalloy_md.report.plots import write_pictures
from moalloy_md.report.study_dilute_tables import (
    DiluteValue,
    dilute_csv,
    read_dilute,
    table_dilute,
    table_dilute_energies,
)
from moalloy_md.report.study_lodo_tables import table_2
from moalloy_md.report.study_pictures import study_pictures
from moalloy_md.report.study_tables import (
    table_1,
    table_committee,
    table_learning_curve,
    table_new,
)
from moalloy_md.report.study_views import TableView
from moalloy_md.rundir import read_json, replacing, write_json
from moalloy_md.workflows.simulate.plan import RunStatus
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.plan import Run
from moalloy_md.workflows.study.results import Row, collect, outliers, proxy_label, summary
from moalloy_md.workflows.study.run import status

PAGE, SUMMARY = "report.html", "summary.json"


@dataclass(frozen=True)
class StudyReport:
    """What was written."""

    page: Path
    """The HTML page, which needs nothing else."""
    results: Path
    """``results.csv``: one row an evaluation."""
    summary: dict[str, Any]
    """Content of ``summary.json``."""
    n_runs: int
    """Runs of the study."""
    n_done: int
    """Those that are done, which the report is of."""
    rows: list[Row]
    """What the tables are made of."""


def write_study_report(out: Path, config: StudyConfig, runs: Sequence[Run]) -> StudyReport:
    """Write the report of a study into its folder ``report``; runs that are not done are named.

    Parameters
    ----------
    out
        Folder of the study.
    config, runs
        From `moalloy_md.workflows.study.run.read_study`.

    Raises
    ------
    RunDirectoryError
        If the result of a run is damaged.
    """
    rows = collect(out, config, runs)
    states = {run.name: status(out, run) for run in runs}
    folder = out / "report"
    folder.mkdir(exist_ok=True)
    dilute = read_dilute(out, rows)
    tables = _tables(rows, dilute, config)
    files = {
        "results.csv": _results(rows),
        "dilute_energies.csv": dilute_csv(dilute),
        **{f"{view.name}.csv": view.csv_lines() for view in tables},
    }
    pictures = study_pictures(out, rows)
    drawn = {f"{name}.png": picture.png for name, picture in pictures.items()}
    names = sorted((*files, *drawn))
    content = {
        "outlier": config.outlier,
        "left_out": outliers(rows, config.outlier),
        "proxies": proxy_label(rows),
        "means": summary(rows, config.outlier),
        "files": names,
    }
    _remove_earlier(folder, names)
    write_json(folder / SUMMARY, content)
    for name, lines in files.items():
        _write_csv(folder / name, lines)
    write_pictures(drawn, folder)
    _write_page(folder / PAGE, config, rows, states, (tables, list(pictures.values())))
    n_done = sum(found.state == "done" for found in states.values())
    return StudyReport(
        folder / PAGE, folder / "results.csv", content, len(runs), n_done, rows
    )  # fmt: skip


def _remove_earlier(folder: Path, kept: Sequence[str]) -> None:
    """Remove tables and pictures of an earlier report that this one does not have."""
    summary_file = folder / SUMMARY
    earlier = read_json(summary_file).get("files", []) if summary_file.exists() else []
    for name in set(earlier) - set(kept):
        (folder / name).unlink(missing_ok=True)


def _tables(
    rows: Sequence[Row], dilute: Sequence[DiluteValue], config: StudyConfig
) -> list[TableView]:
    found = (
        table_1(rows),
        *table_2(rows, config.outlier),
        table_learning_curve(rows),
        table_dilute(rows),
        table_dilute_energies(dilute),
        table_new(rows),
        table_committee(rows),
    )
    return [view for view in found if view is not None]


def _results(rows: Sequence[Row]) -> list[list[str]]:
    plain = [row.as_dict() for row in rows]
    header = list(plain[0]) if plain else ["run"]
    return [header, *(["" if v is None else str(v) for v in row.values()] for row in plain)]


def _write_csv(path: Path, lines: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def _write_page(
    page: Path,
    config: StudyConfig,
    rows: Sequence[Row],
    states: Mapping[str, RunStatus],
    shown: tuple[Sequence[TableView], Sequence[Picture]],
) -> None:
    tables, pictures = shown
    by_state: dict[str, int] = {}
    for found in states.values():
        by_state[found.state] = by_state.get(found.state, 0) + 1
    write_page(
        page,
        "study.html.j2",
        data=str(config.data),
        states=states,
        by_state=by_state,
        tables=tables,
        pictures=pictures,
        rows=rows,
        proxy_label=proxy_label,
        number=lambda value, decimals: "–" if value is None else f"{value:.{decimals}f}",
        paradigms={name: p.model_dump(mode="json") for name, p in config.paradigms.items()},
        sizes={name: size.foundation for name, size in config.sizes.items()},
    )
