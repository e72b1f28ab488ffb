import contextlib
import os
import re
import signal
import subprocess

import numpy as np
import pytest
from support.tungsten import processes_in, variables, write_crystal

from moalloy_md.errors import LammpsError
from moalloy_md.lammps.frames import frame_files
from moalloy_md.lammps.inputs import input_file, input_names
from moalloy_md.lammps.installation import lammps_environment, lmp_executable
from moalloy_md.lammps.logs import read_run
from moalloy_md.lammps.run import run_lammps


@pytest.fixture(autouse=True)
def _no_plugin(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path_factory.mktemp("empty-cache")))


def npt(folder, *, on_step=None, ranks=1, **changes):
    run_lammps(
        input_file("in.npt"),
        run_dir=folder,
        variables=variables(restart_interval=200, **changes),
        on_step=on_step,
        ranks=ranks,
    )


def npt_killed_at(folder, step, **changes):
    """Run until a step is printed, then SIGKILL lmp, as a power cut would."""

    def strike(now, _):
        if now >= step:
            for pid, name in processes_in(folder).items():
                if name == "lmp":
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    with pytest.raises(LammpsError, match="killed"):
        npt(folder, on_step=strike, **changes)


def steps_of(frames):
    return [int(path.read_text().split("ITEM: TIMESTEP\n")[1].split()[0]) for path in frames]


def positions(frame):
    return np.loadtxt(frame.read_text().split("x y z\n")[1].splitlines(), usecols=(0, 3, 4, 5))


def test_a_run_in_two_parts_equals_the_run_in_one(tmp_path):
    """Not only alike: restarts stand where the whole run starts its parts, bit for bit."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        write_crystal(folder)
    npt(whole, steps=600)
    npt(parts, steps=400)
    npt(parts, steps=600)
    one, two = read_run(whole), read_run(parts)
    np.testing.assert_array_equal(one.steps, np.arange(0, 601, 10))
    for name in one.columns:
        np.testing.assert_allclose(two.column(name), one.column(name), rtol=1e-7, atol=1e-3)
    assert [p.name for p in frame_files(whole)] == [p.name for p in frame_files(parts)]
    np.testing.assert_allclose(
        positions(frame_files(parts)[-1]), positions(frame_files(whole)[-1]), atol=1e-5
    )


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_killed_run_goes_on_to_the_same_total(tmp_path, ranks):
    write_crystal(tmp_path)
    npt_killed_at(tmp_path, 700, steps=1_000_000, ranks=ranks)
    reached = read_run(tmp_path).steps[-1]
    total = int(reached // 200 * 200 + 500)
    (tmp_path / "restart.tmp").write_bytes(b"cut by the kill")
    cut = frame_files(tmp_path)[-1]
    cut.write_text(cut.read_text()[:100])
    npt(tmp_path, steps=total, ranks=ranks)
    history = read_run(tmp_path)
    np.testing.assert_array_equal(history.steps, np.arange(0, total + 1, 10))
    np.testing.assert_allclose(history.column("Time"), 0.002 * history.steps, rtol=1e-6)
    assert history.complete
    assert steps_of(frame_files(tmp_path)) == list(range(0, total + 1, 100))
    # it went on, and did not start anew
    starts = sorted(int(p.name.split(".")[1]) for p in tmp_path.glob("log.*.lammps"))
    assert starts[0] == 0
    assert starts[1] % 200 == 0
    assert 600 <= starts[1] <= reached


def test_a_run_without_a_restart_leaves_nothing_of_an_earlier_one(tmp_path):
    write_crystal(tmp_path)
    npt(tmp_path, steps=400)
    (tmp_path / "restart.npt").unlink()
    (tmp_path / "log.200.lammps").write_text("an earlier part")
    npt(tmp_path, steps=200)
    assert steps_of(frame_files(tmp_path)) == [0, 100, 200]
    assert [path.name for path in tmp_path.glob("log.*.lammps")] == ["log.0.lammps"]


def run(name, folder, **changes):
    run_lammps(input_file(name), run_dir=folder, variables=variables(**changes))


@pytest.mark.parametrize("name", ["in.anneal", "in.mcmd", "in.minimize", "in.nve", "in.ramp"])
def test_the_run_of_another_input_is_left_as_it_is(tmp_path, name):
    write_crystal(tmp_path)
    npt(tmp_path, steps=200)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    sentence = rf"expected a folder of its own.*log\.0\.lammps\): start {name} in a new folder"
    with pytest.raises(LammpsError, match=sentence):
        run(name, tmp_path, steps=200)
    del before[tmp_path / "screen.log"], before[tmp_path / "log.lammps"]
    assert {path: path.read_bytes() for path in before} == before
    assert not (tmp_path / name.replace("in.", "begun.")).exists()


def test_a_start_that_fails_removes_nothing(tmp_path):
    """And the same command, mended, starts."""
    write_crystal(tmp_path)
    (tmp_path / "frames").mkdir()
    frames = [tmp_path / "frames" / name for name in ("000000100.dump", "mine.dump")]
    for path in frames:
        path.write_text("of somebody")
    with pytest.raises(LammpsError, match="nowhere"):
        npt(tmp_path, steps=200, potential="nowhere")
    assert all(path.exists() for path in frames)
    npt(tmp_path, steps=200)
    assert frames[1].read_text() == "of somebody"
    assert steps_of(sorted(tmp_path.glob("frames/0*.dump"))) == [0, 100, 200]


def test_a_complete_run_is_left_as_it_is(tmp_path):
    write_crystal(tmp_path)
    npt(tmp_path, steps=200)
    kept = ["log.0.lammps", "restart.npt", "frames/000000200.dump"]
    before = [(tmp_path / name).stat().st_mtime_ns for name in kept]
    npt(tmp_path, steps=200)
    npt(tmp_path, steps=100)
    assert [(tmp_path / name).stat().st_mtime_ns for name in kept] == before
    assert "200 steps are done, 100 were asked for" in (tmp_path / "screen.log").read_text()
    assert len(list(tmp_path.glob("log.*.lammps"))) == 1


def test_temperature_and_lattice_parameter_are_physical(tmp_path):
    """W expands by 4.5e-6/K (CRC Handbook): 3.165 Å of the potential grow by 0.004 Å at 300 K."""
    write_crystal(tmp_path, repeat=(4, 4, 4), vacancy=False, rattle=0.0)
    npt(tmp_path, steps=2000, temperature_k=300, thermo_interval=5)
    history = read_run(tmp_path)
    later = history.steps > 500
    # the spread of 63 atoms' temperature is T sqrt(2/3N) = 22 K, over about 20 fluctuations
    assert history.column("Temp")[later].mean() == pytest.approx(300, abs=20)
    a = (history.column("Volume")[later].mean() / 64) ** (1 / 3)
    assert a == pytest.approx(3.165 * (1 + 300 * 4.5e-6), abs=0.002)
    for one in "xyz":  # iso
        np.testing.assert_allclose(history.column(f"L{one}") ** 3, history.column("Volume"))


def test_pressure_and_barostat_do_what_they_say(tmp_path):
    for name, pressure in (("free", 0), ("pressed", 50_000)):
        write_crystal(tmp_path / name)
        npt(tmp_path / name, steps=1500, temperature_k=50, pressure_bar=pressure, barostat="aniso")
    free, pressed = (read_run(tmp_path / name) for name in ("free", "pressed"))
    later = free.steps > 500
    ratio = pressed.column("Volume")[later].mean() / free.column("Volume")[later].mean()
    # 5 GPa on a bulk modulus of 308 GPa that rises by 4 per GPa (Murnaghan)
    assert ratio == pytest.approx((1 + 4 * 5 / 308) ** (-1 / 4), abs=0.004)
    lengths = np.array([free.column(f"L{one}")[-1] for one in "xyz"]) / [3, 4, 3]
    assert np.ptp(lengths) > 1e-4


def test_frames_name_the_elements_of_the_types(tmp_path):
    write_crystal(tmp_path)
    npt(tmp_path, steps=10, dump_interval=10)
    header, rows = frame_files(tmp_path)[0].read_text().split("ITEM: ATOMS ")
    assert rows.splitlines()[0] == "id type element x y z"
    assert [row.split()[2] for row in rows.splitlines()[1:]] == ["W"] * 71
    assert "ITEM: TIME\n" in header


def test_it_runs_by_hand(tmp_path):
    write_crystal(tmp_path)
    given = [word for k, v in variables(steps=50).items() for word in ("-var", k, str(v))]
    subprocess.run(
        [lmp_executable(), "-in", input_file("in.npt"), *given],
        cwd=tmp_path, env=lammps_environment(), check=True, capture_output=True,
    )  # fmt: skip
    assert read_run(tmp_path).steps[-1] == 50


def test_every_input_explains_its_variables_and_only_those():
    assert "in.npt" in input_names()
    for name in input_names():
        text = input_file(name).read_text()
        header = text.split("\n\n")[0]
        explained = re.findall(r"^# (\w+) {2,}\S", header, flags=re.MULTILINE)
        defined = re.findall(r"^(?: .*\")?variable (\w+) +index ", text, flags=re.MULTILINE)
        in_loops = re.findall(r"^next (\w+)", text, flags=re.MULTILINE)
        assert explained[0] == "name"
        assert set(explained[1:]) == set(defined) - set(in_loops), name
        assert {"bundle", "steps"} <= set(defined), name


def test_inputs_that_move_atoms_share_their_blocks():
    """Each is a file that a user can read and edit alone, so the same lines stand in all of them."""

    def block(name, title):
        text = input_file(name).read_text().replace(name.removeprefix("in."), "NAME")
        _, rest = re.split(rf"^# -+ {title}.*$", text, flags=re.MULTILINE)
        lines = re.split(r"^# -+ ", rest, flags=re.MULTILINE)[0].strip().splitlines()
        # columns of the thermo table, and how long the run lasts, are each input's own
        return [line for line in lines if not line.startswith(("thermo_style", "# start", "run "))]

    for title, at_least in (("structure", 10), ("potential", 5), ("output", 6)):
        first = block("in.npt", title)
        assert len(first) >= at_least
        for name in ("in.ramp", "in.nve", "in.mcmd"):
            assert block(name, title) == first, (name, title)
        # in.anneal runs twice, in a block of its own
        own = block("in.anneal", title)
        assert own == first[: len(own)]
        assert len(own) >= at_least


def test_an_unknown_input_is_refused_with_those_that_exist():
    for wrong in ("in.nvt-2", "../README.md", ""):
        with pytest.raises(LammpsError, match=r"expected the name of a LAMMPS input .*in\.npt"):
            input_file(wrong)
