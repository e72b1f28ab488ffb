"""How much a committee disagreed along a run: ``model_devi.START.out`` of our inputs."""

from pathlib import Path

from moalloy_md.errors import DataError
from moalloy_md.lammps.logs import numbered_files

_COLUMN = "max_devi_f"


def force_deviations(run_dir: Path) -> dict[int, float]:
    """Read the largest deviation of an atom's force at each step at which it was written, eV/Å.

    A start from step ``s`` replaces what an earlier one wrote from ``s`` on. A line that a kill cut
    is left out. Empty where there was no committee.

    Raises
    ------
    DataError
        If a file has other columns.
    """
    deviations: dict[int, float] = {}
    for start, path in numbered_files(run_dir, "model_devi.*.out"):
        deviations = {step: value for step, value in deviations.items() if step < start}
        deviations |= _read(path)
    return deviations


def _read(path: Path) -> dict[int, float]:
    header, *lines = path.read_text().splitlines(keepends=True) or [""]
    columns = header.removeprefix("#").split()
    if _COLUMN not in columns or columns[0] != "step":
        if not lines and not header.endswith("\n"):
            return {}
        raise DataError(f"{path}: expected a column {_COLUMN}, found {header.strip()!r}")
    place = columns.index(_COLUMN)
    rows = [line.split() for line in lines if line.endswith("\n")]
    return {int(row[0]): float(row[place]) for row in rows if len(row) == len(columns)}
