"""Read the thermo tables of LAMMPS logs, of finished, restarted and killed runs.

The default one-line format is read, not ``thermo_modify line yaml``. One line is one step in both,
so a kill costs one line in both; but in the yaml form WARNING lines and the output of other
commands stand inside the document, no YAML parser takes it before it was cleaned line by line,
and every row takes two more lines of a user's screen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moalloy_md.errors import DataError

_BEFORE_HEADER = "Per MPI rank memory allocation"
_AFTER_TABLE = ("Loop time of", "ERROR")
_STEP = "Step"


@dataclass(frozen=True)
class ThermoTable:
    """Thermo output of one run, or of several that follow each other.

    Attributes
    ----------
    columns
        Values by the name that LAMMPS prints (``Step``, ``Temp``, ``Volume``...), each
        ``(n_rows,)``, in the units of the run (``metal``: ps, K, bar, eV, Å).
    complete
        False where the last table breaks off: the run was killed, failed, or goes on.
    """

    columns: dict[str, NDArray[np.float64]]
    complete: bool

    @property
    def steps(self) -> NDArray[np.int64]:
        """Time steps, ``(n_rows,)``, increasing."""
        return self.columns[_STEP].astype(np.int64)

    def column(self, name: str) -> NDArray[np.float64]:
        """Values of one column, ``(n_rows,)``.

        Raises
        ------
        DataError
            If there is no such column.
        """
        if name not in self.columns:
            raise DataError(
                f"expected a thermo column {name!r}, found {', '.join(self.columns)}: "
                "add its keyword to thermo_style in the LAMMPS input"
            )
        return self.columns[name]


class ThermoReader:
    """Picks thermo tables out of LAMMPS output, line by line, also while it is being written.

    Attributes
    ----------
    columns
        Column names of the table that is being read; empty outside a table.
    unreadable
        Header line of a table in another format (``multi`` or ``yaml``), if one was met.
    """

    def __init__(self) -> None:
        self.columns: tuple[str, ...] = ()
        self.unreadable: str | None = None
        self._header_is_next = False

    def feed(self, line: str) -> tuple[float, ...] | None:
        """Take one complete line; return the row that it holds, if it holds one."""
        if self._header_is_next:
            self._header_is_next = False
            self._read_header(line)
        elif line.startswith(_BEFORE_HEADER):
            self._header_is_next = True
            self.columns = ()
        elif line.startswith(_AFTER_TABLE):
            self.columns = ()
        elif self.columns:
            return self._row(line)
        return None

    def _read_header(self, line: str) -> None:
        names = tuple(line.split())
        if _STEP not in names or any(set(name) == {"-"} for name in names):
            self.unreadable = line.strip()
            return
        self.columns = names

    def _row(self, line: str) -> tuple[float, ...] | None:
        """Numbers of a row; None for anything else, such as warnings and rows cut by a kill."""
        words = line.split()
        if len(words) != len(self.columns) or not words[self.columns.index(_STEP)].isdigit():
            return None
        try:
            return tuple(float(word) for word in words)
        except ValueError:
            return None


def read_log(path: Path) -> tuple[ThermoTable, ...]:
    """Read the thermo tables of one log, one for each ``run`` in it that printed a row.

    Parameters
    ----------
    path
        ``log.lammps``, or what LAMMPS wrote on its screen. It may break off anywhere: a last
        line without its end is left out, because its last number may be cut.

    Raises
    ------
    DataError
        If the file cannot be read, holds no table or one in another format, or holds a value
        that is not finite (step and column are named).
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise DataError(
            f"{path}: expected a LAMMPS log, found nothing to read ({error.strerror})"
        ) from error
    reader = ThermoReader()
    tables: list[ThermoTable] = []
    names: tuple[str, ...] = ()
    rows: list[tuple[float, ...]] = []
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        row = reader.feed(line)
        if row is not None:
            names = reader.columns
            rows.append(row)
        elif rows and not reader.columns:
            tables.append(_table(path, names, rows, complete=line.startswith(_AFTER_TABLE[0])))
            rows = []
    if rows:
        tables.append(_table(path, names, rows, complete=False))
    if not tables:
        raise DataError(f"{path}: expected a thermo table, found {_what_instead(reader, text)}")
    return tuple(tables)


def join(tables: Sequence[ThermoTable]) -> ThermoTable:
    """Make one table of runs that follow each other, each step once.

    A table that starts at step ``s`` replaces all rows from ``s`` on: that is what a run does that
    goes on from a restart file older than the kill.

    Parameters
    ----------
    tables
        In the order in which they were computed, with the same columns.

    Raises
    ------
    DataError
        If there are none, or their columns differ.
    """
    if not tables:
        raise DataError("expected at least one thermo table, found none")
    joined = tables[0]
    for table in tables[1:]:
        if table.columns.keys() != joined.columns.keys():
            raise DataError(
                f"expected thermo tables with the same columns, found {', '.join(joined.columns)} "
                f"and {', '.join(table.columns)}: read their logs one by one"
            )
        keep = joined.steps < table.steps[0]
        joined = ThermoTable(
            columns={
                name: np.concatenate([values[keep], table.columns[name]])
                for name, values in joined.columns.items()
            },
            complete=table.complete,
        )
    return joined


def numbered_files(folder: Path, pattern: str) -> list[tuple[int, Path]]:
    """Files that our inputs name after a time step, in its order.

    Parameters
    ----------
    folder
        May be missing: no files.
    pattern
        File name with ``*`` for the step; files with something else there are left out.
    """
    before, after = pattern.split("*")
    found = [
        (path.name.removeprefix(before).removesuffix(after), path) for path in folder.glob(pattern)
    ]
    return sorted((int(step), path) for step, path in found if step.isdigit())


def read_run(run_dir: Path) -> ThermoTable:
    """Read the whole thermo history of a folder in which one of our inputs ran.

    Our inputs write ``log.START.lammps`` at each start from step START; a folder without such
    files is read from its ``log.lammps``.

    Raises
    ------
    DataError
        As `read_log` and `join` do. A start that was killed before its first row is passed over.
    """
    segments = numbered_files(run_dir, "log.*.lammps")
    paths = [path for _, path in segments] or [run_dir / "log.lammps"]
    readable = [path for path in paths if _has_rows(path)] or paths
    return join([table for path in readable for table in read_log(path)])


def _has_rows(path: Path) -> bool:
    if not path.exists():
        return False
    reader = ThermoReader()
    with path.open(errors="replace") as file:
        return any(line.endswith("\n") and reader.feed(line) is not None for line in file)


def _table(
    path: Path, names: tuple[str, ...], rows: list[tuple[float, ...]], *, complete: bool
) -> ThermoTable:
    values = np.array(rows, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        step = int(values[row, names.index(_STEP)])
        kind = "nan" if math.isnan(values[row, column]) else "an infinite number"
        raise DataError(
            f"{path}: expected finite numbers, found {kind} for {names[column]} at step {step}: "
            "the simulation blew up there. Look at the frames before it"
        )
    return ThermoTable(
        columns={name: values[:, index] for index, name in enumerate(names)}, complete=complete
    )


def _what_instead(reader: ThermoReader, text: str) -> str:
    if reader.unreadable is not None:
        return (
            f"one in another format ({reader.unreadable[:60]!r}): use thermo_modify line one, "
            "and step among the keywords of thermo_style"
        )
    if not text.strip():
        return "an empty file: LAMMPS did not start, or was killed at once"
    errors = [line.strip() for line in text.splitlines() if line.startswith("ERROR")]
    return (
        f"none, but this: {errors[0]}" if errors else "none: no run command got to its first step"
    )
