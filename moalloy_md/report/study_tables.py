"""The tables of a study's report: the paper's, with its rows beside ours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from moalloy_md.elements import atomic_number
from moalloy_md.report.paper_tables import NEW_ELEMENTS, TABLE_1, TABLE_2, PaperRow
from moalloy_md.workflows.study.results import Mean, Row, groups, means, outlier


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    hint: str = ""
    """Which runs a number is of; shown when the pointer rests on it."""


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    cells: tuple[Cell, ...]
    style: str = ""
    """``paper`` for the paper's numbers, ``mean`` for a mean over the lines above."""


@dataclass(frozen=True)
class TableView:
    """A table as the page and a CSV file show it."""

    name: str
    """Of the CSV file."""
    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())


#: Columns of the table of random splits: title, number of `study_results.NUMBERS`, decimals.
_IID = (
    ("E MAE (meV/atom)", "energy_mae_mev_per_atom", 2),
    ("E RMSE (meV/atom)", "energy_rmse_mev_per_atom", 2),
    ("E MAE, references aligned", "shifted_energy_mae_mev_per_atom", 2),
    ("F MAE (meV/Å)", "force_mae_mev_per_angstrom", 2),
    ("F RMSE (meV/Å)", "force_rmse_mev_per_angstrom", 2),
    ("F MAE, vectors", "force_vector_mae_mev_per_angstrom", 2),
    ("mean |F|", "mean_abs_force_mev_per_angstrom", 1),
    ("R² of F", "force_r2", 3),
    ("slope of F", "force_slope", 2),
)
_LODO = (
    ("E MAE", "energy_mae_mev_per_atom", 2),
    ("E RMSE", "energy_rmse_mev_per_atom", 2),
    ("F MAE", "force_mae_mev_per_angstrom", 1),
    ("F RMSE", "force_rmse_mev_per_angstrom", 1),
)
_ALIGNED = ("E MAE, aligned", "shifted_energy_mae_mev_per_atom", 2)
_ORACLE = ("E MAE, oracle", "oracle_energy_mae_mev_per_atom", 2)
_DILUTE = (
    ("substitution MAE", "substitution_mae_mev", 0),
    ("with references aligned", "shifted_substitution_mae_mev", 0),
    ("binding MAE", "binding_mae_mev", 0),
    ("mean |binding|", "binding_mean_abs_mev", 0),
    ("sign right", "binding_sign_agreement", 2),
    ("rank correlation", "binding_rank_correlation", 2),
    ("relaxation MAE", "relaxation_mae_mev", 0),
)
_BLANK = Cell("–")


def table_1(rows: Sequence[Row]) -> TableView | None:
    """Errors under random splits, as the paper's Table 1; None without such runs."""
    chosen = [row for row in rows if row.kind == "iid" and row.fraction == 1]
    if not chosen:
        return None
    lines: list[Line] = []
    shown: list[PaperRow] = []
    for (protocol, paradigm, size), members in groups(
        chosen, "protocol", "paradigm", "size"
    ).items():
        found = means(members)
        name = Cell(f"{paradigm}, {size}", f"{len(members)} folds of {protocol}")
        lines.append(Line((name, Cell(protocol), *_means(found, _IID), Cell(str(len(members))))))
        beside = [
            paper for paper in _paper_rows(members[0].paradigm_kind, size) if paper not in shown
        ]
        lines += [_paper_line(paper) for paper in beside]
        shown += beside
    return TableView(
        name="table_1",
        title="Random splits (the paper's Table 1)",
        columns=("model", "protocol", *(title for title, *_ in _IID), "folds"),
        lines=tuple(lines),
        notes=(
            (
                "Mean ± standard deviation over folds. Force errors are over Cartesian components; over "
                "the lengths of the error vectors, as the paper's text writes them, in the column so "
                "named. Mean |F| is the error of predicting no force, at which R² is 0."
            ),
            "Rows in italics are the paper's, for other cells: 128 and 108 atoms with 11 dopants.",
        ),
    )


def _paper_rows(kind: str, size: str) -> list[PaperRow]:
    """Rows of the same kind and size; of all its sizes where it has none of this name."""
    of_kind = [paper for paper in TABLE_1 if paper.kind == kind]
    return [paper for paper in of_kind if paper.size == size] or of_kind


def _paper_line(paper: PaperRow) -> Line:
    known = {
        "energy_mae_mev_per_atom": paper.energy_mae,
        "energy_rmse_mev_per_atom": paper.energy_rmse,
        "force_mae_mev_per_angstrom": paper.force_mae,
        "force_rmse_mev_per_angstrom": paper.force_rmse,
    }
    cells = (
        Cell(f"{known[key][0]:.2f} ± {known[key][1]:.2f}") if key in known else _BLANK
        for _, key, _ in _IID
    )
    return Line((Cell(f"paper: {paper.name}"), _BLANK, *cells, _BLANK), "paper")


def table_2(rows: Sequence[Row], named_outlier: str | None) -> list[TableView]:
    """Errors by held-out dopant, as the paper's Table 2, one table a paradigm and size."""
    chosen = [row for row in rows if row.kind.startswith("lodo")]
    views = []
    for (paradigm, size), members in groups(chosen, "paradigm", "size").items():
        by_protocol = groups(members, "protocol")
        columns = [
            (f"{protocol}: {title}", key, decimals)
            for (protocol,) in by_protocol
            for title, key, decimals in _columns_of(by_protocol[protocol,])
        ]
        elements = sorted({row.label for row in members}, key=atomic_number)
        lines = [_element_line(x, by_protocol) for x in elements]
        lines += _mean_lines(by_protocol, named_outlier)
        lines += _paper_means(by_protocol) if members[0].paradigm_kind == "fine-tune" else []
        views.append(
            TableView(
                name=f"table_2_{paradigm}_{size}",
                title=f"One dopant left out (the paper's Table 2): {paradigm}, {size}",
                columns=("held out", *(title for title, *_ in columns)),
                lines=tuple(lines),
                notes=_lodo_notes(by_protocol),
            )
        )
    return views


def _columns_of(members: Sequence[Row]) -> tuple[tuple[str, str, int], ...]:
    strict = members[0].kind == "lodo-strict"
    return (*_LODO, _ALIGNED, _ORACLE) if strict else (*_LODO, _ALIGNED)


def _element_line(element: str, by_protocol: Mapping[tuple[str, ...], Sequence[Row]]) -> Line:
    cells = [Cell(element)]
    for members in by_protocol.values():
        of_element = [row for row in members if row.label == element]
        found = means(of_element)
        cells += _means(found, _columns_of(members))
    return Line(tuple(cells))


def _mean_lines(
    by_protocol: Mapping[tuple[str, ...], Sequence[Row]], named_outlier: str | None
) -> list[Line]:
    everything, without = [Cell("MeanAll")], [Cell("mean without an outlier")]
    for members in by_protocol.values():
        columns = _columns_of(members)
        everything += _means(means(members), columns)
        left_out = outlier(members, named_outlier)
        if left_out is None:
            without += [_BLANK] * len(columns)
            continue
        rest = means([row for row in members if row.label != left_out])
        cells = _means(rest, columns)
        without += [Cell(f"{cell.text} (without {left_out})", cell.hint) for cell in cells[:1]]
        without += cells[1:]
    return [Line(tuple(everything), "mean"), Line(tuple(without), "mean")]


def _paper_means(by_protocol: Mapping[tuple[str, ...], Sequence[Row]]) -> list[Line]:
    """Means of the paper's rows over all its elements, and over those that are held out here."""
    lines = []
    elements = {row.label for members in by_protocol.values() for row in members}
    shared = sorted(elements & TABLE_2["lodo-strict"].keys(), key=atomic_number)
    for what, names in (("all 11", None), (", ".join(shared), shared)):
        if names is not None and not names:
            continue
        cells = [Cell(f"paper, FT-Eq (Medium): mean of {what}")]
        for members in by_protocol.values():
            table = TABLE_2[members[0].kind]
            values = np.array([table[x] for x in (names or table)])
            many = len(values) > 1
            cells += [
                Cell(
                    f"{values[:, k].mean():.{decimals}f}"
                    + (f" ± {values[:, k].std(ddof=1):.{decimals}f}" if many else "")
                )
                for k, (_, _, decimals) in enumerate(_LODO)
            ]
            cells += [_BLANK] * (len(_columns_of(members)) - len(_LODO))
        lines.append(Line(tuple(cells), "paper"))
    return lines


def _lodo_notes(by_protocol: Mapping[tuple[str, ...], Sequence[Row]]) -> tuple[str, ...]:
    notes = [
        (
            "Energies in meV/atom, forces in meV/Å (components). MeanAll: mean ± standard deviation over "
            "the held-out dopants."
        )
    ]
    if any(members[0].kind == "lodo-strict" for members in by_protocol.values()):
        notes.append(
            "Aligned: with the references of the elements aligned on the training cells. That of a "
            "strictly held-out dopant cannot be known from these, and stays the model's. Oracle: with it taken from the test's own labels, which nobody has in practice: what is "
            "left is what the model gets wrong beside that constant."
        )
    kinds = {members[0].kind: protocol for (protocol,), members in by_protocol.items()}
    if len(kinds) == 2:
        notes.append("Where no cell has two different dopants the two protocols coincide.")
    return tuple(notes)


def table_dilute(rows: Sequence[Row]) -> TableView | None:
    """Errors of the energies of dilute alloys, meV per cell; None where no cell allows any."""
    names = [key for _, key, _ in _DILUTE]
    chosen = [row for row in rows if any(row.numbers[name] is not None for name in names)]
    if not chosen:
        return None
    lines = []
    keys = ("protocol", "fraction", "paradigm", "size", "evaluation")
    for (protocol, fraction, paradigm, size, evaluation), members in groups(chosen, *keys).items():
        if fraction != 1:
            continue
        part = " (old cells)" if evaluation == "evaluate-old" else ""
        name = Cell(f"{paradigm}, {size}{part}")
        lines.append(Line((name, Cell(protocol), *_means(means(members), _DILUTE))))
    return TableView(
        name="table_dilute",
        title="Energies of dilute alloys",
        columns=("model", "protocol", *(title for title, *_ in _DILUTE)),
        lines=tuple(lines),
        notes=(
            (
                "In meV per cell, mean ± standard deviation over folds: differences of whole energies of "
                "cells of the same shape, in which the partners of a held-out cell may be training cells. "
                "Mean |binding| is the error of predicting no binding."
            ),
        ),
    )


def table_new(rows: Sequence[Row]) -> TableView | None:
    """Elements that a fine-tuned model never saw; None without such runs."""
    chosen = [row for row in rows if row.kind == "new-elements"]
    if not chosen:
        return None
    lines = []
    columns = (*_IID[:5], _IID[6], _IID[7])
    keys = ("protocol", "paradigm", "size", "evaluation")
    for (protocol, paradigm, size, evaluation), members in groups(chosen, *keys).items():
        proxy = members[0].proxies
        test = "old cells" if evaluation == "evaluate-old" else "cells with new elements"
        name = f"{paradigm}, {size}" + (f", proxy {proxy}" if proxy else "")
        cells = _means(means(members), columns)
        lines.append(Line((Cell(name), Cell(protocol), Cell(test), *cells)))
    for name, (mae, rmse) in NEW_ELEMENTS.items():
        what = {"proxy": "paper: FT-Eq (Medium), proxy", "refined": "paper: refine-tuned"}[name]
        blank = (_BLANK,) * (len(columns) - 2)
        cells = (Cell(what), _BLANK, Cell("79 cells, nine elements"))
        lines.append(Line((*cells, Cell(f"{mae:.2f}"), Cell(f"{rmse:.2f}"), *blank), "paper"))
    return TableView(
        name="table_new_elements",
        title="New elements: by proxies, and after refining",
        columns=("model", "protocol", "test", *(title for title, *_ in columns)),
        lines=tuple(lines),
        notes=(
            (
                "Proxy: the new element has the weights of another one, so the model cannot tell the two "
                "apart. On the old cells it shows what refining made the model forget."
            ),
        ),
    )


def _means(
    found: Mapping[str, Mean], columns: Sequence[tuple[str, str, int]]
) -> tuple[Cell, ...]:  # fmt: skip
    return tuple(_mean_cell(found.get(key), decimals) for _, key, decimals in columns)


def _mean_cell(mean: Mean | None, decimals: int) -> Cell:
    if mean is None:
        return _BLANK
    spread = "" if mean.std is None else f" ± {mean.std:.{decimals}f}"
    return Cell(f"{mean.mean:.{decimals}f}{spread}", "\n".join(mean.runs))
