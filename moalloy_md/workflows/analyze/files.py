"""Where the frames of a run are: our own run folders, folders of dumps, single files."""

import re
from pathlib import Path

from moalloy_md.errors import DataError
from moalloy_md.lammps.frames import FOLDER, frame_files

#: Endings of trajectory files, each of which alone may fill a folder.
_PATTERNS = ("*.dump", "*.lammpstrj", "*.extxyz", "*.xyz")


def trajectory_files(run: Path, *, first_step: int = 0) -> tuple[Path, ...]:
    """Find the frames of a run, in the order of time.

    Parameters
    ----------
    run
        A run folder with ``frames/``, a folder of trajectory files of one kind (in the order of the
        numbers in their names), or a file.
    first_step
        Earlier frames are left out; only of a run folder, whose files are named by step.

    Raises
    ------
    DataError
        If there is no such folder, or no trajectory in it.
    """
    if run.is_file():
        return (run,)
    if not run.is_dir():
        raise DataError(
            f"{run}: expected a run folder or a trajectory, found nothing there. Check the path"
        )
    if (run / FOLDER).is_dir():
        return frame_files(run, first_step=first_step)
    for pattern in _PATTERNS:
        found = sorted(run.glob(pattern), key=lambda path: _natural(path.name))
        if found:
            return tuple(found)
    inner = sorted(path.parent for path in run.glob(f"**/{FOLDER}") if path.is_dir())
    hint = f"is it one of {', '.join(map(str, inner[:5]))}?" if inner else "check the path"
    raise DataError(
        f"{run}: expected a trajectory ({FOLDER}/, or files {', '.join(_PATTERNS)}), found none: "
        f"{hint}"
    )


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Order by the numbers in a name: 9 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts]
