"""Tables of the energies of dilute alloys: their errors, and the energies one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moalloy_md.elements import pairs_text
from moalloy_md.report.study_tables import of_old_cells
from moalloy_md.report.study_views import BLANK, Cell, Column, Line, TableView, mean_cells, titles
from moalloy_md.rundir import read_json
from moalloy_md.workflows.study.plan import RUNS
from moalloy_md.workflows.study.results import (
    Row,
    groups,
    means,
    over_folds,
    series_name,
)

_DILUTE: tuple[Column, ...] = (
    ("substitution: MAE", "substitution_mae_mev", 0),
    ("substitution: references aligned", "shifted_substitution_mae_mev", 0),
    ("substitution: oracle", "oracle_substitution_mae_mev", 0),
    ("binding: MAE", "binding_mae_mev", 0),
    ("binding: mean |E|", "binding_mean_abs_mev", 0),
    ("binding: sign right", "binding_sign_agreement", 2),
    ("binding: rank correlation", "binding_rank_correlation", 2),
    ("relaxation: MAE", "relaxation_mae_mev", 0),
    ("relaxation: mean |E|", "relaxation_mean_abs_mev", 0),
    ("relaxation: sign right", "relaxation_sign_agreement", 2),
    ("relaxation: rank correlation", "relaxation_rank_correlation", 2),
)
_KINDS = ("substitution", "binding", "relaxation")


@dataclass(frozen=True)
class DiluteValue:
    """One energy of a dilute alloy in one evaluation."""

    row: Row
    kind: str
    """``substitution``, ``binding`` or ``relaxation``."""
    name: str
    """Such as ``Re-W shell 1, ideal``."""
    n_atoms: int
    reference_mev: float
    predicted_mev: float
    proxies: str = ""
    """Elements of its cells for which others stood in, such as ``Hf=Zr``."""


def read_dilute(out: Path, rows: Sequence[Row]) -> list[DiluteValue]:
    """Read the energies of dilute alloys of all evaluations.

    Raises
    ------
    RunDirectoryError
        If the file of one is damaged.
    """
    found = []
    for row in rows:
        content = read_json(out / RUNS / row.run / row.evaluation / "metrics.json")
        for kind, errors in content["dilute"].items():
            for energy in errors["energies"]:
                own = energy.get("proxies")  # those that took part in this energy
                value = DiluteValue(
                    row=row,
                    kind=kind,
                    name=energy["name"],
                    n_atoms=energy["n_atoms"],
                    reference_mev=energy["reference_mev"],
                    predicted_mev=energy["predicted_mev"],
                    proxies=row.proxies if own is None else pairs_text(own),
                )
                found.append(value)
    return found


def dilute_csv(values: Sequence[DiluteValue]) -> list[list[str]]:
    """Return one line an energy and evaluation, meV."""
    header = [
        "run", "evaluation", "proxies", "kind", "name", "n_atoms", "reference_mev",
        "predicted_mev",
    ]  # fmt: skip
    lines = [
        [
            v.row.run, v.row.evaluation, v.proxies, v.kind, v.name,
            *map(str, (v.n_atoms, v.reference_mev, v.predicted_mev)),
        ]
        for v in values
    ]  # fmt: skip
    return [header, *lines]


def table_dilute(rows: Sequence[Row]) -> TableView | None:
    """Errors of the energies of dilute alloys, meV per cell; None where no cell allows any."""
    names = [key for _, key, _ in _DILUTE]
    chosen = [row for row in rows if any(row.numbers[name] is not None for name in names)]
    if not chosen:
        return None
    lines = []
    keys = ("protocol", "fraction", "paradigm", "size", "evaluation")
    for (protocol, fraction, *_, evaluation), members in groups(chosen, *keys).items():
        if fraction != 1:
            continue
        name = Cell(series_name(members) + of_old_cells(evaluation))
        cells = mean_cells(means(members), _DILUTE)
        lines.append(Line((name, Cell(protocol), *cells, Cell(str(len(members))))))
    return TableView(
        name="table_dilute",
        title="Energies of dilute alloys",
        columns=("model", "protocol", *titles(_DILUTE), "folds"),
        lines=tuple(lines),
        notes=(
            (
                "In meV per cell, mean ± standard deviation over folds: differences of whole energies of "
                "cells of the same shape, in which the partners of a held-out cell may be training cells. "
                "Mean |E| is the error of predicting zero. References aligned, oracle: with the references "
                "of the elements from the training cells, and from the test's own labels."
            ),
        ),
    )


def table_dilute_energies(values: Sequence[DiluteValue]) -> TableView | None:
    """Each energy of a dilute alloy by name: the reference, and each model's mean over folds.

    An energy is one of the reference: two of one name and size of cell, of other arrangements or
    other partners, have a line each.
    """
    whole = [v for v in values if v.row.fraction == 1]
    if not whole:
        return None
    series = list(dict.fromkeys((v.row.paradigm, v.row.size) for v in whole))
    energies: dict[tuple[str, str, str, int, float], list[DiluteValue]] = {}
    for v in whole:
        test = v.row.protocol + of_old_cells(v.row.evaluation)
        key = (v.kind, v.name, test, v.n_atoms, round(v.reference_mev, 3))
        energies.setdefault(key, []).append(v)
    tests = list(dict.fromkeys(test for _, _, test, *_ in energies))
    ordered = sorted(energies, key=lambda key: (_KINDS.index(key[0]), tests.index(key[2]), key[1:]))
    lines = []
    for key in ordered:
        kind, name, test, n_atoms, reference = key
        given = (Cell(kind), Cell(name), Cell(test), Cell(str(n_atoms)), Cell(f"{reference:.0f}"))
        cells = [
            _predicted([v for v in energies[key] if (v.row.paradigm, v.row.size) == one])
            for one in series
        ]
        lines.append(Line((*given, *cells)))
    return TableView(
        name="table_dilute_energies",
        title="Energies of dilute alloys, one by one",
        columns=(
            "kind", "energy", "protocol", "atoms", "reference",
            *(", ".join(one) for one in series),
        ),
        lines=tuple(lines),
        notes=(
            ("In meV per cell: the reference's, and each model's mean ± standard deviation over the folds "
            "that test it. The energy of a substitution holds the difference of the elements' reference "
            "energies. Proxy Hf=Zr: Zr stood in for Hf in its cells."),
        ),
        folded=True,
    )  # fmt: skip


def _predicted(values: Sequence[DiluteValue]) -> Cell:
    if not values:
        return BLANK
    mean = over_folds([(v.row, v.predicted_mev) for v in values])
    (cell,) = mean_cells({"mev": mean}, (("", "mev", 0),))
    proxies = dict.fromkeys(pair for v in values for pair in v.proxies.split())
    label = f" (proxy {' '.join(proxies)})" if proxies else ""
    return Cell(cell.text + label, cell.runs)
