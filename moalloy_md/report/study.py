"""The report of ``moalloy study report``: HTML, PNG and CSV, each number traceable to its runs."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.report.page import Picture, write_page
from moalloy_md.report.plots import write_pictures
from moalloy_md.report.study_plots import Panel, learning_curve, lodo_bars, parity_picture
from moalloy_md.report.study_tables import (
    TableView,
    table_1,
    table_2,
    table_dilute,
    table_new,
)
from moalloy_md.rundir import read_json, replacing, write_json
from moalloy_md.workflows.simulate.plan import RunStatus
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.plan import RUNS, SPLITS, Run
from moalloy_md.workflows.study.results import (
    Row,
    collect,
    groups,
    means,
    representative_row,
    summary,
)
from moalloy_md.workflows.study.run import status

PAGE = "report.html"


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
    content = {"outlier": config.outlier, "means": summary(rows, config.outlier)}
    write_json(folder / "summary.json", content)
    _write_csv(folder / "results.csv", _results(rows))
    _write_csv(folder / "dilute_energies.csv", _dilute_energies(out, rows))
    tables = [
        view
        for view in (
            table_1(rows),
            *table_2(rows, config.outlier),
            table_dilute(rows),
            table_new(rows),
        )
        if view is not None
    ]
    for view in tables:
        lines = [[cell.text for cell in line.cells] for line in view.lines]
        _write_csv(folder / f"{view.name}.csv", [list(view.columns), *lines])
    pictures = _pictures(out, rows)
    write_pictures({f"{name}.png": picture.png for name, picture in pictures.items()}, folder)
    _write_page(folder / PAGE, config, rows, states, (tables, list(pictures.values())))
    n_done = sum(found.state == "done" for found in states.values())
    return StudyReport(
        folder / PAGE, folder / "results.csv", content, len(runs), n_done, rows
    )  # fmt: skip


def _results(rows: Sequence[Row]) -> list[list[str]]:
    plain = [row.as_dict() for row in rows]
    header = list(plain[0]) if plain else ["run"]
    return [header, *(["" if v is None else str(v) for v in row.values()] for row in plain)]


def _dilute_energies(out: Path, rows: Sequence[Row]) -> list[list[str]]:
    """One line an energy of substitution, binding or relaxation and run, meV."""
    header = ["run", "evaluation", "kind", "name", "n_atoms", "reference_mev", "predicted_mev"]
    lines = [header]
    for row in rows:
        content = read_json(out / RUNS / row.run / row.evaluation / "metrics.json")
        for kind, errors in content["dilute"].items():
            for energy in errors["energies"]:
                values = [energy[key] for key in header[3:]]
                lines.append([row.run, row.evaluation, kind, *map(str, values)])
    return lines


def _write_csv(path: Path, lines: Sequence[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")


def _pictures(out: Path, rows: Sequence[Row]) -> dict[str, Picture]:
    """Pictures by file name."""
    found: dict[str, Picture] = {}
    iid = [row for row in rows if row.kind == "iid" and row.fraction == 1]
    for (protocol,), members in groups(iid, "protocol").items():
        chosen = [representative_row(m) for m in groups(members, "paradigm", "size").values()]
        for quantity in ("energy", "force"):
            panels = [_panel(out, row, f"{row.paradigm}, {row.size}", quantity) for row in chosen]
            found[f"parity_{quantity}_{protocol}"] = Picture(
                parity_picture(panels, quantity),
                f"Predicted against reference {quantity}, {protocol}: for each model the fold whose "
                "energy error is nearest to the mean over folds.",
            )
    lodo = [row for row in rows if row.kind.startswith("lodo")]
    if lodo:
        found |= _lodo_pictures(out, lodo)
    curve = _curve(out, [row for row in rows if row.kind == "iid"])
    return found | curve


def _panel(out: Path, row: Row, title: str, quantity: str) -> Panel:
    n = row.numbers
    if quantity == "energy":
        note = (
            f"MAE {n['energy_mae_mev_per_atom']:.1f} meV/atom\n"
            f"RMSE {n['energy_rmse_mev_per_atom']:.1f} meV/atom"
        )
    else:
        note = (
            f"MAE {n['force_mae_mev_per_angstrom']:.1f} meV/Å\n"
            f"mean |F| {n['mean_abs_force_mev_per_angstrom']:.0f} meV/Å"
        )
    return Panel(title, out / RUNS / row.run / row.evaluation / "predictions.extxyz", note)


def _lodo_pictures(out: Path, rows: Sequence[Row]) -> dict[str, Picture]:
    found = {}
    series = groups(rows, "protocol", "paradigm", "size")
    for name, key, ylabel in (
        ("lodo_energy", "energy_mae_mev_per_atom", "energy MAE (meV/atom)"),
        ("lodo_force", "force_mae_mev_per_angstrom", "force MAE (meV/Å)"),
    ):
        errors = {
            ", ".join(series_name): {
                row.label: value for row in members if (value := row.numbers[key]) is not None
            }
            for series_name, members in series.items()
        }
        found[name] = Picture(
            lodo_bars(errors, ylabel=ylabel), f"{ylabel} by the dopant that was held out."
        )
    tuned = [row for row in rows if row.paradigm_kind == "fine-tune"] or list(rows)
    first = next(iter(groups(tuned, "paradigm", "size").values()))
    panels = [_panel(out, row, f"{row.label} ({row.protocol})", "energy") for row in first]
    found["lodo_parity"] = Picture(
        parity_picture(panels, "energy"),
        f"Predicted against reference energy of each held-out dopant: {first[0].paradigm}, "
        f"{first[0].size}.",
    )
    return found


def _curve(out: Path, rows: Sequence[Row]) -> dict[str, Picture]:
    if len({row.fraction for row in rows}) < 2:
        return {}
    found = {}
    for name, key, ylabel in (
        ("learning_curve_energy", "energy_mae_mev_per_atom", "energy MAE (meV/atom)"),
        ("learning_curve_force", "force_mae_mev_per_angstrom", "force MAE (meV/Å)"),
    ):
        curves: dict[str, list[tuple[float, float, float]]] = {}
        for (paradigm, size, _), members in groups(rows, "paradigm", "size", "fraction").items():
            mean = means(members).get(key)
            if mean is not None and members[0].paradigm_kind != "zero-shot":
                n_train = sum(_n_train(out, row) for row in members) / len(members)
                point = (n_train, mean.mean, mean.std or 0.0)
                curves.setdefault(f"{paradigm}, {size}", []).append(point)
        found[name] = Picture(
            learning_curve(curves, ylabel=ylabel),
            f"{ylabel} against the number of training cells; bars are standard deviations over folds.",
        )
    return found


def _n_train(out: Path, row: Row) -> int:
    split = row.run.rsplit("/", 2)[0]
    return int(read_json(out / SPLITS / split / "split.json")["counts"]["train"]["frames"])


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
        paradigms={name: p.model_dump(mode="json") for name, p in config.paradigms.items()},
        sizes={name: size.foundation for name, size in config.sizes.items()},
    )
