"""How much a committee disagreed along a run: ``model_devi.START.out`` of our inputs."""

from pathlib import Path

from moalloy_md.errors import DataError
from moalloy_md.lammps.logs import numbered_files

_COLUMN = "max_devi_f"


class ForceDeviations:
    """Largest deviation of an atom's force at each step at which it was written, eV/Å.

    A start from step ``s`` replaces what an earlier one wrote from ``s`` on. A line that a kill cut
    is left out.

    Parameters
    ----------
    run_dir
        Where LAMMPS runs, or ran.
    """

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._found: dict[int, float] = {}
        self._columns: dict[Path, list[str]] = {}
        self._ends: dict[Path, int] = {}  # of the last whole line that was read, bytes

    def read(self) -> dict[int, float]:
        """Read what was written since the last time; return all of it, by step.

        Empty where there was no committee.

        Raises
        ------
        DataError
            If a file has other columns.
        """
        for start, path in numbered_files(self._run_dir, "model_devi.*.out"):
            if path not in self._ends:
                self._ends[path] = 0
                self._found = {step: x for step, x in self._found.items() if step < start}
            self._read_on(path)
        return self._found

    def _read_on(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._ends[path])
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._ends[path] += len(whole)
        lines = whole.decode().splitlines()
        if path not in self._columns and lines:
            header = lines.pop(0)
            columns = header.removeprefix("#").split()
            if _COLUMN not in columns or columns[0] != "step":
                raise DataError(f"{path}: expected a column {_COLUMN}, found {header.strip()!r}")
            self._columns[path] = columns
        columns = self._columns.get(path, [])
        for row in (line.split() for line in lines):
            if len(row) == len(columns):
                self._found[int(row[0])] = float(row[columns.index(_COLUMN)])
