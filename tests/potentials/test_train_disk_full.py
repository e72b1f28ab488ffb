"""A disk that is full: in the middle of a training, and where a model is written."""

import json
import os
import resource
import subprocess

import pytest
import torch
from support.trainings import configuration

from moalloy_md.errors import TrainingError
from moalloy_md.potentials.loading import save_model
from moalloy_md.potentials.train import train

N_EPOCHS = 40


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield folder
    # lazily: the run directory is locked until this process ends
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Leave no room at all."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free)


def history(folder):
    entries = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]


@pytest.mark.slow
def test_a_disk_that_fills_up_is_said_and_the_same_command_goes_on(
    emt_data, small_disk, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = configuration(emt_data, optimisation={"max_epochs": N_EPOCHS})
    out, seen = small_disk / "out", []

    def fill_once(progress):
        if not seen:
            fill(small_disk)
        seen.append(progress.epoch)

    with pytest.raises(TrainingError, match=r"the disk is full: make room.*MiB are free") as caught:
        train(config, out, watch=fill_once)
    assert "status 28" in str(caught.value)
    assert seen[-1] < N_EPOCHS, "it was finished: nothing is tested"
    assert not list((out / "trainer" / "state").glob(".resume.pt*")), "a half-written file stayed"
    # still full: refused at once, and nothing is lost
    with pytest.raises((TrainingError, OSError), match=r"the disk is full|No space left on device"):
        train(config, out)
    (small_disk / "filler").unlink()
    again = []
    train(config, out, watch=lambda progress: again.append(progress.epoch))
    assert again[0] in {seen[-1], seen[-1] + 1}, "it began anew"
    assert again[-1] == N_EPOCHS
    train(config, tmp_path / "unbroken")
    assert history(out) == history(tmp_path / "unbroken")


def test_a_model_that_does_not_fit_is_the_systems_error_and_the_old_one_stays(tmp_path):
    path = tmp_path / "model.model"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # less than the model takes
    try:
        with pytest.raises(OSError, match="File too large"):
            save_model(torch.nn.Linear(200, 200), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir()] == ["model.model"]
    assert path.read_text() == "old"
