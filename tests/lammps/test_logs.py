import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moalloy_md.errors import DataError
from moalloy_md.lammps.frames import frame_files
from moalloy_md.lammps.logs import join, numbered_files, read_log, read_run

PREAMBLE = """LAMMPS (22 Jul 2025 - Update 4)
  using 1 OpenMP thread(s) per MPI task
Reading data file ...
  128 atoms
"""


def table(rows, *, columns="Step Temp Volume", end="Loop time of 0.2 on 1 procs for 20 steps\n"):
    head = f"Per MPI rank memory allocation (min/avg/max) = 3.3 | 3.3 | 3.3 Mbytes\n   {columns}\n"
    return head + "".join("  ".join(map(str, row)) + "\n" for row in rows) + end


@pytest.fixture
def log(tmp_path):
    def write(text, name="log.lammps"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_each_run_of_a_file_is_a_table(log):
    text = (
        PREAMBLE
        + table([(0, 300.5, 10.0), (10, 299.25, 11.0)])
        + "Nlocal: 128\nHistogram: 1 0 0\n"
        + table([(10, 299.25, -1.5), (20, 2.5e2, 12.0), (30, 7, 8)], columns="Step Temp Press")
    )
    first, second = read_log(log(text))
    np.testing.assert_array_equal(first.column("Volume"), [10.0, 11.0])
    np.testing.assert_array_equal(second.steps, [10, 20, 30])
    np.testing.assert_array_equal(second.column("Temp"), [299.25, 250.0, 7.0])
    assert list(second.columns) == ["Step", "Temp", "Press"]
    assert first.complete
    assert second.complete


def test_lines_of_others_between_the_rows_are_passed_over(log):
    text = table([(0, 1.0, 2.0), ["WARNING:", "something", "odd"], (10, 3.0, 4.0)])
    text = text.replace("Loop", "three word line\n1.5 2.5 3.5\n\n20 5 6\nLoop")
    (only,) = read_log(log(text))
    np.testing.assert_array_equal(only.steps, [0, 10, 20])


def test_a_table_that_ends_in_an_error_is_not_complete(log):
    (only,) = read_log(log(table([(0, 1.0, 2.0)], end="ERROR: Lost atoms\nLast line: run\n")))
    assert not only.complete


@given(cut=st.integers(0, 10**6))
def test_a_log_cut_anywhere_gives_the_first_rows_unchanged(cut, tmp_path_factory):
    rows = [(10 * k, 300.125 + k, 2029.089096 - 3 * k) for k in range(6)]
    text = PREAMBLE + table(rows[:4]) + table(rows[3:], end="")
    path = tmp_path_factory.mktemp("cut") / "log.lammps"
    path.write_text(text[: cut % (len(text) + 1)])
    try:
        tables = read_log(path)
    except DataError as error:
        assert "found none: no run" in str(error) or "empty file" in str(error)  # noqa: PT017
        return
    found = np.column_stack(list(join(tables).columns.values()))
    np.testing.assert_array_equal(found, np.array(rows)[: len(found)])


def test_a_last_number_that_may_be_cut_is_not_believed(log):
    path = log(table([(0, 1.0, 2.0), (10, 3.0, 1234.5)], end="")[:-4])
    assert path.read_text().endswith("123")
    (only,) = read_log(path)
    np.testing.assert_array_equal(only.steps, [0])
    assert not only.complete


def test_a_restart_replaces_what_was_computed_after_it(log, tmp_path):
    log(table([(0, 1, 0), (10, 1, 0), (20, 1, 0), (30, 1, 0)], end="  40  1"), "log.0.lammps")
    log(table([(20, 2, 0), (30, 2, 0)], end=""), "log.20.lammps")
    log(table([(100, 3, 0), (110, 3, 0)]), "log.100.lammps")  # as text, 100 comes before 20
    log(PREAMBLE, "log.110.lammps")  # killed before its first row
    log(PREAMBLE, "log.lammps")
    whole = read_run(tmp_path)
    np.testing.assert_array_equal(whole.steps, [0, 10, 20, 30, 100, 110])
    np.testing.assert_array_equal(whole.column("Temp"), [1, 1, 2, 2, 3, 3])
    assert whole.complete


def test_a_folder_with_one_plain_log_is_read(log, tmp_path):
    log(table([(0, 1, 0), (10, 1, 0)]) + table([(10, 1, 0), (20, 1, 0)]))
    np.testing.assert_array_equal(read_run(tmp_path).steps, [0, 10, 20])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        (PREAMBLE, "no run command got to its first step"),
        (PREAMBLE + "ERROR: Cannot open file\n", "none, but this: ERROR: Cannot open file"),
        (table([(0, 1.0, "nan")]), "found nan for Volume at step 0: the simulation blew up"),
        (table([(0, 1.0, 1.0), (10, "-inf", 1.0)]), "an infinite number for Temp at step 10"),
        (table([(1.0, 2.0)], columns="Temp Volume"), "step among the keywords of thermo_style"),
        (
            table([], columns="------------ Step 0 ----- CPU = 0 (sec) -------------"),
            "in another format .*thermo_modify line one",
        ),
        (table([], columns="---\n      keywords: ['Step', 'Temp', ]"), "another format"),
    ],
)
def test_a_log_that_cannot_be_used_says_why(log, text, message):
    with pytest.raises(DataError, match=message):
        read_log(log(text))


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(DataError, match=r"log\.lammps: expected a LAMMPS log"):
        read_run(tmp_path)


def test_a_missing_column_is_named_with_those_that_exist(log):
    (only,) = read_log(log(table([(0, 1.0, 2.0)])))
    with pytest.raises(DataError, match="'Press', found Step, Temp, Volume"):
        only.column("Press")


def test_runs_with_other_columns_do_not_join(log):
    one = read_log(log(table([(0, 1, 2)])))
    other = read_log(log(table([(0, 1, 2)], columns="Step Temp Press")))
    with pytest.raises(DataError, match="the same columns, found Step, Temp, Volume and"):
        join([*one, *other])
    with pytest.raises(DataError, match="at least one thermo table"):
        join([])


def test_frames_come_in_the_order_of_time(tmp_path):
    (tmp_path / "frames").mkdir()
    for name in ("000000200", "1000000000", "000000000", "notes"):
        (tmp_path / "frames" / f"{name}.dump").touch()
    assert [int(path.stem) for path in frame_files(tmp_path)] == [0, 200, 10**9]
    assert [int(path.stem) for path in frame_files(tmp_path, first_step=1)] == [200, 10**9]
    with pytest.raises(DataError, match=r"from step 2000000000 on, found the last at step 10{9}"):
        frame_files(tmp_path, first_step=2 * 10**9)
    with pytest.raises(DataError, match="from step 0 on, found none"):
        frame_files(tmp_path / "frames")


def test_files_are_in_the_order_of_their_steps_and_others_are_left_alone(tmp_path):
    for name in (
        "log.1000.lammps",
        "log.0.lammps",
        "log.200.lammps",
        "log.old.lammps",
        "log.lammps",
    ):
        (tmp_path / name).touch()
    found = numbered_files(tmp_path, "log.*.lammps")
    assert [step for step, _ in found] == [0, 200, 1000]
    assert [path.name for _, path in found] == [f"log.{step}.lammps" for step, _ in found]
    assert numbered_files(tmp_path / "missing", "*.dump") == []
