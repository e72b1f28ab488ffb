"""A study that the files of tests of studies share: who changes it takes a copy."""

from types import SimpleNamespace

import pytest
import yaml
from ase.io import write
from rich.console import Console
from support.trainings import cells

from moalloy_md.workflows.study.workflow import run_study

QUIET = Console(quiet=True)


@pytest.fixture(scope="session")
def trained_study(emt_training, tmp_path_factory):
    """A study of trainings of one epoch; one of its sizes has no foundation."""
    folder = tmp_path_factory.mktemp("study")
    images = cells(8, 31, symbols=("Ni", "Cu")) + cells(6, 32, symbols=("Ni", "Al"))
    write(folder / "data.extxyz", images)
    fit = {"max_epochs": 1, "batch_size": 2}
    content = {
        "data": str(folder / "data.extxyz"),
        "device": "cpu",
        "paradigms": {
            "zero-shot": {"kind": "zero-shot"},
            "tuned": {"kind": "fine-tune", "optimisation": fit},
            "refined": {"kind": "refine", "optimisation": fit},
        },
        "sizes": {
            "good": {"foundation": str(emt_training[1].model)},
            "late": {"foundation": str(folder / "late.model")},
        },
        "protocols": {
            "iid": {"protocol": "iid", "repeats": 1},
            "new": {"protocol": "new-elements", "elements": ["Al"], "test_fraction": 0.3},
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        runs = [
            run_study(folder / "study.yaml", out=folder / "out", only=only, console=QUIET)
            for only in ("iid", "new/00/tuned/good", "new/00/refined/good")
        ]
    return SimpleNamespace(folder=folder, out=folder / "out", runs=runs)


@pytest.fixture(scope="module")
def tiny(one_thread, trained_study):
    """That study, and one thread for what the tests train besides."""
    return trained_study


@pytest.fixture(scope="module")
def without_al(tiny):
    """A foundation that does not know Al."""
    return tiny.out / "runs/new/00/tuned/good/train/model.model"
