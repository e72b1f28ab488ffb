"""Split folders: whole or not at all, and what was drawn can be proven."""

import json

import pytest
from ase.io import read

from moalloy_md.datasets import split_folder
from moalloy_md.datasets.bundled import bundled_path, load_bundled
from moalloy_md.datasets.frames import dataset_hash, frame_from_atoms, write_dataset
from moalloy_md.datasets.split import PARTS, Iid, LodoStrict, split_frames
from moalloy_md.datasets.split_folder import (
    check_against_split,
    read_split,
    split_file,
    split_file_repeatedly,
    write_split,
)
from moalloy_md.errors import DataError

BUNDLED = load_bundled()
PROTOCOL = Iid(seed=3, test_fraction=0.3)
NAMES = ["split.json", "test.extxyz", "train.extxyz", "valid.extxyz"]


@pytest.fixture
def folder(tmp_path):
    split_file(bundled_path(), PROTOCOL, tmp_path / "split")
    return tmp_path / "split"


def names(path):
    return sorted(entry.name for entry in path.iterdir())


def test_the_files_hold_the_split(folder):
    split = split_frames(BUNDLED, PROTOCOL)
    assert names(folder) == NAMES
    for part in PARTS:
        written = [image.info["name"] for image in read(folder / f"{part}.extxyz", ":")]
        assert written == [BUNDLED[i].name for i in getattr(split, part)]
    for image in read(folder / "test.extxyz", ":"):
        assert image.info["source"] == "mo_dopants_pbe.extxyz"
        assert image.info["host"] == "Mo"


def test_the_summary(folder):
    summary = json.loads((folder / "split.json").read_text())
    assert (summary["protocol"], summary["seed"], summary["held_out"]) == ("iid", 3, None)
    assert (summary["frame_wise"], summary["test_fraction"]) == (False, 0.3)
    assert summary["leaked_fraction"] == 0
    assert summary["n_frames_without_group"] == 0
    assert summary["dataset_sha256"] == dataset_hash(bundled_path())
    for part in PARTS:
        images = read(folder / f"{part}.extxyz", ":")
        counts = summary["counts"][part]
        assert counts["frames"] == len(images) == len(summary["frame_sha256"][part])
        assert counts["atoms"] == 16 * len(images)
        assert counts["groups"] == len({image.info["group"] for image in images})
        with_w = sum("W" in image.get_chemical_symbols() for image in images)
        assert counts["frames_with_dopant"].get("W", 0) == with_w
    assert summary["frame_sha256"]["test"][0] == frame_from_atoms(images[0]).sha256


def test_what_split_file_returns_is_what_it_wrote(tmp_path):
    out = tmp_path / "a" / "b"
    summary = split_file(bundled_path(), LodoStrict(held_out="Ti"), out)
    written = json.loads((out / "split.json").read_text())
    assert {key: written[key] for key in summary} == summary
    assert set(written) - set(summary) == {"frame_sha256", "hash_decimals", "random_order"}
    assert summary["elements_not_in_train"] == ["Ti"]
    assert summary["test_fraction"] is None


def test_leaked_fraction_of_the_written_files(tmp_path):
    protocol = Iid(seed=1, frame_wise=True, test_fraction=0.5)
    summary = split_file(bundled_path(), protocol, tmp_path / "split")
    train, test = (
        [image.info["group"] for image in read(tmp_path / "split" / f"{part}.extxyz", ":")]
        for part in ("train", "test")
    )
    assert summary["leaked_fraction"] == sum(group in train for group in test) / len(test) > 0


def test_reading_back(folder):
    found = read_split(folder)
    assert found.path == folder
    assert found.summary["seed"] == 3
    hashes = [f.sha256 for f in (*found.train, *found.valid, *found.test)]
    assert sorted(hashes) == sorted(f.sha256 for f in BUNDLED)
    assert len({f.group for f in found.train} & {f.group for f in found.test}) == 0


def test_frames_without_group_are_counted(tmp_path):
    frames = [frame_from_atoms(f.atoms) for f in BUNDLED]
    for f in frames[:7]:
        del f.atoms.info["group"]
    write_dataset(tmp_path / "x.extxyz", frames)
    summary = split_file(tmp_path / "x.extxyz", Iid(), tmp_path / "split")
    assert summary["n_frames_without_group"] == 7
    again = read_split(tmp_path / "split")
    parts = (again.train, again.valid, again.test)
    assert sum(not f.has_named_group for part in parts for f in part) == 7


def test_the_same_split_again_changes_nothing(folder):
    before = {name: (folder / name).stat().st_mtime_ns for name in NAMES}
    split_file(bundled_path(), PROTOCOL, folder)
    assert {name: (folder / name).stat().st_mtime_ns for name in NAMES} == before
    assert names(folder.parent) == ["split"]


def test_another_split_is_refused(folder):
    before = (folder / "split.json").read_bytes()
    with pytest.raises(DataError, match="found another split, or one that was changed"):
        split_file(bundled_path(), Iid(seed=4), folder)
    assert (folder / "split.json").read_bytes() == before
    assert names(folder.parent) == ["split"]


def test_an_incomplete_split_is_refused(folder):
    (folder / "valid.extxyz").unlink()
    with pytest.raises(DataError, match="found another split, or one that was changed"):
        split_file(bundled_path(), PROTOCOL, folder)


def test_a_folder_of_others_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"found other files in it \(thesis.tex\)"):
        split_file(tmp_path / "absent.extxyz", PROTOCOL, tmp_path)
    with pytest.raises(DataError, match="expected a folder to write, found a file"):
        write_split(tmp_path / "thesis.tex", BUNDLED, split_frames(BUNDLED, PROTOCOL))
    assert names(tmp_path) == ["thesis.tex"]


def test_an_empty_folder_and_a_link_to_one_are_taken(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    write_split(tmp_path / "link", BUNDLED, split_frames(BUNDLED, PROTOCOL))
    assert names(tmp_path / "empty") == NAMES
    assert (tmp_path / "link").is_symlink()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_split(tmp_path / "file" / "split", BUNDLED, split_frames(BUNDLED, PROTOCOL))


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_is_left(tmp_path, monkeypatch, error):
    written = []

    def fail_at_the_third(path, frames):
        written.append(path)
        if len(written) == 3:
            raise error
        write_dataset(path, frames)

    monkeypatch.setattr(split_folder, "write_dataset", fail_at_the_third)
    expected = DataError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_split(tmp_path / "split", BUNDLED, split_frames(BUNDLED, PROTOCOL))
    assert len(written) == 3
    assert not list(tmp_path.iterdir())


def test_a_changed_label_is_found(folder):
    path = folder / "valid.extxyz"
    text = path.read_text()
    path.write_text(text.replace("REF_energy=-17", "REF_energy=-18"))
    with pytest.raises(DataError, match=r"valid\.extxyz: frame 0 .*The file was changed"):
        read_split(folder)


def test_a_lost_frame_is_found(folder):
    path = folder / "valid.extxyz"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[18:]))
    with pytest.raises(DataError, match=r"valid\.extxyz: expected 4 frames .*found 3"):
        read_split(folder)


def test_a_folder_without_split(tmp_path, folder):
    with pytest.raises(DataError, match=r"found no readable split.json"):
        read_split(tmp_path)
    (folder / "split.json").write_text('{"protocol": "iid"}')
    with pytest.raises(DataError, match="found a damaged file"):
        read_split(folder)
    (folder / "split.json").write_text("{")
    with pytest.raises(DataError, match="found a damaged file"):
        read_split(folder)


def test_repeats_are_the_splits_of_the_seeds_that_follow(tmp_path):
    summaries = split_file_repeatedly(bundled_path(), PROTOCOL, tmp_path / "all", repeats=3)
    assert names(tmp_path / "all") == ["00", "01", "02", "repeats.json"]
    for k, summary in enumerate(summaries):
        protocol = Iid(seed=PROTOCOL.seed + k, test_fraction=0.3)
        split_file(bundled_path(), protocol, tmp_path / f"one{k}")
        for name in NAMES:
            alone = (tmp_path / f"one{k}" / name).read_bytes()
            assert (tmp_path / "all" / f"{k:02d}" / name).read_bytes() == alone
        assert (summary["seed"], summary["out"]) == (3 + k, str(tmp_path / "all" / f"{k:02d}"))
    listed = json.loads((tmp_path / "all" / "repeats.json").read_text())
    assert [(s["seed"], s["out"]) for s in listed] == [(3, "00"), (4, "01"), (5, "02")]
    tests = [[f.sha256 for f in read_split(tmp_path / "all" / f"{k:02d}").test] for k in range(3)]
    assert len({tuple(hashes) for hashes in tests}) == 3


def test_more_repeats_keep_what_is_there(tmp_path):
    out = tmp_path / "all"
    split_file_repeatedly(bundled_path(), PROTOCOL, out, repeats=2)
    before = (out / "01" / "split.json").stat().st_mtime_ns
    split_file_repeatedly(bundled_path(), PROTOCOL, out, repeats=4)
    assert names(out) == ["00", "01", "02", "03", "repeats.json"]
    assert (out / "01" / "split.json").stat().st_mtime_ns == before
    assert len(json.loads((out / "repeats.json").read_text())) == 4
    with pytest.raises(DataError, match=r"other files in it \(02, 03\)"):
        split_file_repeatedly(bundled_path(), PROTOCOL, out, repeats=2)
    with pytest.raises(DataError, match="found another split"):
        split_file_repeatedly(bundled_path(), Iid(seed=9), out, repeats=4)


def test_repeats_that_cannot_be_leave_nothing(tmp_path):
    with pytest.raises(DataError, match="the dopant Cr, found none"):
        split_file_repeatedly(
            bundled_path(), LodoStrict(held_out="Cr"), tmp_path / "all", repeats=3
        )
    assert not list(tmp_path.iterdir())


def test_frames_of_one_part_are_checked(folder):
    frames = {part: getattr(read_split(folder), part) for part in PARTS}
    for part in PARTS:
        assert check_against_split(folder / f"{part}.extxyz", frames[part])["seed"] == 3
    with pytest.raises(DataError, match=r"expected .* frames as split\.json says"):
        check_against_split(folder / "train.extxyz", frames["train"][1:])
    with pytest.raises(DataError, match=r"frame 0 .* expected the frame with the hash"):
        check_against_split(folder / "train.extxyz", frames["train"][::-1])
    assert check_against_split(folder / "other.extxyz", []) is None
    (folder / "split.json").unlink()
    assert check_against_split(folder / "train.extxyz", []) is None
