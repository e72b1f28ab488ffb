"""Frames that our LAMMPS inputs write: ``frames/STEP.dump``, one frame a file.

A run that goes on after a kill writes the frames since its last restart again, under the same
names: no frame is there twice, and one that the kill cut is made whole.
"""

from pathlib import Path

from moalloy_md.errors import DataError

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
    numbered = [(p.stem, p) for p in (run_dir / FOLDER).glob("*.dump")]
    frames = sorted((int(stem), path) for stem, path in numbered if stem.isdigit())
    chosen = tuple(path for step, path in frames if step >= first_step)
    if not chosen:
        raise DataError(
            f"{run_dir / FOLDER}: expected frames from step {first_step} on, found "
            + (f"the last at step {frames[-1][0]}" if frames else "none")
            + ": run longer, or give a smaller dump_interval"
        )
    return chosen
