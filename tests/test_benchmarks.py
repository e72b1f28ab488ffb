"""The benchmarks start; how fast anything is belongs into benchmarks/results, not here."""

import importlib.util
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

TOP = Path(__file__).parent.parent
FOLDER = TOP / "benchmarks"
SCALING = max((FOLDER / "results").glob("scaling-*.json"))


def run(*arguments, script="engine_speed.py"):
    return subprocess.run(
        [sys.executable, FOLDER / script, *arguments], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def prediction():
    """The module predict_scaling."""
    spec = importlib.util.spec_from_file_location("predict_scaling", FOLDER / "predict_scaling.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)  # where side_by_side is, as for a script
        spec.loader.exec_module(module)
    return module


def test_roofline_fits_the_engine():
    """It counts in place of the engine's kernels: a change of these must not leave it behind."""
    engine = TOP / "moalloy_md" / "native" / "engine"
    source = FOLDER / "roofline" / "main.cpp"
    compiler = os.environ.get("CXX", "c++")
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run(
        [*command, f"-I{engine}", source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_help_names_the_models():
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert "128x0e" in done.stdout


def test_cell_that_is_no_cube_is_refused_before_anything_long():
    done = run("--atoms", "1000")
    assert done.returncode == 1
    assert "take 1024" in done.stderr


@pytest.mark.parametrize(
    ("script", "option"), [("large_run.py", "--model"), ("roofline.py", "--models")]
)
def test_unknown_model_is_refused_with_what_there_is(script, option):
    done = run(option, "64x0e", script=script)
    assert done.returncode == 1
    assert "128x0e" in done.stderr
    assert "found 64x0e" in done.stderr


@pytest.mark.parametrize(
    ("script", "option", "value", "expected"),
    [
        ("scaling.py", "--model", "64x0e", "expected 32x0e"),
        ("scaling.py", "--cells", "ten", "--cells: expected numbers"),
        ("pair_mace_speed.py", "--precisions", "float23", "expected float32 or float64"),
        ("pair_mace_speed.py", "--rank-atoms", "1024,", "--rank-atoms: expected numbers"),
    ],
)
def test_a_typo_is_refused_before_anything_long(script, option, value, expected):
    done = run(option, value, script=script)
    assert done.returncode == 1
    assert expected in done.stderr


def test_every_record_is_one_that_the_docs_are_made_of():
    pages = [FOLDER / "README.md", *(TOP / "docs").glob("*.md")]
    text = "".join(page.read_text() for page in pages)
    records = {path.stem for path in (FOLDER / "results").iterdir()}
    assert sorted(name for name in records if name not in text) == []


def test_docs_show_the_prediction_from_the_newest_record():
    done = run(str(SCALING), script="predict_scaling.py")
    assert done.returncode == 0, done.stderr
    advice = f"put the output of benchmarks/predict_scaling.py {SCALING.name} there"
    assert done.stdout.strip() in (TOP / "docs" / "scaling.md").read_text(), advice


def test_predicted_ghosts_are_those_that_lammps_counts(prediction):
    cases = json.loads(SCALING.read_text())["cases"]
    assert len({case["ranks"] for case in cases}) > 1
    for case in cases:
        edges = np.full(3, case["cells"] * 3.165)
        part = edges / prediction.best_grid(case["ranks"], edges)
        expected = case["facts"]["ghosts_per_rank"]
        # a layer of the mean density; whole planes are in or out, up to 12 % for thin parts
        assert prediction.ghosts(part, 5.0 + 1.0) == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(("cells", "grid"), [(7, (3, 2, 2)), (5, (4, 5, 1)), (4, (8, 3, 2))])
def test_fullest_part_of_a_crystal(prediction, cells, grid):
    atoms = bulk("Mo", "bcc", a=1.0, cubic=True).repeat(cells)
    places = ((atoms.positions + 0.25) * grid / cells).astype(int)
    counts = [int((places == place).all(axis=1).sum()) for place in product(*map(range, grid))]
    assert sum(counts) == len(atoms)
    assert prediction.largest_part(cells, grid) == max(counts)


def test_prediction_without_a_network_is_what_was_measured(prediction):
    """One core is a node: the time of a step is that of the record."""
    measured = prediction.Measured.read(SCALING)
    row = prediction.predict(40, 1, measured, prediction.Cluster(cores=1))
    assert row.network_ms == 0
    assert row.compute_ms == pytest.approx(1e-3 * 128_000 * measured.us_per_atom)
    assert row.copies_ms < 0.01 * row.compute_ms
