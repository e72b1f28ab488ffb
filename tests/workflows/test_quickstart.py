"""The whole chain in small: killed twice, gone on with, finished, and looked at."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from support.models import random_model, save_model
from support.processes import processes_below, wait_until

CONFIG = """
foundation: foundation.model
fine_tuning: {max_epochs: 40}
scratch: {max_epochs: 8}
repeat: 2
dopant_fraction: 0.0625
temperature_k: 100
md_steps: 10000
threads: 1
"""


def start(folder):
    with (folder / "screen").open("a") as screen:
        return subprocess.Popen(
            [sys.executable, "-m", "moalloy_md.cli.app", "quickstart", "--config", "config.yaml"],
            cwd=folder,
            stdout=screen,
            stderr=subprocess.STDOUT,
        )


def kill(process, folder):
    """Kill without a chance to clean up; nothing that it started may survive."""
    assert len(processes_below(folder)) >= 2, "the trainer or lmp was to be running"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 10
    while processes_below(folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert processes_below(folder) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, torch_plugin):
    folder = tmp_path_factory.mktemp("quick")
    (folder / "config.yaml").write_text(CONFIG)
    foundation = random_model(
        elements=("Ti", "V", "Zr", "Nb", "Mo", "Hf", "Ta", "W", "Re"),
        hidden="8x0e", max_ell=2, correlation=2, zbl=True, scaled=False, dtype="float32",
    )  # fmt: skip
    save_model(foundation, folder / "foundation.model")
    out = folder / "quickstart"

    process = start(folder)
    log = out / "train" / "fine-tuned" / "train.log"
    wait_until(lambda: log.exists() and len(epochs_in(log.read_text())) >= 6, process)
    kill(process, folder)

    process = start(folder)
    wait_until((out / "md" / "restart.npt").exists, process)
    kill(process, folder)

    process = start(folder)
    status = process.wait(timeout=400)
    assert status == 0, (folder / "screen").read_text()[-3000:]
    return folder


def epochs_in(log):
    """Epochs that mace-torch's log reports, in its order."""
    return [int(number) for number in re.findall(r"INFO: Epoch (\d+):", log)]


def test_summary_has_the_promised_keys(finished):
    folder = finished
    summary = json.loads((folder / "quickstart" / "summary.json").read_text())
    assert summary["data"]["n_test"] >= 15
    assert sum(summary["data"][f"n_{part}"] for part in ("train", "valid", "test")) == 53
    low, high = summary["test"]["force_mae_interval"]
    assert low < summary["test"]["force_mae_mev_per_angstrom"] < high
    low, high = summary["test"]["energy_mae_interval"]
    assert low < summary["test"]["energy_mae_mev_per_atom"] < high
    # even so short a training has to beat the prediction of no force at all
    zero = summary["test"]["mean_abs_force_mev_per_angstrom"]
    assert summary["test"]["force_mae_mev_per_angstrom"] < 0.8 * zero
    assert summary["parity"]["passed"]
    assert summary["parity"]["native"]["passed"]
    assert summary["md"]["steps"] >= 2000
    assert 0 <= summary["md"]["bcc_fraction"] <= 1
    assert summary["wall_s"] > 1


def test_three_models_stand_side_by_side(finished):
    """What is said of each is what its own evaluation wrote, and the page shows it."""
    out = finished / "quickstart"
    summary = json.loads((out / "summary.json").read_text())
    page = (out / "report.html").read_text()
    assert [row["model"] for row in summary["compared"]] == ["zero-shot", "scratch", "fine-tuned"]
    for row in summary["compared"]:
        metrics = json.loads((out / "evaluate" / row["model"] / "metrics.json").read_text())
        aligned = metrics["shifted"]["energy_mae_mev_per_atom"]
        assert row["force_mae_mev_per_angstrom"] == metrics["force_mae_mev_per_angstrom"]
        assert row["shifted_energy_mae_mev_per_atom"] == aligned
        assert f"<th>{row['model']}</th>" in page
    zero_shot, _, fine_tuned = summary["compared"]
    shifted = "shifted_energy_mae_mev_per_atom"
    assert fine_tuned[shifted] < zero_shot[shifted] < zero_shot["energy_mae_mev_per_atom"]
    assert fine_tuned["force_mae_mev_per_angstrom"] < zero_shot["force_mae_mev_per_angstrom"]
    assert summary["test"]["force_mae_mev_per_angstrom"] == fine_tuned["force_mae_mev_per_angstrom"]


def test_lattice_parameter_is_that_of_the_log(finished):
    """Read from LAMMPS's own log by hand: 16 atoms on bcc sites, 2 in each cubic cell."""
    folder = finished
    rows = {}
    for path in (folder / "quickstart" / "md").glob("log.*.lammps"):
        names = []
        for line in path.read_text().splitlines():
            parts = line.split()
            if parts[:1] == ["Step"]:
                names = parts
            elif names and len(parts) == len(names) and parts[0].isdigit():
                rows[int(parts[0])] = float(parts[names.index("Volume")])
    volumes = [rows[step] for step in sorted(rows)]
    summary = json.loads((folder / "quickstart" / "summary.json").read_text())
    found = summary["md"]["lattice_parameter_angstrom"]
    kept = volumes[found["n_discarded"] :]
    assert len(kept) == found["n_samples"]
    assert found["value"] == pytest.approx((sum(kept) / len(kept) / 8) ** (1 / 3), rel=1e-6)
    assert 0 < found["error"] < 0.05


def test_training_went_on_where_it_was(finished):
    log = (finished / "quickstart" / "train" / "fine-tuned" / "train.log").read_text()
    _, *starts = re.split(r"^# \d{4}-\d\d-.*trainer", log, flags=re.MULTILINE)
    first, second = map(epochs_in, starts)
    assert first[0] == 0
    assert first[-1] < 39
    assert 0 < second[0] <= first[-1] + 1, "it began anew, or left epochs out"
    assert second[-1] == 39


def test_simulation_went_on_where_it_was(finished):
    md = finished / "quickstart" / "md"
    steps = json.loads((finished / "quickstart" / "summary.json").read_text())["md"]["steps"]
    starts = sorted(int(path.name.split(".")[1]) for path in md.glob("log.*.lammps"))
    assert starts[0] == 0
    assert starts[1] >= 1000
    frames = sorted(int(path.stem) for path in (md / "frames").glob("*.dump"))
    assert frames == list(range(0, steps + 1, 100))


def test_report_shows_what_the_summary_says(finished):
    folder = finished
    page = (folder / "quickstart" / "report.html").read_text()
    summary = json.loads((folder / "quickstart" / "summary.json").read_text())
    assert f"{summary['test']['mean_abs_force_mev_per_angstrom']:.0f}" in page
    # parity, learning curve, picture of atoms, g(r), history
    assert page.count("data:image/png;base64,") == 5
    assert "neighbour shells of a perfect bcc crystal" in page
    assert f"-var steps {summary['md']['steps']}" in page
    assert "http://" not in page
    assert "https://" not in page


def test_again_it_does_nothing_and_says_so(finished):
    folder = finished
    before = (folder / "quickstart" / "train" / "fine-tuned" / "model.model").stat().st_mtime_ns
    summary = (folder / "quickstart" / "summary.json").read_text()
    process = start(folder)
    assert process.wait(timeout=120) == 0
    screen = (folder / "screen").read_text()
    assert screen.count("(done before)") >= 7
    assert (
        folder / "quickstart" / "train" / "fine-tuned" / "model.model"
    ).stat().st_mtime_ns == before
    assert (folder / "quickstart" / "summary.json").read_text() == summary


def test_with_other_settings_the_folder_is_refused(finished):
    folder = finished
    (folder / "config.yaml").write_text(CONFIG.replace("temperature_k: 100", "temperature_k: 200"))
    try:
        assert start(folder).wait(timeout=60) == 1
    finally:
        (folder / "config.yaml").write_text(CONFIG)
    assert "was started with temperature_k = 100.0" in (folder / "screen").read_text()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "dopant: Cr",
            "expected one of the bundled cells' Hf, Nb, Re, Ta, Ti, V, W, Zr, found 'Cr'",
        ),
        ("test_fraction: 0.1", "expected at least 15 test cells, found 5 of 53"),
        ("dopand: W", "unknown key 'dopand': did you mean 'dopant'?"),
    ],
)
def test_what_would_fail_late_is_refused_at_once(tmp_path, line, sentence):
    (tmp_path / "config.yaml").write_text(line)
    process = start(tmp_path)
    assert process.wait(timeout=60) == 1
    assert sentence in " ".join((tmp_path / "screen").read_text().split())
    assert not (tmp_path / "quickstart").exists()


def test_a_second_command_in_the_same_folder_is_refused(finished):
    """The folder's lock is held by whoever works there; here by this test."""
    import fcntl

    with (finished / "quickstart" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert start(finished).wait(timeout=60) == 1
    assert "another moalloy command is at work" in (finished / "screen").read_text()


def test_a_crystal_that_did_not_survive_is_called_so():
    from moalloy_md.workflows.quickstart.md import warnings_about

    good = {"bcc_fraction": 0.99, "mean_temperature_k": 303.0, "temperature_k": 300.0}
    assert warnings_about(good) == []
    assert "10 % of the atoms are still bcc" in warnings_about({**good, "bcc_fraction": 0.1})[0]
    assert "350 K instead of 300 K" in warnings_about({**good, "mean_temperature_k": 350.0})[0]
    assert "OVITO" in warnings_about({**good, "bcc_fraction": None})[0]
