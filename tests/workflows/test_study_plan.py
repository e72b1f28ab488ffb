"""Studies: the plan of runs and trainings, what makes no sense in one, and means over folds."""

from pathlib import Path

import numpy as np
import pytest

from moalloy_md.config import validate
from moalloy_md.datasets.bundled import load_bundled
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.workflows.study.config import StudyConfig, training
from moalloy_md.workflows.study.plan import Run, chains, make_folds, make_runs

NEW_HF = {"protocol": "new-elements", "elements": ["Hf"]}


def study(**changes):
    content = {
        "paradigms": {
            "zero-shot": {"kind": "zero-shot"},
            "scratch": {"kind": "scratch", "preset": "paper"},
            "tuned": {"kind": "fine-tune", "preset": "matched"},
            "refined": {"kind": "refine"},
        },
        "sizes": {"small": {"foundation": "small"}, "large": {"foundation": "large"}},
        "protocols": {
            "iid": {"protocol": "iid", "repeats": 2, "train_fractions": [0.5, 1.0]},
            "strict": {"protocol": "lodo-strict"},
            "relaxed": {"protocol": "lodo-relaxed", "held_out": ["W", "Re"]},
            "new": {"protocol": "new-elements", "elements": ["Hf"], "test_fraction": 0.3},
        },
        **changes,
    }
    return validate(content, StudyConfig, source="study.yaml")


@pytest.fixture(scope="module")
def planned():
    config = study()
    folds = make_folds(config, load_bundled())
    return config, folds, make_runs(config, folds)


def test_every_combination_is_one_run(planned):
    _, folds, runs = planned
    labels = [(fold.protocol, fold.label, fold.fraction) for fold in folds]
    assert labels[:4] == [
        ("iid", "00", 1.0), ("iid", "00", 0.5), ("iid", "01", 1.0), ("iid", "01", 0.5),
    ]  # fmt: skip
    by_number = ["Ti", "V", "Zr", "Nb", "Hf", "Ta", "W", "Re"]
    assert [label for protocol, label, _ in labels if protocol == "strict"] == by_number
    names = [run.name for run in runs]
    assert len(names) == len(set(names))
    # zero-shot has no training set to take less of
    assert sum(run.protocol == "iid" for run in runs) == 2 * 2 * (3 + 2)
    assert sum(run.protocol == "strict" for run in runs) == 8 * 2 * 3
    of_new = {
        (run.paradigm, run.parent)
        for run in runs
        if run.size == "small" and run.kind == "new-elements"
    }
    assert of_new == {("zero-shot", None), ("tuned", None), ("refined", "new/00/tuned/small")}
    assert "iid/00-0.5/tuned/large" in names


def test_runs_that_need_another_come_behind_it(planned):
    *_, runs = planned
    found = chains(runs)
    assert sum(map(len, found)) == len(runs)
    assert ["new/00/tuned/small", "new/00/refined/small"] in [[r.name for r in c] for c in found]


def test_folds_hold_out_what_they_say(planned):
    _, folds, _ = planned
    frames = load_bundled()
    for fold in folds:
        if fold.kind == "new-elements":
            (old, old_split), (new, new_split) = fold.parts["old"], fold.parts["new"]
            assert all("Hf" not in frame.elements for frame in old)
            assert all("Hf" in frame.elements for frame in new)
            assert len(old_split.train) + len(old_split.valid) + len(old_split.test) == len(old)
            assert new_split.test
            continue
        _, split = fold.parts[""]
        if fold.kind == "lodo-strict":
            assert all(fold.label not in frames[k].elements for k in split.train + split.valid)
        if fold.kind == "lodo-relaxed":
            assert all(frames[k].dopants == {fold.label} for k in split.test)


def test_smaller_training_sets_lie_within_the_larger_and_know_every_element():
    protocol = {"protocol": "iid", "repeats": 1, "train_fractions": [0.4, 0.7, 1.0]}
    config = study(protocols={"iid": protocol}, paradigms={"scratch": {"kind": "scratch"}})
    folds = make_folds(config, load_bundled())
    frames = load_bundled()
    sets = [set(fold.parts[""][1].train) for fold in folds]  # 1.0, 0.7, 0.4
    assert sets[2] < sets[1] < sets[0]
    assert abs(len(sets[1]) - 0.7 * len(sets[0])) <= 5  # whole groups
    for fold in folds:
        _, split = fold.parts[""]
        known = {x for k in split.train for x in frames[k].elements}
        assert {x for k in split.test for x in frames[k].elements} <= known
        assert split.test == folds[0].parts[""][1].test


def test_trainings_are_what_the_paradigm_says():
    config = study()
    of = {
        name: training(
            paradigm, config.sizes["small"], train=Path("t"), valid=Path("v"), model=Path("m")
        )
        for name, paradigm in config.paradigms.items()
        if paradigm.kind != "zero-shot"
    }
    assert of["scratch"].start.like == "small"
    assert of["scratch"].optimisation.max_epochs == 50
    assert of["tuned"].start.foundation == "small"
    assert of["refined"].start.model == Path("m")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paradigms": {"a": {"kind": "tuned"}}}, r"paradigms\.a\.kind"),
        (
            {"paradigms": {"a": {"kind": "fine-tune", "optimisation": {"learning_rat": 1}}}},
            "paradigms.a: .*did you mean 'learning_rate'",
        ),
        ({"sizes": {"s": {"foundaton": "small"}}}, "did you mean 'foundation'"),
        ({"sizes": {"s": {}}}, "sizes.s: expected a foundation for the paradigm zero-shot"),
        ({"protocols": {"p": {"protocol": "idd"}}}, "did you mean iid"),
        ({"paradigms": {"a b/c": {"kind": "zero-shot"}}}, "found 'a b/c': they become folders"),
        (
            {"paradigms": {"r": {"kind": "refine"}}},
            "paradigms.r.refines: expected the name of a fine-tuning paradigm",
        ),
        (
            {"protocols": {"iid": {"protocol": "iid"}}},
            "paradigms.refined: expected a protocol new-elements",
        ),
        (
            {"paradigms": {"s": {"kind": "scratch"}}, "sizes": {"s": {}}},
            "sizes.s: expected a model or a foundation",
        ),
        (
            {"paradigms": {"z": {"kind": "zero-shot", "committee": 2}}},
            "paradigms.z.committee: expected none for zero-shot",
        ),
        (
            {"protocols": {"n": NEW_HF | {"proxies": {"Zr": "Ti"}}}},
            "proxies: expected proxies of the new elements Hf, found one of Zr",
        ),
        (
            {"protocols": {"n": NEW_HF | {"proxies": {"Hf": "Hf"}}}},
            "expected for Hf an element that is not new, found Hf",
        ),
        (
            {"protocols": {"n": NEW_HF | {"proxies": {"Hf": "Zz"}}}},
            "Zz",
        ),
    ],
)
def test_what_makes_no_sense_is_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        study(**changes)


@pytest.mark.parametrize(
    ("protocols", "message"),
    [
        (
            {"s": {"protocol": "lodo-strict", "held_out": ["Cr"]}},
            r"protocols\.s: .*dopant Cr, found none",
        ),
        ({"n": {"protocol": "new-elements", "elements": ["Cr"]}}, r"protocols\.n: .*none with Cr"),
    ],
)
def test_cells_without_the_held_out_element(protocols, message):
    paradigms = {"zero-shot": {"kind": "zero-shot"}}
    with pytest.raises(DataError, match=message):
        make_folds(study(protocols=protocols, paradigms=paradigms), load_bundled())


def test_mean_of_folds_by_hand():
    from moalloy_md.report.paper_tables import TABLE_2
    from moalloy_md.workflows.study.results import Row, means, outlier, summary

    rows = [
        Row(
            run=f"strict/{x}/tuned/medium", evaluation="evaluate", protocol="strict",
            kind="lodo-strict", label=x, fraction=1.0, paradigm="tuned",
            paradigm_kind="fine-tune", size="medium", proxies="", wall_s=1.0,
            numbers={"energy_mae_mev_per_atom": values[0], "force_mae_mev_per_angstrom": values[2]},
        )
        for x, values in TABLE_2["lodo-strict"].items()
    ]  # fmt: skip
    found = means(rows)
    # the paper's own MeanAll and Std of these rows
    assert found["energy_mae_mev_per_atom"].mean == pytest.approx(76.98, abs=0.005)
    assert found["energy_mae_mev_per_atom"].std == pytest.approx(36.05, abs=0.005)
    assert found["force_mae_mev_per_angstrom"].mean == pytest.approx(41.0, abs=0.05)
    assert outlier(rows, "Cr") == "Cr"
    assert outlier(rows, None) == "Re"  # the largest error
    entry = summary(rows, "Cr")[0]
    without = entry["mean_without_outlier"]["energy_mae_mev_per_atom"]
    assert without["mean"] == pytest.approx(76.27, abs=0.005)  # MeanNC
    assert "strict/Cr/tuned/medium/evaluate" not in without["runs"]
    assert without["n"] == 10


def test_published_tables_hold_together():
    """Means and deviations that the paper prints beside its rows."""
    from moalloy_md.report.paper_tables import TABLE_2

    printed = {
        "lodo-strict": ((76.98, 36.05), (80.93, 37.18), (41.0, 8.3), (85.4, 22.8)),
        "lodo-relaxed": ((20.03, 38.53), (22.58, 39.49), (18.8, 19.7), (38.6, 46.6)),
    }
    for kind, columns in printed.items():
        values = np.array(list(TABLE_2[kind].values()))
        for k, (mean, std) in enumerate(columns):
            assert values[:, k].mean() == pytest.approx(mean, abs=0.06)
            assert values[:, k].std(ddof=1) == pytest.approx(std, abs=0.06)


def test_run_names_are_folders():
    run = Run("iid", "iid", "00", 1.0, "iid/00", "tuned", "small", None)
    assert run.name == "iid/00/tuned/small"
