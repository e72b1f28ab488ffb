"""The runner of simulations: what it watches, what it saves, how it fails, how it asks SLURM."""

import json
import os
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from rich.console import Console
from support.processes import pids_with, processes_below
from support.slurm import fake_slurm
from support.thermal import settings

from moalloy_md.datasets.extxyz import iter_atoms
from moalloy_md.errors import DataError, RunDirectoryError
from moalloy_md.lammps.deviations import ForceDeviations
from moalloy_md.lammps.frames import frame_files, read_frame
from moalloy_md.report.numbers import with_error_in_brackets
from moalloy_md.workflows.label.store import make_cells
from moalloy_md.workflows.simulate.bar import simulation_bar
from moalloy_md.workflows.simulate.config import Watch
from moalloy_md.workflows.simulate.plan import read_status
from moalloy_md.workflows.simulate.run import Start, do_run, read_plan
from moalloy_md.workflows.simulate.watch import (
    SimulationStoppedError,
    Watcher,
    closest_pair,
    thermostat_warnings,
)
from moalloy_md.workflows.simulate.workflow import _prepare
from moalloy_md.workflows.thermal.workflow import TOPIC, thermal

QUIET = Console(quiet=True)
ONE_RUN = {"compositions": {"pure": {}}, "temperatures_k": [300], "ramp": None}
HEADER = "#       step  max_devi_v  min_devi_v  avg_devi_v  max_devi_f  min_devi_f  avg_devi_f\n"


pytestmark = pytest.mark.usefixtures("one_thread")


def write_frame(folder, step, atoms, *, origin=(0.4, -0.3, 0.2)):
    """A dump as our inputs write it."""
    lengths = atoms.cell.lengths()
    bounds = "".join(f"{o} {o + x}\n" for o, x in zip(origin, lengths, strict=True))
    rows = "".join(
        f"{k + 1} 1 {s} {x} {y} {z}\n"
        for k, (s, (x, y, z)) in enumerate(
            zip(atoms.symbols, atoms.positions + origin, strict=True)
        )
    )
    (folder / "frames").mkdir(exist_ok=True, parents=True)
    (folder / "frames" / f"{step:09d}.dump").write_text(
        f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n"
        f"ITEM: BOX BOUNDS pp pp pp\n{bounds}ITEM: ATOMS id type element x y z\n{rows}"
    )


def crystal(gap=None):
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
    atoms.rattle(0.02, rng=np.random.default_rng(1))
    if gap is not None:
        atoms.symbols[5] = "Ta"
        atoms.positions[5] = atoms.positions[0] - [gap, 0, 0]  # across a wall of the cell
        atoms.wrap()
    return atoms


def watcher(folder, **limits):
    return Watcher(folder, Watch(**limits), interval=10, info={"group": "W2/npt-300K"})


# ---- frames and committees ---------------------------------------------------------------------------


def test_a_frame_is_read_as_it_was_written(tmp_path):
    atoms = crystal(gap=2.0)
    write_frame(tmp_path, 30, atoms)
    (path,) = frame_files(tmp_path)
    found = read_frame(path)
    np.testing.assert_allclose(found.positions, atoms.positions, atol=1e-9)
    np.testing.assert_allclose(found.cell.array, atoms.cell.array, atol=1e-9)
    assert found.get_chemical_symbols() == atoms.get_chemical_symbols()
    assert found.info["step"] == 30
    path.write_text(path.read_text()[:150])
    with pytest.raises(DataError, match=r"000000030.dump: expected a whole frame"):
        read_frame(path)


def test_the_closest_pair_is_that_of_all_images():
    found = closest_pair(crystal(gap=1.4), step=7)
    assert found.distance_angstrom == pytest.approx(1.4)
    assert found.fraction == pytest.approx(1.4 / (1.54 + 1.70))
    assert (found.pair, found.step) == ("Mo-Ta", 7)
    assert closest_pair(Atoms("Mo", cell=[9, 9, 9], pbc=True)).fraction is None


def test_deviations_of_a_run_that_was_killed_are_joined(tmp_path):
    assert ForceDeviations(tmp_path).read() == {}
    line = "{:12d} 1 1 1 {} 1 1\n"
    (tmp_path / "model_devi.0.out").write_text(
        HEADER + line.format(0, 0.1) + line.format(10, 0.2) + line.format(20, 0.9) + "     30 1 1"
    )
    (tmp_path / "model_devi.20.out").write_text(HEADER + line.format(20, 0.3))
    (tmp_path / "model_devi.30.out").write_text("")
    assert ForceDeviations(tmp_path).read() == {0: 0.1, 10: 0.2, 20: 0.3}
    (tmp_path / "model_devi.40.out").write_text("# something else\n")
    with pytest.raises(DataError, match="expected a column max_devi_f, found '# something else'"):
        ForceDeviations(tmp_path).read()


def test_deviations_of_a_run_that_goes_on_are_read_once(tmp_path):
    """Each look adds what is new, a line in pieces too, and the start that replaces others."""
    line = "{:12d} 1 1 1 {} 1 1\n"
    first, second = tmp_path / "model_devi.0.out", tmp_path / "model_devi.10.out"
    deviations = ForceDeviations(tmp_path)
    first.write_text(HEADER[:5])
    assert deviations.read() == {}
    first.write_text(HEADER + line.format(0, 0.1) + line.format(10, 0.2)[:9])
    assert deviations.read() == {0: 0.1}
    with first.open("a") as file:
        file.write(line.format(10, 0.2)[9:] + line.format(20, 0.9))
    assert deviations.read() == {0: 0.1, 10: 0.2, 20: 0.9}
    second.write_text(HEADER + line.format(10, 0.3))
    assert deviations.read() == {0: 0.1, 10: 0.3}
    assert ForceDeviations(tmp_path).read() == {0: 0.1, 10: 0.3}


def test_what_a_killed_run_saw_is_known_again(tmp_path):
    """But for the line that the kill cut: that frame is looked at again."""
    for step, gap in ((0, 1.4), (10, 1.3), (20, 1.2)):
        write_frame(tmp_path, step, crystal(gap=gap))
    watcher(tmp_path, close_fraction=0.1).look(before=21)
    seen = tmp_path / "watch.jsonl"
    whole = seen.read_text()
    seen.write_text(whole[:-5])
    again = watcher(tmp_path, close_fraction=0.1)
    again.look(before=21)
    assert seen.read_text() == whole
    assert again.finish()["n_frames"] == 3
    assert again.finish()["closest"]["step"] == 20


def test_uncertain_frames_are_saved_for_labelling(tmp_path):
    deviations = {0: 0.05, 10: 0.5, 20: 0.7, 30: 0.6, 40: 0.1}
    rows = "".join(f"{step:12d} 1 1 1 {value} 1 1\n" for step, value in deviations.items())
    (tmp_path / "model_devi.0.out").write_text(HEADER + rows)
    for step in deviations:
        write_frame(tmp_path, step, crystal())
    first = watcher(tmp_path, max_saved_frames=2)
    first.look(before=30)
    second = watcher(tmp_path, max_saved_frames=2)  # after a kill
    second.look(before=50)
    found = second.finish()
    assert found["n_frames"] == 5
    assert (found["n_uncertain"], found["n_saved"]) == (3, 2)
    assert found["largest_force_deviation_ev_per_angstrom"] == 0.7
    assert found["closest"]["pair"] == "Mo-Mo"
    path = tmp_path / "uncertain.extxyz"
    cells = make_cells(iter_atoms(path))  # what `moalloy dataset label` makes of it
    assert [cell.name for cell in cells] == ["W2/npt-300K-step20", "W2/npt-300K-step30"]
    saved = read(path, ":")
    assert [atoms.info["max_devi_f"] for atoms in saved] == [0.7, 0.6]
    assert {atoms.info["state"] for atoms in saved} == {"noneq"}


def test_close_atoms_and_discord_end_a_run(tmp_path):
    write_frame(tmp_path, 0, crystal())
    write_frame(tmp_path, 10, crystal(gap=1.4))
    watching = watcher(tmp_path, stop_above_ev_per_angstrom=0.4)
    watching.look(before=10)
    with pytest.raises(
        SimulationStoppedError, match=r"found a pair Mo-Ta at 1.40 Å .0.43.*label the frames"
    ):
        watching.look(before=20)
    watching.after_a_failure()
    assert len(read(tmp_path / "uncertain.extxyz", ":")) == 2
    write_frame(tmp_path, 20, crystal())
    (tmp_path / "model_devi.0.out").write_text(HEADER + "20 1 1 1 0.55 1 1\n")
    with pytest.raises(
        SimulationStoppedError, match=r"agrees on forces within 0.4 eV/Å, found 0.55"
    ):
        watching.look(before=30)


@pytest.mark.parametrize("restart", [5, 15, 21])
def test_a_refused_frame_is_refused_again_by_the_run_that_goes_on(tmp_path, restart):
    """Where it lies before the restart, at once; where it is written again, when it is."""
    for step, gap in {0: None, 10: 1.4, 20: None}.items():
        write_frame(tmp_path, step, crystal(gap=gap))

    def looked():
        again = watcher(tmp_path)
        for step in (restart, 21):
            again.look(before=step)

    refused = pytest.raises(
        SimulationStoppedError, match=r"000000010\.dump: expected atoms farther"
    )
    for _ in range(2):
        with refused:
            looked()
    with refused:
        watcher(tmp_path).finish()
    write_frame(tmp_path, 10, crystal())  # as another number of ranks may find it
    again = watcher(tmp_path)
    again.look(before=5)
    again.look(before=21)
    assert again.finish()["closest"]["pair"] == "Mo-Mo"


def test_discord_is_judged_again_by_the_run_that_goes_on(tmp_path):
    for step in (0, 10, 20):
        write_frame(tmp_path, step, crystal())
    (tmp_path / "model_devi.0.out").write_text(HEADER + "10 1 1 1 0.55 1 1\n20 1 1 1 0.1 1 1\n")
    for _ in range(2):
        again = watcher(tmp_path, stop_above_ev_per_angstrom=0.4)
        with pytest.raises(SimulationStoppedError, match=r"found 0\.55"):
            again.look(before=21)
    with pytest.raises(SimulationStoppedError, match=r"found 0\.55"):
        again.finish()
    more = watcher(tmp_path, stop_above_ev_per_angstrom=0.6)
    more.look(before=21)
    assert more.finish()["largest_force_deviation_ev_per_angstrom"] == 0.55


def test_a_failure_is_not_hidden_by_frames_that_it_cut(tmp_path):
    """A full disk: the last frame is half, and nothing more can be written."""
    rows = "".join(f"{step:12d} 1 1 1 0.9 1 1\n" for step in (0, 10, 20))
    (tmp_path / "model_devi.0.out").write_text(HEADER + rows)
    for step in (0, 10, 20):
        write_frame(tmp_path, step, crystal())
    watching = watcher(tmp_path)
    watching.look(before=20)
    last = tmp_path / "frames" / "000000020.dump"
    last.write_text(last.read_text()[:150])
    watching.after_a_failure()
    assert [atoms.info["name"][-6:] for atoms in read(tmp_path / "uncertain.extxyz", ":")] == [
        "-step0", "step10",
    ]  # fmt: skip
    (tmp_path / "uncertain.extxyz").unlink()
    (tmp_path / "uncertain.extxyz").mkdir()  # cannot be replaced, also by root
    watching.after_a_failure()


def test_temperature_and_energy_that_drift_are_told():
    time_ps = np.arange(400) * 0.1
    noise = np.random.default_rng(2).normal(scale=1e-4, size=400)
    calm = {"time_ps": time_ps, "conserved_ev_per_atom": noise}
    at = {"target_k": 1000.0, "error_k": 5.0}
    assert thermostat_warnings(Watch(), mean_k=1030, **at, **calm) == []
    (hot,) = thermostat_warnings(Watch(), mean_k=1060, **at, **calm)
    assert "within 5 % of 1000 K, found 1060 ± 5 K" in hot
    unsure = {"target_k": 1000.0, "error_k": 30.0}
    assert thermostat_warnings(Watch(), mean_k=1060, **unsure, **calm) == []
    calm["conserved_ev_per_atom"] = noise + 5e-4 * time_ps  # 20 meV in 40 ps
    (drift,) = thermostat_warnings(Watch(), mean_k=1000, **at, **calm)
    assert "drifts by at most 8.6 meV/atom, found 19.9 ± 0." in drift
    assert "in 40 ps: shorten timestep_ps" in drift


# ---- runs ----------------------------------------------------------------------------------------------


def test_a_run_that_blows_up_is_a_sentence_and_stops_no_other(tmp_path):
    config = settings(**{**ONE_RUN, "temperatures_k": [300, 60000], "steps": 1000})
    found, results = thermal(config, out=tmp_path / "out", console=QUIET)
    assert found.done == ("pure/npt-300K",)
    assert found.failed.keys() == {"pure/npt-60000K"}
    error = found.failed["pure/npt-60000K"]
    assert (
        "Likely cause: the temperature ran away" in error
        or "blew up" in error
        or ("expected atoms farther apart" in error)
    )
    assert list(results.compositions[0].runs) == [300.0]
    assert processes_below(tmp_path) == []
    folder = tmp_path / "out" / "runs" / "pure" / "npt-60000K"
    assert read_status(folder).state == "failed"


def test_atoms_that_come_too_close_end_a_run_and_are_saved(tmp_path):
    config = settings(**ONE_RUN, watch={"close_fraction": 0.83})
    found, results = thermal(config, out=tmp_path / "out", console=QUIET)
    assert results is None
    (error,) = found.failed.values()
    assert "farther apart than 0.83 of the sum of their covalent radii, found a pair V-V" in error
    folder = tmp_path / "out" / "runs" / "pure" / "npt-300K"
    assert 1 <= len(read(folder / "uncertain.extxyz", ":")) <= 2
    assert processes_below(tmp_path) == []
    for _ in range(2):  # repeated, it went past the frame and was called done
        found, results = thermal(config, out=tmp_path / "out", console=QUIET)
        assert "farther apart than 0.83" in next(iter(found.failed.values()))
    assert results is None


def test_a_run_goes_on_to_more_steps(tmp_path):
    out = tmp_path / "out"
    thermal(settings(**ONE_RUN).model_copy(update={"steps": 1000}), out=out, console=QUIET)
    _, results = thermal(
        settings(**ONE_RUN).model_copy(update={"steps": 2000}), out=out, console=QUIET
    )
    assert results.compositions[0].runs[300.0]["steps"] == 2000
    folder = out / "runs" / "pure" / "npt-300K"
    assert sorted(path.name for path in folder.glob("log.*.lammps")) == [
        "log.0.lammps",
        "log.1000.lammps",
    ]


def test_a_broken_analysis_is_written_down_with_its_traceback(tmp_path):
    def broken(*_):
        raise ZeroDivisionError("by zero")

    config = settings(**ONE_RUN).model_copy(update={"steps": 1000})
    out = tmp_path / "out"
    thermal(config, out=out, console=QUIET)
    _, (run,) = read_plan(out)
    from moalloy_md.workflows.simulate.potential import resolve_potential

    start = Start(config, resolve_potential(config.potential), broken)
    assert do_run(out, run, start)  # it is done
    assert not do_run(out, replace(run, steps=1100), start)
    assert "ZeroDivisionError: by zero" in read_status(out / "runs" / run.name).error


def test_progress_shows_what_matters(capsys, monkeypatch):
    rows = [
        {"Step": s, "Time": 0.002 * s, "Temp": 301.4, "TotEng": -108.0, "Press": -1234.0}
        for s in (0, 500, 1000)
    ]
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    with simulation_bar(Console(width=120), total=1000, n_atoms=10) as show:
        for row in rows:
            show(row)
            clock += 40.0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["step 500 of 1000", "step 1000 of 1000"]
    # 1 ps in 40 s is 2.16 ns a day
    assert lines[0].split("  ")[2:] == [
        "T 301 K", "E -10.8000 eV/atom", "P -0.12 GPa", "2.16 ns/day", "0:00:40 left",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.16521, 0.00123, "3.1652(12)"),
        (12.34, 1.4, "12.3(1.4)"),
        (-0.5, 0.99, "-0.50(99)"),
        (1234.5, 23.0, "1234(23)"),
        (1.0, 0.0, "1"),
    ],
)
def test_errors_in_brackets(value, error, text):
    assert with_error_in_brackets(value, error) == text


# ---- clusters --------------------------------------------------------------------------------------------


def test_jobs_by_submitit(tmp_path):
    """In processes of this machine, as they would run under SLURM; then the results."""
    config = settings(**ONE_RUN, slurm={"cpus": 1}).model_copy(update={"steps": 1000})
    out = tmp_path / "out"
    found, results = thermal(config, out=out, executor="local", console=QUIET)
    assert found.done == ("pure/npt-300K",), found
    assert results is not None
    assert len(list((out / "jobs").glob("*_log.out"))) == 1


def test_what_slurm_is_asked_for(tmp_path, monkeypatch):
    """The script that sbatch is given, by submitit itself."""
    fake_slurm(tmp_path, monkeypatch)
    slurm = {"partition": "cpu", "account": "mo", "time_minutes": 90, "modules": ["gcc", "mpich"]}
    slurm |= {"cpus": 4, "memory_gb": 3, "more": {"qos": "low"}}
    out = tmp_path / "out"
    found, results = thermal(settings(slurm=slurm), out=out, executor="slurm", console=QUIET)
    assert results is None
    assert len(found.waiting) == 6
    script = next((out / "jobs").glob("*submission*.sh")).read_text()
    for line in (
        "--partition=cpu", "--account=mo", "--time=90", "--cpus-per-task=4", "--qos=low",
        "--requeue", "--array=0-5%6", "--nodes=1", "--ntasks-per-node=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script, script
    assert "module load gcc\nmodule load mpich\n" in script
    plan = json.loads((out / "simulation.json").read_text())
    assert plan["config"]["potential"]["files"][0].startswith("/")


def test_slurm_that_is_absent(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunDirectoryError, match=r"expected SLURM on this machine .sbatch."):
        thermal(settings(), out=tmp_path / "out", executor="slurm", console=QUIET)


def test_a_job_that_reaches_its_wall_time_is_queued_again_and_goes_on(tmp_path):
    """By the signal that SLURM sends before the end, with submitit's processes of this machine."""
    import submitit

    from moalloy_md.workflows.simulate.job import RunJob

    out = tmp_path / "out"
    config = settings(**ONE_RUN, slurm={"cpus": 1}).model_copy(update={"steps": 12_000})
    _prepare(TOPIC, config, out=out, ranks=1)
    queue = submitit.AutoExecutor(folder=out / "jobs", cluster="local")
    queue.update_parameters(timeout_min=10, tasks_per_node=1)
    job = queue.submit(RunJob(requeue=True), out, "thermal", "pure/npt-300K")
    folder = out / "runs" / "pure" / "npt-300K"
    end = time.monotonic() + 120
    while not (folder / "restart.npt").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    (pid,) = pids_with(f"submitit.core._submit {out / 'jobs'}")
    os.kill(pid, signal.SIGUSR2)
    assert job.result() is True
    starts = sorted(int(path.name.split(".")[1]) for path in folder.glob("log.*.lammps"))
    assert len(starts) == 2
    assert starts[1] >= 1000
    assert "Requeued job" in job.stdout()
    assert processes_below(tmp_path) == []
    assert RunJob(requeue=False).checkpoint("out", "thermal", "a") is None
