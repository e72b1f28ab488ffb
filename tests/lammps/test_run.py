import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from support.tungsten import potential, processes_in, variables, write_crystal

from moalloy_md.errors import ConfigError, LammpsError
from moalloy_md.lammps import installation
from moalloy_md.lammps.failures import likely_cause
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_run
from moalloy_md.lammps.run import run_lammps


@pytest.fixture(autouse=True)
def _no_plugin(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path_factory.mktemp("empty-cache")))


@pytest.fixture
def crystal(tmp_path):
    write_crystal(tmp_path)
    return tmp_path


def run(folder, *, input_path=None, ranks=1, on_step=None, threads=1, **changes):
    return run_lammps(
        input_path or input_file("in.npt"),
        run_dir=folder,
        variables=variables(**changes),
        ranks=ranks,
        threads=threads,
        on_step=on_step,
    )


def write_input(folder, text):
    path = folder / "in.test"
    path.write_text(text)
    return path


def test_progress_is_told_every_line_of_thermo_output(crystal):
    seen = []
    result = run(crystal, on_step=lambda step, total: seen.append((step, total)))
    # The end of each part of a run is printed again at the start of the next.
    assert sorted(set(seen)) == [(step, 200) for step in range(0, 201, 10)]
    assert seen == sorted(seen)
    assert result.wall_s > 0
    assert result.warnings == ()


def test_progress_comes_while_lammps_runs(crystal):
    alive = []
    run(
        crystal,
        steps=3000,
        on_step=lambda step, _: (
            alive.append("lmp" in processes_in(crystal).values()) if step == 1000 else None
        ),
    )
    assert alive[0]


def test_two_ranks_and_two_threads_compute_the_same(tmp_path):
    energies = []
    for name, ranks, threads in (("one", 1, 1), ("two", 2, 1), ("threads", 1, 2)):
        write_crystal(tmp_path / name)
        result = run(tmp_path / name, ranks=ranks, threads=threads, steps=20)
        energies.append(read_run(tmp_path / name).column("PotEng")[0])
        screen = result.screen.read_text()
        assert f"using {threads} OpenMP thread(s)" in screen
        assert f"on {ranks * threads} procs" in screen
    assert energies[1:] == pytest.approx([energies[0]] * 2, rel=1e-9)


def test_warnings_are_kept_once(crystal):
    text = "print 'WARNING: first'\nprint 'WARNING: first'\nprint 'WARNING: second'\n"
    result = run(crystal, input_path=write_input(crystal, text))
    assert result.warnings == ("first", "second")


@pytest.mark.parametrize(
    ("changes", "ranks", "words"),
    [
        ({"style": "mace"}, 1, ["Unrecognized pair style 'mace'", "moalloy plugin build"]),
        ({"style": "eam/aloy"}, 1, ["no pair style eam/aloy", "spelling"]),
        ({"elements": "W W"}, 1, ["one chemical symbol for each atom type"]),
        ({"elements": "Mo"}, 1, ["one chemical symbol for each atom type"]),
        ({"structure": "nix.data"}, 1, ["a file is missing: nix.data"]),
        ({"potential": "nix.alloy"}, 2, ["a file is missing: nix.alloy"]),
        ({"temperature_limit_k": 20}, 1, ["the temperature ran away", "met on step"]),
        ({"timestep_ps": 0.2, "thermo_interval": 500}, 1, ["Lost atoms", "blew up", "timestep_ps"]),
    ],
)
def test_a_failure_carries_the_tail_of_the_output_and_the_cause(crystal, changes, ranks, words):
    with pytest.raises(LammpsError) as error:
        run(crystal, ranks=ranks, **changes)
    text = str(error.value)
    for word in ["ERROR", "Likely cause", str(crystal / "screen.log"), *words]:
        assert word in text


@pytest.mark.parametrize("content", [b"", b"x" * 60])
def test_a_damaged_restart_file_is_named_as_the_cause(crystal, content):
    (crystal / "restart.npt").write_bytes(content)
    with pytest.raises(LammpsError, match="the restart file is damaged: remove it"):
        run(crystal)


def test_a_full_disk_is_named_and_the_last_restart_stays(crystal):
    run(crystal, steps=200, restart_interval=100)
    before = (crystal / "restart.npt").read_bytes()
    (crystal / "restart.tmp").symlink_to("/dev/full")
    with pytest.raises(LammpsError, match="the disk is full: make room"):
        run(crystal, steps=400, restart_interval=100)
    assert (crystal / "restart.npt").read_bytes() == before


def test_a_variable_that_is_missing_is_named(crystal):
    with pytest.raises(LammpsError, match="a variable that was not given: colour"):
        run(crystal, input_path=write_input(crystal, "print ${colour}\n"))


def test_an_error_that_says_all_gets_no_guess_beside_it(crystal):
    with pytest.raises(LammpsError) as error:
        run(crystal, input_path=write_input(crystal, "nonsense 1\n"))
    assert "Unknown command: nonsense" in str(error.value)
    assert "Likely cause" not in str(error.value)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (signal.SIGKILL, "memory ran out"),
        (signal.SIGSEGV, "segmentation fault"),
        (signal.SIGILL, "this processor"),
    ],
)
def test_a_rank_that_dies_is_told_from_an_error(crystal, ranks, sent, word):
    def strike(step, _):
        victims = [pid for pid, name in processes_in(crystal).items() if name == "lmp"]
        if step >= 100 and victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victims[-1], sent)

    with pytest.raises(LammpsError, match=word):
        run(crystal, ranks=ranks, steps=10**6, on_step=strike)
    assert not processes_in(crystal)


def test_a_rank_that_mpiexec_ended_is_not_taken_for_the_one_that_died():
    """As it was seen: the code of the other rank, killed by mpiexec, in front."""
    text = (
        "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   EXIT CODE: 9\n"
        "YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Segmentation fault (signal 11)\n"
    )
    assert "segmentation fault" in likely_cause(text, 11)


def test_what_only_the_log_has_is_shown(crystal):
    """Under mpiexec the screen can lose the last words of a rank that aborts."""
    text = "print 'ERROR: only here' append log.0.lammps screen no\nshell kill -9 0\n"
    with pytest.raises(LammpsError, match="ERROR: only here"):
        run(crystal, input_path=write_input(crystal, text))


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_exception_in_the_callback_leaves_no_process(crystal, ranks):
    def interrupt(step, _):
        if step >= 100:
            assert "lmp" in processes_in(crystal).values()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(crystal, ranks=ranks, steps=10**6, on_step=interrupt)
    assert not processes_in(crystal)


def test_an_error_of_the_callback_is_not_taken_for_one_of_lammps(crystal):
    def fail(step, total):
        raise FileNotFoundError("disk of the caller")

    with pytest.raises(FileNotFoundError, match="disk of the caller"):
        run(crystal, on_step=fail)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_killing_the_parent_leaves_no_process(crystal, ranks, sent):
    program = f"""
from pathlib import Path
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.run import run_lammps
from moalloy_md.processes import exit_on_sigterm
exit_on_sigterm()
run_lammps(input_file("in.npt"), run_dir=Path({str(crystal)!r}), ranks={ranks},
           variables=dict(style="eam/alloy", potential=Path({str(potential())!r}), elements="W",
                          steps=10**6))
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    try:
        _wait_until((crystal / "restart.npt").exists, 60)
        assert list(processes_in(crystal).values()).count("lmp") == ranks
    finally:
        parent.send_signal(sent)
        parent.wait()
    _wait_until(lambda: not processes_in(crystal), 10)


def _wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still not so after {seconds} s"
        time.sleep(0.02)


def test_a_path_with_blanks_is_given_from_the_run_folder(tmp_path):
    folder = tmp_path / "My Drive" / "run"
    write_crystal(folder)
    nearby = tmp_path / "My Drive" / "W.alloy"
    nearby.write_bytes(potential().read_bytes())
    run(folder, potential=nearby, steps=10)
    far = tmp_path / "other folder" / "W.alloy"
    with pytest.raises(ConfigError, match=r"path without blanks.*other folder"):
        run(folder, potential=far)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranks": 0}, "ranks and threads of 1 or more, found 0 and 1"),
        ({"threads": -1}, "ranks and threads of 1 or more, found 1 and -1"),
        ({"seed": ""}, "variable seed: expected one line of text, found ''"),
        ({"seed": "1\nshell rm"}, "variable seed: expected one line of text"),
        ({"two words": 1}, "letters, digits and underscores, found 'two words'"),
    ],
)
def test_options_that_cannot_be_are_refused(crystal, options, message):
    with pytest.raises(ConfigError, match=message):
        run(crystal, **options)


def test_a_missing_input_is_refused(crystal):
    with pytest.raises(LammpsError, match="expected a LAMMPS input, found no such file"):
        run(crystal, input_path=crystal / "in.nix")


def test_a_binary_that_cannot_start_is_refused(crystal, monkeypatch):
    broken = crystal / "lmp"
    broken.write_text("not a program")
    monkeypatch.setattr(installation, "lmp_executable", lambda: broken)
    with pytest.raises(LammpsError, match=r"cannot be started .*pip install --force-reinstall"):
        run(crystal)


@pytest.mark.parametrize(
    ("output", "status", "word"),
    [
        (
            "lmp: error while loading shared libraries: libmpi.so.12: cannot open",
            127,
            "lammps[mpi]",
        ),
        ("x: error while loading shared libraries: libtorch.so: cannot open", 127, "libtorch.so"),
        ("ERROR on proc 0: Failed to allocate 9 bytes for array x", 1, "memory ran out"),
        ("ERROR: Invalid run command upto value: 5. Must be >= 10", 1, "-var steps"),
        ("", -15, "time limit"),
        ("", 137, "memory ran out"),
        ("", -7, "SIGBUS"),
    ],
)
def test_causes_that_are_hard_to_make_here(output, status, word):
    assert word in likely_cause(output, status)


def test_an_unknown_failure_is_not_explained_away():
    assert likely_cause("ERROR: something new", 1) is None
