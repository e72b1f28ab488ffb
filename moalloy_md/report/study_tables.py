"""Tables of a study's report beside those of held-out dopants and of dilute alloys."""

from collections.abc import Sequence

from moalloy_md.report.paper_tables import NEW_ELEMENTS, TABLE_1, PaperRow
from moalloy_md.report.study_views import (
    BESIDE_FORCES,
    BLANK,
    Cell,
    Column,
    Line,
    TableView,
    mean_cells,
    titles,
)
from moalloy_md.workflows.study.results import Row, differences, groups, means, series_name

_ENERGIES: tuple[Column, ...] = (
    ("E MAE (meV/atom)", "energy_mae_mev_per_atom", 2),
    ("E RMSE (meV/atom)", "energy_rmse_mev_per_atom", 2),
    ("E MAE, references aligned", "shifted_energy_mae_mev_per_atom", 2),
)
_FORCES: tuple[Column, ...] = (
    ("F MAE (meV/Å)", "force_mae_mev_per_angstrom", 2),
    ("F RMSE (meV/Å)", "force_rmse_mev_per_angstrom", 2),
)
#: Columns of the table of random splits.
_IID = (
    *_ENERGIES,
    *_FORCES,
    ("F MAE, vectors", "force_vector_mae_mev_per_angstrom", 2),
    *BESIDE_FORCES,
)
_COMMITTEE: tuple[Column, ...] = (
    ("energy: MAE (meV/atom)", "energy_mae_mev_per_atom", 2),
    ("energy: RMSE (meV/atom)", "energy_rmse_mev_per_atom", 2),
    ("energy: spread (meV/atom)", "committee_energy_mev_per_atom", 2),
    ("energy: RMSE / spread", "committee_energy_error_over_spread", 2),
    ("energy: rank correlation", "committee_energy_rank_correlation", 2),
    ("force: MAE (meV/Å)", "force_mae_mev_per_angstrom", 1),
    ("force: RMSE (meV/Å)", "force_rmse_mev_per_angstrom", 1),
    *((f"force: {title}", key, decimals) for title, key, decimals in BESIDE_FORCES),
    ("force: spread (meV/Å)", "committee_force_mev_per_angstrom", 1),
    ("force: RMSE / spread", "committee_force_error_over_spread", 2),
    ("force: rank correlation", "committee_force_rank_correlation", 2),
)


def table_1(rows: Sequence[Row]) -> TableView | None:
    """Errors under random splits, as the paper's Table 1; None without such runs."""
    chosen = [row for row in rows if row.kind == "iid" and row.fraction == 1]
    if not chosen:
        return None
    lines: list[Line] = []
    shown: list[PaperRow] = []
    for (protocol, _, size), members in groups(chosen, "protocol", "paradigm", "size").items():
        found = means(members)
        name = Cell(series_name(members))
        lines.append(
            Line((name, Cell(protocol), *mean_cells(found, _IID), Cell(str(len(members)))))
        )
        beside = [
            paper for paper in _paper_rows(members[0].paradigm_kind, size) if paper not in shown
        ]
        lines += [_paper_line(paper) for paper in beside]
        shown += beside
    return TableView(
        name="table_1",
        title="Random splits (the paper's Table 1)",
        columns=("model", "protocol", *titles(_IID), "folds"),
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
        Cell(f"{known[key][0]:.2f} ± {known[key][1]:.2f}") if key in known else BLANK
        for _, key, _ in _IID
    )
    return Line((Cell(f"paper: {paper.name}"), BLANK, *cells, BLANK), "paper")


def table_learning_curve(rows: Sequence[Row]) -> TableView | None:
    """Errors by the size of the training set; None where no protocol has several sizes."""
    chosen = learning_rows(rows)
    if not chosen:
        return None
    columns = (*_ENERGIES, *_FORCES, *BESIDE_FORCES)
    lines = []
    for (_, _, protocol, fraction), members in groups(
        chosen, "paradigm", "size", "protocol", "fraction"
    ).items():
        trained = (
            _over_folds([row.n_train for row in members]),
            _over_folds([row.n_train_atoms for row in members]),
        )
        name = Cell(series_name(members))
        cells = mean_cells(means(members), columns)
        folds = Cell(str(len(members)))
        lines.append(Line((name, Cell(protocol), Cell(f"{fraction:g}"), *trained, *cells, folds)))
    return TableView(
        name="table_learning_curve",
        title="Learning curves",
        columns=(
            "model", "protocol", "fraction", "training cells", "training atoms", *titles(columns),
            "folds",
        ),
        lines=tuple(lines),
        notes=(
            ("Mean ± standard deviation over folds, whose training sets may differ in size where whole "
            "groups are drawn. The test cells of a fold are the same for all its fractions."),
        ),
    )  # fmt: skip


def learning_rows(rows: Sequence[Row]) -> list[Row]:
    """Return rows of trained models under random splits with several sizes of the training set."""
    trained = [row for row in rows if row.kind == "iid" and row.n_train is not None]
    several = {
        protocol
        for (protocol,), members in groups(trained, "protocol").items()
        if len({row.fraction for row in members}) > 1
    }
    protocols, models = (
        list(dict.fromkeys(keys))
        for keys in ((row.protocol for row in rows), ((row.paradigm, row.size) for row in rows))
    )
    return sorted(
        (row for row in trained if row.protocol in several),
        key=lambda row: (
            protocols.index(row.protocol), models.index((row.paradigm, row.size)), row.fraction,
        ),
    )  # fmt: skip


def _over_folds(counts: Sequence[int | None]) -> Cell:
    known = [count for count in counts if count is not None]
    low, high = min(known), max(known)
    return Cell(str(low) if low == high else f"{low}–{high}")


def table_new(rows: Sequence[Row]) -> TableView | None:
    """Elements that a fine-tuned model never saw; None without such runs."""
    chosen = [row for row in rows if row.kind == "new-elements"]
    if not chosen:
        return None
    columns = (*_ENERGIES, *_FORCES, *BESIDE_FORCES)
    lines = []
    for (protocol, *_, evaluation), members in groups(
        chosen, "protocol", "paradigm", "size", "evaluation"
    ).items():
        name = Cell(series_name(members))
        old = evaluation == "evaluate-old"
        test = Cell("old cells" if old else "cells with new elements")
        folds = Cell(str(len(members)))
        cells = mean_cells(means(members), columns)
        lines.append(Line((name, Cell(protocol), test, *cells, folds)))
        if old and (change := differences(members, chosen)):
            shown = {key: mean for key, mean in change.items() if key != BESIDE_FORCES[0][1]}
            cells = mean_cells(shown, columns, sign=True)
            name = Cell(f"{series_name(members)}: forgotten")
            what = Cell("old cells, less its parent")
            n = Cell(str(max(mean.n for mean in change.values())))
            lines.append(Line((name, Cell(protocol), what, *cells, n), "mean"))
    for key, (mae, rmse) in NEW_ELEMENTS.items():
        named = {"proxy": "paper: FT-Eq (Medium), proxy", "refined": "paper: refine-tuned"}[key]
        cells = (Cell(named), BLANK, Cell("79 cells, nine elements"))
        blank = (BLANK,) * (len(columns) - 2 + 1)
        lines.append(Line((*cells, Cell(f"{mae:.2f}"), Cell(f"{rmse:.2f}"), *blank), "paper"))
    return TableView(
        name="table_new_elements",
        title="New elements: by proxies, and after refining",
        columns=("model", "protocol", "test", *titles(columns), "folds"),
        lines=tuple(lines),
        notes=(
            (
                "Proxy: the new element has the weights of another one, so the model cannot tell the two "
                "apart. Forgotten: the errors on the old test cells of the refined model less those of the "
                "model that it was refined from, fold by fold; errors above zero, and R² below, are forgotten."
            ),
        ),
    )


def table_committee(rows: Sequence[Row]) -> TableView | None:
    """How well the spread of committees predicts the error of their mean; None without any."""
    chosen = [row for row in rows if row.numbers["committee_models"] is not None]
    if not chosen:
        return None
    lines = []
    keys = ("protocol", "fraction", "paradigm", "size", "evaluation")
    for (protocol, fraction, *_, evaluation), members in groups(chosen, *keys).items():
        if fraction != 1:
            continue
        found = means(members)
        models = Cell(f"{found['committee_models'].mean:g}")
        name = Cell(series_name(members) + of_old_cells(evaluation))
        cells = mean_cells(found, _COMMITTEE)
        lines.append(Line((name, Cell(protocol), models, *cells, Cell(str(len(members))))))
    return TableView(
        name="table_committee",
        title="Committees: what their spread says of the error",
        columns=("model", "protocol", "models", *titles(_COMMITTEE), "folds"),
        lines=tuple(lines),
        notes=(
            (
                "Errors are those of the committee's mean. Spread: root mean square over the cells (or the "
                "components of the forces) of the standard deviation over the models. RMSE / spread is 1 "
                "for a committee that knows its error and above 1 for one that is too sure; the rank "
                "correlation is Spearman's of spread and error, over cells and over atoms."
            ),
        ),
    )


def of_old_cells(evaluation: str) -> str:
    """Return what to put behind a model's name where the test cells are those without new elements."""
    return " (old cells)" if evaluation == "evaluate-old" else ""
