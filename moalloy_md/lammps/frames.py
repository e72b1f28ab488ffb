"""Frames that our LAMMPS inputs write: ``frames/STEP.dump``, one frame a file.

A run that goes on after a kill writes the frames since its last restart again, under the same
names: no frame is there twice, and one that the kill cut is made whole.
"""

import warnings
from pathlib import Path

from ase import Atoms
from ase.io import read

from moalloy_md.errors import DataError
from moalloy_md.lammps.logs import numbered_files

FOLDER = "frames"


def frame_files(run_dir: Path, *, first_step: int = 0) -> tuple[Path, ...]:
    """Frames of a run, in the order of time.

    Parameters
    ----------
    run_dir
        Folder in which the input ran.
    first_step
        Earlier frames are left out.

    Raises
    ------
    DataError
        If there are none.
    """
    frames = numbered_files(run_dir / FOLDER, "*.dump")
    chosen = tuple(path for step, path in frames if step >= first_step)
    if not chosen:
        raise DataError(
            f"{run_dir / FOLDER}: expected frames from step {first_step} on, found "
            + (f"the last at step {frames[-1][0]}" if frames else "none")
            + ": run longer, or give a smaller dump_interval"
        )
    return chosen


def read_frame(path: Path) -> Atoms:
    """Read one frame with ASE: elements, cell and wrapped positions, atoms in the order of their ids.

    Parameters
    ----------
    path
        A dump of ours, ``id type element x y z``, whole.

    Returns
    -------
    Atoms
        The corner of the cell is at the origin; ``info["step"]`` is the time step, where the file is
        named after it.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # NumPy's, about lines that are missing
            atoms = read(path, format="lammps-dump-text", index=0)
    except (UserWarning, OSError, ValueError, IndexError, KeyError, StopIteration) as error:
        raise DataError(
            f"{path}: expected a whole frame of a LAMMPS dump, found one that cannot be read "
            f"({error}). A frame that a kill cut is written again when the run goes on"
        ) from error
    # without ASE's own entries, such as the atom types of LAMMPS
    return Atoms(
        atoms.get_chemical_symbols(),
        positions=atoms.positions - atoms.get_celldisp().ravel(),
        cell=atoms.cell,
        pbc=atoms.pbc,
        info={"step": int(path.stem)} if path.stem.isdigit() else {},
    )
