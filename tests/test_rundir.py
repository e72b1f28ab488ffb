"""Run directories: found again by the same command, refused to any other."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from moalloy_md.errors import DataError, RunDirectoryError
from moalloy_md.rundir import (
    new_folder,
    open_run,
    read_json,
    saying_what_cannot_be_written,
    sha256,
    write_json,
)

CONFIG = {"seed": 3, "model": {"r_max": 5.0, "name": "a"}}


def test_tells_what_was_asked_for_and_by_which_versions(tmp_path):
    run = open_run(tmp_path / "run", kind="train", config=CONFIG, packages=("numpy", "no-such"))
    manifest = run.manifest
    assert manifest["config"] == CONFIG
    assert manifest["kind"] == "train"
    assert manifest["versions"]["numpy"].count(".") >= 1
    assert manifest["versions"]["no-such"] is None
    assert manifest["finished"] is None


def test_same_command_finds_its_steps(tmp_path):
    first = open_run(tmp_path, kind="train", config=CONFIG)
    assert first.result("split") is None
    first.finish_step("split", {"n": 7})
    again = open_run(tmp_path, kind="train", config=CONFIG)
    assert again.result("split") == {"n": 7}
    assert again.result("fit") is None
    assert again.manifest["started"] == first.manifest["started"]


def test_hidden_files_do_not_occupy_a_folder(tmp_path):
    (tmp_path / ".nfs0001").touch()
    open_run(tmp_path, kind="train", config=CONFIG)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunDirectoryError, match=r"found files without a manifest.json"):
        open_run(tmp_path, kind="train", config=CONFIG)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(RunDirectoryError, match="expected a folder, found a file"):
        open_run(tmp_path / "x", kind="train", config=CONFIG)


def test_another_kind_of_run_is_refused(tmp_path):
    open_run(tmp_path, kind="evaluate", config=CONFIG)
    with pytest.raises(RunDirectoryError, match="found one left by 'moalloy evaluate'"):
        open_run(tmp_path, kind="train", config=CONFIG)


def test_another_configuration_is_refused_by_the_key_that_differs(tmp_path):
    open_run(tmp_path, kind="train", config=CONFIG)
    other = {"seed": 3, "model": {"r_max": 6.0, "name": "a"}}
    with pytest.raises(RunDirectoryError, match=r"model\.r_max = 5\.0, now asked .* with 6\.0"):
        open_run(tmp_path, kind="train", config=other)


def test_damaged_manifest_is_named(tmp_path):
    open_run(tmp_path, kind="train", config=CONFIG)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(RunDirectoryError, match=r"manifest\.json: expected a JSON file"):
        open_run(tmp_path, kind="train", config=CONFIG)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert json.loads(path.read_text()) == {"x": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan")])
def test_json_has_no_numbers_that_are_none(tmp_path, value):
    """JSON knows neither: other programs do not read such a file."""
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(
        DataError, match=r"a\.json: expected finite .* found sites\.1\.x = (nan|inf)\."
    ):
        write_json(path, {"b": 1.0, "sites": [{"x": 1.0}, {"x": value}]})
    assert read_json(path) == {"a": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_made_whole_or_not_at_all(tmp_path):

    def stop_half_way():
        with new_folder(tmp_path / "a" / "b") as folder:
            (folder / "half").write_text("of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert not list((tmp_path / "a").iterdir())
    with new_folder(tmp_path / "a" / "b") as folder:
        (folder / "all").write_text("of it")
        assert not (tmp_path / "a" / "b").exists()
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "all"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o755
    with new_folder(tmp_path / "a" / "b") as folder:  # it has files: left as it is
        (folder / "other").write_text("")
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["b", "all"]


def test_a_link_to_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with new_folder(tmp_path / "link") as folder:
        (folder / "x").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "x").exists()


def test_what_cannot_be_written_is_named(tmp_path):
    with (
        pytest.raises(DataError, match=r"a\.xyz: cannot be written \(No space left on device\)"),
        saying_what_cannot_be_written(tmp_path / "a.xyz"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_second_process_is_kept_out(tmp_path):
    open_run(tmp_path, kind="train", config=CONFIG)
    code = (
        "from pathlib import Path\nfrom moalloy_md.rundir import open_run\n"
        f"open_run(Path({str(tmp_path)!r}), kind='train', config={CONFIG!r})"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "another moalloy command is at work in this folder" in answer.stderr


def test_a_process_that_ends_lets_go_without_a_warning(tmp_path):
    code = (
        "from pathlib import Path\nfrom moalloy_md.rundir import open_run\n"
        f"open_run(Path({str(tmp_path)!r}), kind='train', config={CONFIG!r})"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stderr == ""
    open_run(tmp_path, kind="train", config=CONFIG)


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(tmp_path / "abc") == expected
