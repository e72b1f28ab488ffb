"""The tables of a study, given the paper's own rows: they must show what the paper printed."""

import io

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from matplotlib.image import imread

from moalloy_md.report.paper_tables import TABLE_1, TABLE_2
from moalloy_md.report.study_plots import Panel, learning_curve, lodo_bars, parity_picture
from moalloy_md.report.study_tables import table_1, table_2, table_dilute, table_new
from moalloy_md.workflows.study.results import NUMBERS, Row, representative_row


def row(label, numbers, *, kind="iid", paradigm="tuned", paradigm_kind="fine-tune", size="medium"):
    return Row(
        run=f"{kind}/{label}/{paradigm}/{size}", evaluation="evaluate", protocol=kind, kind=kind,
        label=label, fraction=1.0, paradigm=paradigm, paradigm_kind=paradigm_kind, size=size,
        proxies="", wall_s=None, numbers={**dict.fromkeys(NUMBERS), **numbers},
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
    n = (len(view.columns) - 1 + 1) // 2  # strict has one column more: the oracle
    assert line(view, "W")[1:3] == ["117.84", "123.69"]
    everything = line(view, "MeanAll")
    assert everything[1:3] == ["76.98 ± 36.05", "80.93 ± 37.18"]
    relaxed = view.columns.index("lodo-relaxed: E MAE")
    assert relaxed == n + 1
    assert everything[relaxed] == "20.03 ± 38.53"
    without = line(view, "mean without an outlier")
    assert without[1].startswith("76.27 ± ")
    assert without[1].endswith("(without Cr)")
    assert without[relaxed].startswith("8.42 ± ")
    paper = line(view, "paper, FT-Eq (Medium): mean of all 11")
    assert (paper[1], paper[relaxed]) == ("76.98 ± 36.05", "20.03 ± 38.53")
    hints = next(one for one in view.lines if one.cells[0].text == "MeanAll").cells[1].hint
    assert hints.splitlines()[0] == "lodo-strict/Fe/tuned/medium/evaluate"
    assert len(hints.splitlines()) == 11


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
    without = line(view, "mean without an outlier")
    assert without[1].endswith("(without Re)")
    assert without[view.columns.index("lodo-relaxed: E MAE")].endswith("(without Cr)")


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
        learning_curve({"a": [(20, 5.0, 1.0), (40, 3.0, 0.0)]}, ylabel="energy MAE"),
    ):
        pixels = imread(io.BytesIO(data))
        assert min(pixels.shape[:2]) > 100
        assert pixels.std() > 0.01  # something is drawn
