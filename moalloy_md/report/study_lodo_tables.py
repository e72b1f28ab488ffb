"""The paper's Table 2: errors with one dopant after the other left out, with its rows beside ours."""

from collections.abc import Mapping, Sequence

import numpy as np

from moalloy_md.elements import atomic_number
from moalloy_md.report.paper_tables import TABLE_2
from moalloy_md.report.study_views import (
    BESIDE_FORCES,
    BLANK,
    Cell,
    Column,
    Line,
    TableView,
    mean_cells,
)
from moalloy_md.workflows.study.results import Row, groups, means, outliers, proxy_label

#: What the paper has too.
_PAPER: tuple[Column, ...] = (
    ("E MAE", "energy_mae_mev_per_atom", 2),
    ("E RMSE", "energy_rmse_mev_per_atom", 2),
    ("F MAE", "force_mae_mev_per_angstrom", 1),
    ("F RMSE", "force_rmse_mev_per_angstrom", 1),
)
_ALIGNED: Column = ("E MAE, aligned", "shifted_energy_mae_mev_per_atom", 2)
_ORACLE: Column = ("E MAE, oracle", "oracle_energy_mae_mev_per_atom", 2)
#: The paper's own outlier.
_PAPER_OUTLIER = "Cr"

_ByProtocol = Mapping[tuple[str, ...], Sequence[Row]]


def table_2(rows: Sequence[Row], named_outlier: str | None) -> list[TableView]:
    """Errors by held-out dopant, as the paper's Table 2, one table a paradigm and size.

    Parameters
    ----------
    rows
        Of the whole study.
    named_outlier
        Dopant that the second mean leaves out; see `moalloy_md.workflows.study.results.outlier`.
    """
    chosen = [row for row in rows if row.kind.startswith("lodo")]
    left_out = outliers(chosen, named_outlier)
    notes = (*_notes(chosen), *_outlier_note(left_out, named_outlier), *_coincidence_notes(chosen))
    views: list[TableView] = []
    for (paradigm, size), members in groups(chosen, "paradigm", "size").items():
        by_protocol = groups(members, "protocol")
        beside = members[0].paradigm_kind == "fine-tune"
        lines = _lines(by_protocol, beside_paper=beside)
        lines += _mean_lines(by_protocol, left_out)
        lines += _paper_means(by_protocol) if beside else []
        views.append(
            TableView(
                name=f"table_2_{paradigm}_{size}",
                title=f"One dopant left out (the paper's Table 2): {paradigm}, {size}",
                columns=(
                    "held out",
                    *(
                        f"{protocol}: {title}"
                        for (protocol,), of_it in by_protocol.items()
                        for title, *_ in _columns_of(of_it)
                    ),
                ),
                lines=tuple(lines),
                notes=() if views else notes,  # once is enough
            )
        )
    return views


def _columns_of(members: Sequence[Row]) -> tuple[Column, ...]:
    strict = members[0].kind == "lodo-strict"
    columns = (*_PAPER[:2], _ALIGNED, *((_ORACLE,) if strict else ()), *_PAPER[2:])
    return (*columns, *BESIDE_FORCES)


def _lines(by_protocol: _ByProtocol, *, beside_paper: bool) -> list[Line]:
    """Lines of the dopants, each with that of the paper under it."""
    ours = {row.label for members in by_protocol.values() for row in members}
    papers = set(TABLE_2["lodo-strict"]) if beside_paper else set()
    lines = []
    for element in sorted(ours | papers, key=atomic_number):
        if element in ours:
            lines.append(_element_line(element, by_protocol))
        if element in papers:
            cells = _paper_cells(by_protocol, [element])
            lines.append(Line((Cell(f"paper: {element}"), *cells), "paper"))
    return lines


def _element_line(element: str, by_protocol: _ByProtocol) -> Line:
    cells: list[Cell] = []
    of_all: list[Row] = []
    for members in by_protocol.values():
        of_element = [row for row in members if row.label == element]
        of_all += of_element
        cells += mean_cells(means(of_element), _columns_of(members))
    label = proxy_label(of_all)
    return Line((Cell(f"{element}, {label}" if label else element), *cells))


def _mean_lines(by_protocol: _ByProtocol, left_out: Mapping[str, str | None]) -> list[Line]:
    everything: list[Cell] = []
    without: list[Cell] = []
    for (protocol,), members in by_protocol.items():
        columns = _columns_of(members)
        everything += mean_cells(means(members), columns)
        rest = [row for row in members if row.label != left_out[protocol]]
        without += (
            [BLANK] * len(columns)
            if left_out[protocol] is None
            else mean_cells(means(rest), columns)
        )
    label = proxy_label(row for members in by_protocol.values() for row in members)
    end = f", {label}" if label else ""
    lines = [Line((Cell(f"MeanAll{end}"), *everything), "mean")]
    if named := _in_words({protocol: left_out[protocol] for (protocol,) in by_protocol}):
        lines.append(Line((Cell(f"mean without {named}{end}"), *without), "mean"))
    return lines


def _in_words(left_out: Mapping[str, str | None]) -> str:
    """``Cr``, or ``Hf (strict), Zr (relaxed)``."""
    named = {protocol: element for protocol, element in left_out.items() if element is not None}
    if len(set(named.values())) == 1 and len(named) == len(left_out):
        return next(iter(named.values()))
    return ", ".join(f"{element} ({protocol})" for protocol, element in named.items())


def _paper_means(by_protocol: _ByProtocol) -> list[Line]:
    """Means of the paper's rows: over all, without its outlier, over those that are held out here."""
    everything = TABLE_2["lodo-strict"].keys()
    ours = {row.label for members in by_protocol.values() for row in members}
    shared = sorted(ours & everything, key=atomic_number)
    wanted = {
        "paper: MeanAll": list(everything),
        f"paper: mean without {_PAPER_OUTLIER}": [x for x in everything if x != _PAPER_OUTLIER],
    }
    if shared:
        wanted[f"paper: mean of {', '.join(shared)}"] = shared
    return [
        Line((Cell(name), *_paper_cells(by_protocol, elements)), "paper mean")
        for name, elements in wanted.items()
    ]


def _paper_cells(by_protocol: _ByProtocol, elements: Sequence[str]) -> list[Cell]:
    """Means of the paper's rows of elements, under our columns."""
    cells: list[Cell] = []
    places = {key: (k, decimals) for k, (_, key, decimals) in enumerate(_PAPER)}
    for members in by_protocol.values():
        values = np.array([TABLE_2[members[0].kind][x] for x in elements])
        for _, key, _ in _columns_of(members):
            if key not in places:
                cells.append(BLANK)
                continue
            k, decimals = places[key]
            text = f"{values[:, k].mean():.{decimals}f}"
            if len(values) > 1:
                text += f" ± {values[:, k].std(ddof=1):.{decimals}f}"
            cells.append(Cell(text))
    return cells


def _notes(rows: Sequence[Row]) -> list[str]:
    notes = [
        (
            "Energies in meV/atom, forces in meV/Å (components). MeanAll: mean ± standard deviation over "
            "the held-out dopants. Mean |F| is the error of predicting no force, at which R² is 0. Rows "
            "in italics are the paper's FT-Eq (Medium), for other cells."
        )
    ]
    if any(row.kind == "lodo-strict" for row in rows):
        notes.append(
            "Aligned: with the references of the elements aligned on the training cells. That of a "
            "strictly held-out dopant cannot be known from these, and stays the model's. Oracle: with "
            "it taken from the test's own labels, which nobody has in practice: what is left is what "
            "the model gets wrong beside that constant."
        )
    return notes


def _outlier_note(left_out: Mapping[str, str | None], named: str | None) -> list[str]:
    found = _in_words(left_out)
    if not found:
        return []
    reason = (
        "named in the study's file"
        if named is not None
        else "the dopant with the largest energy MAE of the first fine-tuned model"
    )
    return [f"The second mean leaves out {found}, in the tables of all models: {reason}."]


def _coincidence_notes(rows: Sequence[Row]) -> list[str]:
    """Say for which dopants two protocols drew the same cells, to train on and to test on."""
    by_dopant = groups(rows, "label")
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for (dopant,), members in by_dopant.items():
        drawn = {row.protocol: row for row in members}
        strict = [row for row in drawn.values() if row.kind == "lodo-strict"]
        relaxed = [row for row in drawn.values() if row.kind == "lodo-relaxed"]
        for one in strict:
            for other in relaxed:
                if not one.test_sha256 or one.test_sha256 != other.test_sha256:
                    continue
                same = "all" if one.train_sha256 == other.train_sha256 else "test"
                pair = found.setdefault((one.protocol, other.protocol), {})
                pair.setdefault(same, []).append(dopant)
    notes = []
    for (one_name, other_name), by_kind in found.items():
        for same, dopants in by_kind.items():
            what = "the same training and test cells" if same == "all" else "the same test cells"
            named = ", ".join(sorted(dopants, key=atomic_number))
            notes.append(
                f"{one_name} and {other_name} have {what} for {named}: no cell has {_it(dopants)} "
                "beside another dopant."
            )
    return notes


def _it(dopants: Sequence[str]) -> str:
    return "it" if len(dopants) == 1 else "one of them"
