"""Count the frames of an extended XYZ file quickly, for progress bars."""

from itertools import islice
from pathlib import Path


def count_frames(path: Path) -> int | None:
    """Return how many frames an extended XYZ file holds, by its line counts alone.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    int or None
        None where the file is damaged or cannot be read; whoever reads it will say how.
    """
    n_frames = 0
    try:
        with path.open("rb") as file:
            while (header := file.readline()).strip():
                n_lines = int(header) + 1
                if sum(1 for _ in islice(file, n_lines)) < n_lines:
                    return None
                n_frames += 1
    except (OSError, ValueError):
        return None
    return n_frames
