"""The tables of a study, given the paper's own rows: they must show what the paper printed."""

import io

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from matplotlib.image import imread

from moalloy_md.report.paper_tables import TABLE_1, TABLE_2
from moalloy_md.report.study_dilute_tables import (
    DiluteValue,
    dilute_csv,
    table_dilute,
    table_dilute_energies,
)
from moalloy_md.report.study_lodo_tables import table_2
from moalloy_md.report.study_pictures import curves
from moalloy_md.report.study_plots import (
    CurvePoint,
    Panel,
    learning_curve,
    lodo_bars,
    parity_picture,
)
from moalloy_md.report.study_tables import (
    learning_rows,
    table_1,
    table_committee,
    table_learning_curve,
    table_new,
)
from moalloy_md.workflows.study.results import (
    NUMBERS,
    Row,
    differences,
    outliers,
    representative_row,
    series_name,
    summary,
)


def row(
    label, numbers, *, kind="iid", paradigm="tuned", paradigm_kind="fine-tune", size="medium",
    protocol=None, fraction=1.0, **more,
):  # fmt: skip
    protocol = protocol or kind
    fold = label if fraction == 1 else f"{label}-{fraction}"
    return Row(
        **{
            "run": f"{protocol}/{fold}/{paradigm}/{size}", "evaluation": "evaluate",
            "protocol": protocol, "kind": kind, "label": label, "fraction": fraction,
            "paradigm": paradigm, "paradigm_kind": paradigm_kind, "size": size, "proxies": "",
            "wall_s": None, **more, "numbers": {**dict.fromkeys(NUMBERS), **numbers},
        }
    )  # fmt: skip


COLUMNS = (
    "energy_mae_mev_per_atom", "energy_rmse_mev_per_atom", "force_mae_mev_per_angstrom",
    "force_rmse_mev_per_angstrom",
)  # fmt: skip


@pytest.fixture(scope="module")
def published():
    return [
        row(x, dict(zip(COLUMNS, values, strict=True)), kind=kind)
        for kind, table in TABLE_2.items()
        for x, values in table.items()
    ]


def line(view, name):
    return next(
        [cell.text for cell in one.cells] for one in view.lines if one.cells[0].text == name
    )


def test_table_2_of_the_papers_rows_has_its_means(published):
    (view,) = table_2(published, "Cr")
    relaxed = view.columns.index("lodo-relaxed: E MAE")
    assert view.columns[1] == "lodo-strict: E MAE"
    assert (len(view.columns) + 1) % 2 == 1  # strict has one column more: the oracle
    assert line(view, "W")[1:3] == ["117.84", "123.69"]
    everything = line(view, "MeanAll")
    assert everything[1:3] == ["76.98 ± 36.05", "80.93 ± 37.18"]
    assert everything[relaxed] == "20.03 ± 38.53"
    without = line(view, "mean without Cr")  # the paper's MeanNC
    assert without[1].startswith("76.27 ± ")
    assert without[relaxed].startswith("8.42 ± ")
    for name in ("MeanAll", "mean without Cr"):  # the paper's own means are of the same rows
        ours, papers = line(view, name), line(view, f"paper: {name}")
        known = [k for k, text in enumerate(papers) if k and text != "–"]
        assert len(known) == 8
        assert [ours[k] for k in known] == [papers[k] for k in known]
    hints = next(one for one in view.lines if one.cells[0].text == "MeanAll").cells[1].hint
    assert hints.splitlines()[0] == "lodo-strict/Fe/tuned/medium/evaluate"
    assert len(hints.splitlines()) == 11


def test_table_2_has_a_line_of_the_paper_for_each_of_its_elements(published):
    ours = [one for one in published if one.label in {"W", "Ta"}]
    ours += [row("Hf", {"energy_mae_mev_per_atom": 1.0}, kind="lodo-strict")]
    (view,) = table_2(ours, None)
    names = [one.cells[0].text for one in view.lines if not one.style.endswith("mean")]
    assert [name for name in names if not name.startswith("paper")] == ["Hf", "Ta", "W"]
    assert {name for name in names if name.startswith("paper")} == {
        f"paper: {x}" for x in TABLE_2["lodo-strict"]
    }
    assert names.index("paper: Ta") == names.index("Ta") + 1
    force = view.columns.index("lodo-relaxed: F MAE")
    assert line(view, "paper: Cr")[force] == "77.4"
    assert line(view, "paper: mean of Ta, W")[1] == "115.13 ± 3.83"
    zero = [row("W", {}, kind="lodo-strict", paradigm="zero", paradigm_kind="zero-shot")]
    assert all("paper" not in one.style for one in table_2(zero, None)[0].lines)


def test_what_tells_zero_from_success_stands_beside_every_force_error(published):
    rows = [row("00", {}), row("00", {}, fraction=0.5, n_train=4, n_train_atoms=8)]
    rows += [row("00", {}, n_train=8, n_train_atoms=16)]
    new = [row("00", {}, kind="new-elements")]
    committee = [row("00", {"committee_models": 3})]
    views = [
        table_1(rows), *table_2(published, None), table_learning_curve(rows), table_new(new),
        table_committee(committee),
    ]  # fmt: skip
    for view in views:
        own = [title.rpartition(": ")[2] for title in view.columns]
        n_force = sum(title.startswith("F MAE") for title in own) or own.count("MAE (meV/Å)")
        assert n_force > 0
        for title in ("mean |F|", "R² of F", "slope of F"):
            assert own.count(title) in {n_force, n_force - own.count("F MAE, vectors")}, view.name
            assert title in own


def test_one_outlier_for_all_models_of_a_protocol():
    def of(paradigm, kind, errors, protocol="strict"):
        return [
            row(x, {"energy_mae_mev_per_atom": e}, kind="lodo-strict", protocol=protocol,
                paradigm=paradigm, paradigm_kind=kind)
            for x, e in errors.items()
        ]  # fmt: skip

    rows = [
        *of("zero", "zero-shot", {"W": 9.0, "Hf": 1.0, "Nb": 2.0}),
        *of("tuned", "fine-tune", {"W": 1.0, "Hf": 5.0, "Nb": 2.0}),
        *of("other", "fine-tune", {"W": 1.0, "Hf": 2.0, "Nb": 7.0}),
        *of("tuned", "fine-tune", {"W": 1.0, "Hf": 3.0, "Nb": 8.0}, protocol="again"),
    ]
    assert outliers(rows, None) == {"strict": "Hf", "again": "Nb"}
    assert outliers(rows, "W") == {"strict": "W", "again": "W"}
    assert outliers(rows, "Cr") == {"strict": None, "again": None}
    alone = [one for one in rows if one.protocol == "strict"]
    views = {view.name: view for view in table_2(alone, None)}
    for paradigm, mean in (("zero", "5.50"), ("tuned", "1.50"), ("other", "4.00")):
        assert line(views[f"table_2_{paradigm}_medium"], "mean without Hf")[1].startswith(mean)
    assert "Hf" in views["table_2_zero_medium"].notes[2]
    both = {view.name: view for view in table_2(rows, None)}["table_2_tuned_medium"]
    assert line(both, "mean without Hf (strict), Nb (again)")[1].startswith("1.50")
    assert {entry["outlier"] for entry in summary(alone, None)} == {"Hf"}
    # without a fine-tuned model the first one decides
    assert outliers(rows[:3], None) == {"strict": "W"}


def test_protocols_coincide_where_they_drew_the_same_cells():
    def rows(strict, relaxed):
        return [
            row(x, {}, kind=kind, train_sha256=train, test_sha256=test)
            for kind, drawn in (("lodo-strict", strict), ("lodo-relaxed", relaxed))
            for x, (train, test) in drawn.items()
        ]

    strict = {"W": ("a", "b"), "Zr": ("c", "d"), "Nb": ("e", "f"), "Ti": ("", "")}
    (view,) = table_2(
        rows(strict, {"W": ("a", "x"), "Zr": ("c", "d"), "Nb": ("y", "f"), "Ti": ("", "")}), None
    )
    said = [note for note in view.notes if "have the same" in note]
    assert len(said) == 2
    assert any("the same training and test cells for Zr:" in note for note in said)
    assert any("the same test cells for Nb:" in note for note in said)
    (view,) = table_2(rows(strict, {"W": ("a", "x")}), None)
    assert not any("have the same" in note for note in view.notes)


def _two_protocols():
    rows = []
    for protocol, offset in (("groups", 0.0), ("frames", 10.0)):
        for k, label in enumerate(("00", "01")):
            for fraction, n in ((1.0, 40), (0.5, 20 + 2 * k)):
                error = offset + 1 / fraction + k
                rows.append(
                    row(label, {"energy_mae_mev_per_atom": error}, protocol=protocol,
                        fraction=fraction, n_train=n, n_train_atoms=16 * n)
                )  # fmt: skip
        zero = {"paradigm": "zero", "paradigm_kind": "zero-shot"}
        rows.append(row("00", {"energy_mae_mev_per_atom": 99.0}, protocol=protocol, **zero))
    return rows


def test_a_learning_curve_is_of_one_protocol():
    found = curves(learning_rows(_two_protocols()), "energy_mae_mev_per_atom")
    half = 0.5**0.5  # standard deviation of two numbers that differ by 1
    assert found == {
        "tuned, medium (groups)": [
            CurvePoint(21.0, 2.5, pytest.approx(half)), CurvePoint(40.0, 1.5, pytest.approx(half)),
        ],
        "tuned, medium (frames)": [
            CurvePoint(21.0, 12.5, pytest.approx(half)), CurvePoint(40.0, 11.5, pytest.approx(half)),
        ],
    }  # fmt: skip


def test_table_of_learning_curves():
    view = table_learning_curve(_two_protocols())
    place = [view.columns.index(x) for x in ("protocol", "fraction", "training cells")]
    atoms, error = view.columns.index("training atoms"), view.columns.index("E MAE (meV/atom)")
    shown = [[one.cells[k].text for k in (*place, atoms, error)] for one in view.lines]
    assert shown == [
        ["groups", "0.5", "20–22", "320–352", "2.50 ± 0.71"],
        ["groups", "1", "40", "640", "1.50 ± 0.71"],
        ["frames", "0.5", "20–22", "320–352", "12.50 ± 0.71"],
        ["frames", "1", "40", "640", "11.50 ± 0.71"],
    ]
    header, first, *_ = view.csv_lines()
    assert header[-1] == "runs"
    assert first[-1] == "groups/00-0.5/tuned/medium/evaluate groups/01-0.5/tuned/medium/evaluate"
    whole = [one for one in _two_protocols() if one.fraction == 1]
    assert table_learning_curve(whole) is None


def test_forgetting_is_the_refined_models_error_less_its_parents():
    def one(label, paradigm, error, r2, *, evaluation="evaluate-old", test="t", **more):
        kind = "refine" if paradigm == "refined" else "fine-tune"
        numbers = {"energy_mae_mev_per_atom": error, "force_r2": r2}
        numbers |= {"mean_abs_force_mev_per_angstrom": 300.0}
        return row(
            label, numbers, kind="new-elements", paradigm=paradigm, paradigm_kind=kind,
            evaluation=evaluation, test_sha256=f"{test}{label}", **more,
        )  # fmt: skip

    rows = [
        one("00", "tuned", 5.0, 0.9), one("01", "tuned", 9.0, 0.8),
        one("00", "tuned", 70.0, 0.1, evaluation="evaluate", proxies="Hf=Zr"),
        one("00", "refined", 8.0, 0.7, parent="new-elements/00/tuned/medium"),
        one("01", "refined", 10.0, 0.7, parent="new-elements/01/tuned/medium"),
        one("00", "refined", 30.0, 0.5, evaluation="evaluate",
            parent="new-elements/00/tuned/medium"),
    ]  # fmt: skip
    found = differences([r for r in rows if r.evaluation == "evaluate-old"], rows)
    assert found["energy_mae_mev_per_atom"].mean == pytest.approx(2.0)
    assert found["energy_mae_mev_per_atom"].n == 2
    view = table_new(rows)
    forgotten = line(view, "refined, medium: forgotten")
    assert forgotten[3] == "+2.00 ± 1.41"
    assert forgotten[view.columns.index("R² of F")] == "-0.150 ± 0.071"
    assert forgotten[view.columns.index("mean |F|")] == "–"  # that of the same cells
    assert sum("forgotten" in one.cells[0].text for one in view.lines) == 1
    other = [*rows[:2], one("00", "refined", 8.0, 0.7, test="u", parent=rows[0].run)]
    assert differences(other[2:], other) == {}  # other test cells: no comparison
    entry = next(e for e in summary(rows, None) if e["paradigm"] == "refined")
    assert entry["refined_less_parent"]["energy_mae_mev_per_atom"]["mean"] == pytest.approx(2.0)


def test_proxies_are_named_in_every_table():
    numbers = {"energy_mae_mev_per_atom": 3.0, "substitution_mae_mev": 4.0, "committee_models": 2}
    new = row("00", numbers, kind="new-elements", proxies="Hf=Zr V=Nb")
    strict = row("Hf", numbers, kind="lodo-strict", proxies="Hf=Zr")
    other = row("W", numbers, kind="lodo-strict")
    assert series_name([new]) == "tuned, medium, proxy Hf=Zr V=Nb"
    assert series_name([other]) == "tuned, medium"
    for view in (table_new([new]), table_dilute([new]), table_committee([new])):
        assert "proxy Hf=Zr V=Nb" in view.lines[0].cells[0].text
    (view,) = table_2([strict, other], None)
    assert {"Hf, proxy Hf=Zr", "W", "MeanAll, proxy Hf=Zr"} <= {
        one.cells[0].text for one in view.lines
    }
    values = [DiluteValue(new, "substitution", "Hf, ideal", 16, 100.0, -0.2, "Hf=Zr")]
    assert table_dilute_energies(values).lines[0].cells[-1].text == "0 (proxy Hf=Zr)"
    header, first = dilute_csv(values)
    assert first[header.index("proxies")] == "Hf=Zr"
    assert summary([new], None)[0]["proxies"] == "proxy Hf=Zr V=Nb"


def test_energies_of_dilute_alloys_by_name():
    zero = {"paradigm": "zero", "paradigm_kind": "zero-shot"}
    a, b = row("00", {}), row("01", {})
    values = [
        DiluteValue(a, "binding", "W-Re shell 1, ideal", 16, -50.0, -40.0),
        DiluteValue(b, "binding", "W-Re shell 1, ideal", 16, -50.0, -60.0),
        DiluteValue(row("00", {}, **zero), "binding", "W-Re shell 1, ideal", 16, -50.0, 10.0),
        DiluteValue(a, "binding", "W-Re shell 1, ideal", 54, -20.0, -30.0),
        DiluteValue(b, "substitution", "W, ideal", 16, -2000.0, -1900.0),
        DiluteValue(row("00", {}, fraction=0.5), "substitution", "W, ideal", 16, -2000.0, 0.0),
    ]
    view = table_dilute_energies(values)
    assert view.columns[4:] == ("reference", "tuned, medium", "zero, medium")
    shown = [[cell.text for cell in one.cells] for one in view.lines]
    assert shown == [
        ["substitution", "W, ideal", "iid", "16", "-2000", "-1900", "–"],
        ["binding", "W-Re shell 1, ideal", "iid", "16", "-50", "-50 ± 14", "10"],
        ["binding", "W-Re shell 1, ideal", "iid", "54", "-20", "-30", "–"],
    ]
    assert view.lines[1].runs == tuple(
        f"iid/{x}/evaluate" for x in ("00/tuned/medium", "01/tuned/medium", "00/zero/medium")
    )
    assert table_dilute_energies([]) is None


def test_dilute_table_has_what_tells_relaxation_and_the_oracle():
    numbers = {
        "oracle_substitution_mae_mev": 7.0, "relaxation_mae_mev": 12.0,
        "relaxation_mean_abs_mev": 80.0, "relaxation_sign_agreement": 0.75,
        "relaxation_rank_correlation": 0.5,
    }  # fmt: skip
    view = table_dilute([row("00", numbers)])
    shown = dict(zip(view.columns, (cell.text for cell in view.lines[0].cells), strict=True))
    assert shown["substitution: oracle"] == "7"
    assert shown["relaxation: mean |E|"] == "80"
    assert shown["relaxation: sign right"] == "0.75"
    assert shown["relaxation: rank correlation"] == "0.50"
    assert [heading for heading, _ in view.headings if heading] == [
        "substitution", "binding", "relaxation",
    ]  # fmt: skip
    assert view.edges == {2, 5, 9}


def test_committees_have_a_table():
    numbers = {
        "committee_models": 3, "energy_rmse_mev_per_atom": 6.0,
        "committee_energy_mev_per_atom": 2.0, "committee_energy_error_over_spread": 3.0,
        "committee_force_rank_correlation": 0.62,
    }  # fmt: skip
    view = table_committee([row("00", numbers), row("01", {})])
    shown = dict(zip(view.columns, (cell.text for cell in view.lines[0].cells), strict=True))
    assert shown["models"] == "3"
    assert shown["energy: spread (meV/atom)"] == "2.00"
    assert shown["energy: RMSE / spread"] == "3.00"
    assert shown["force: rank correlation"] == "0.62"
    assert shown["folds"] == "1"  # the other is no committee
    assert table_committee([row("00", {})]) is None


def test_table_1_has_the_papers_rows_of_the_same_kind_and_size():
    rows = [row(f"{k:02d}", {"energy_mae_mev_per_atom": 8.0 + k}) for k in range(3)]
    view = table_1(rows)
    assert line(view, "tuned, medium")[2] == "9.00 ± 1.00"
    assert line(view, "tuned, medium")[-1] == "3"
    names = [one.cells[0].text for one in view.lines if one.style == "paper"]
    assert names == ["paper: FT-Eq (Medium)", "paper: FT-NonEq (Medium)"]
    assert line(view, names[0])[2] == "8.10 ± 1.40"
    assert table_1([]) is None


def test_table_1_has_all_of_the_papers_sizes_once_beside_a_size_of_another_name():
    rows = [row("00", {"energy_mae_mev_per_atom": 8.0}, size=size) for size in ("s1", "s2")]
    names = [one.cells[0].text for one in table_1(rows).lines if one.style == "paper"]
    assert len(names) == len(set(names)) == 6


def test_table_1_of_the_paper_is_what_reference_says():
    by_name = {paper.name: paper for paper in TABLE_1}
    assert len(by_name) == 12
    assert by_name["FT-NonEq (Large)"].force_rmse == (24.26, 0.48)
    assert by_name["Zero-shot-Eq (Medium)"].energy_mae == (184.43, 7.04)
    assert by_name["Scratch-Eq (Large)"].force_mae == (3.57, 1.08)


def test_tables_without_such_runs():
    rows = [row("00", {"energy_mae_mev_per_atom": 1.0})]
    assert table_2(rows, None) == []
    assert table_dilute(rows) is None
    assert table_new(rows) is None


def test_outlier_is_the_largest_error_where_none_is_named(published):
    (view,) = table_2(published, None)
    assert any("Re (lodo-strict), Cr (lodo-relaxed)" in note for note in view.notes)
    without = line(view, "mean without Re (lodo-strict), Cr (lodo-relaxed)")
    assert without[view.columns.index("lodo-relaxed: E MAE")].startswith("8.42 ± ")


def test_representative_fold_is_the_one_nearest_to_the_mean():
    rows = [row(str(k), {"energy_mae_mev_per_atom": v}) for k, v in enumerate((1.0, 5.5, 9.0))]
    assert representative_row(rows).label == "1"


def test_pictures_are_pictures(tmp_path):
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
    rng = np.random.default_rng(1)
    images = []
    for _ in range(4):
        one = atoms.copy()
        one.info |= {"REF_energy": -170 + rng.normal(), "pred_energy": -170 + rng.normal()}
        one.arrays["REF_forces"], one.arrays["pred_forces"] = rng.normal(size=(2, 16, 3))
        images.append(one)
    write(tmp_path / "p.extxyz", images)
    panels = [Panel(f"model {k}", tmp_path / "p.extxyz", "MAE 3") for k in range(4)]
    for data in (
        parity_picture(panels, "energy"),
        parity_picture(panels[:1], "force"),
        lodo_bars({"a": {"W": 3.0, "Re": 5.0}, "b": {"W": 2.0}}, ylabel="energy MAE"),
        lodo_bars({"a": {"W": 3.0}}, ylabel="force MAE", marks={"a": {"W": 9.0}}),
        learning_curve(
            {"a": [CurvePoint(20, 5.0, 6.0), CurvePoint(40, 3.0, 0.0)]},
            ylabel="energy MAE",
            levels={"mean |F|": 8.0},
        ),
    ):
        pixels = imread(io.BytesIO(data))
        assert min(pixels.shape[:2]) > 100
        assert pixels.std() > 0.01  # something is drawn
