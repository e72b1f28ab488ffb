"""Training on a split: what the files hold must still be what was drawn."""

import json

import pytest

from moalloy_md.config import validate
from moalloy_md.datasets.bundled import bundled_path
from moalloy_md.datasets.split import Iid
from moalloy_md.datasets.split_folder import split_file
from moalloy_md.errors import DataError
from moalloy_md.potentials.train import train
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.potentials.training_set import read_training_set


@pytest.fixture
def split(tmp_path):
    split_file(bundled_path(), Iid(seed=1, test_fraction=0.2), tmp_path / "split")
    return tmp_path / "split"


def configuration(folder, *parts):
    content = {part: str(folder / f"{part}.extxyz") for part in parts or ("train", "valid", "test")}
    return validate(content, TrainConfig, source="test")


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_an_untouched_split_is_trained_on(split):
    found = read_training_set(configuration(split))
    summary = json.loads((split / "split.json").read_text())
    assert found.n_train == summary["counts"]["train"]["frames"]
    assert found.n_valid == summary["counts"]["valid"]["frames"]


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_changed_label_is_refused_before_anything_is_written(split, tmp_path, part):
    change(split / f"{part}.extxyz", "REF_energy=-17", "REF_energy=-18")
    with pytest.raises(DataError, match=rf"{part}\.extxyz: frame \d+ .*The file was changed"):
        train(configuration(split), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_lost_frame_is_refused(split):
    path = split / "train.extxyz"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[18:]))
    with pytest.raises(DataError, match=r"train\.extxyz: expected \d+ frames as split.json says"):
        read_training_set(configuration(split))


def test_a_damaged_split_json_is_refused(split):
    (split / "split.json").write_text("{")
    with pytest.raises(DataError, match="found a damaged file"):
        read_training_set(configuration(split, "train", "valid"))


def test_files_that_are_no_split_are_left_alone(split):
    """A folder without split.json, and a file of another name beside one, may change."""
    change(split / "train.extxyz", "REF_energy=-17", "REF_energy=-18")
    (split / "train.extxyz").rename(split / "mine.extxyz")
    config = validate(
        {"train": str(split / "mine.extxyz"), "valid": str(split / "valid.extxyz")},
        TrainConfig,
        source="test",
    )
    read_training_set(config)
    (split / "mine.extxyz").rename(split / "train.extxyz")
    (split / "split.json").unlink()
    read_training_set(configuration(split))
