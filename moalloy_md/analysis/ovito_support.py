"""OVITO, imported late, without a display, and with an error that says what is missing."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from moalloy_md.errors import DataError, MoAlloyError

#: Debian packages of the system libraries that the OVITO wheel links to.
DEBIAN_PACKAGES = "libegl1 libgl1 libglib2.0-0 libxkbcommon0 libfontconfig1 libdbus-1-3"


class OvitoError(MoAlloyError):
    """OVITO, or a system library that it needs, is missing."""


def load_ovito() -> ModuleType:
    """Import OVITO for work without a display.

    Raises
    ------
    OvitoError
        If it is not installed, or a system library is missing; the text says which.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # Qt looks for a display otherwise
    try:
        import ovito.io
        import ovito.modifiers
    except ImportError as error:
        raise OvitoError(_what_is_missing(error)) from error
    module: ModuleType = ovito
    return module


def need_frames(frames: Sequence[Path]) -> None:
    """Refuse a trajectory without frames.

    Raises
    ------
    DataError
        If there are none.
    """
    if not frames:
        raise DataError("expected frames of a trajectory, found none: was dump_interval too long?")


@contextmanager
def refused_frame(file: Path) -> Iterator[None]:
    """Say which file it was that OVITO could not read.

    Raises
    ------
    DataError
        In place of what OVITO raises.
    """
    if not file.is_file():
        raise DataError(f"{file}: expected a LAMMPS dump file, found no such file")
    try:
        yield
    except (RuntimeError, KeyError) as error:
        raise DataError(
            f"{file}: expected a LAMMPS dump that OVITO can read, found one that it refuses "
            f"({' '.join(str(error).split())}). A frame that a kill cut is written again when the run goes on"
        ) from error


def _what_is_missing(error: ImportError) -> str:
    library = re.search(r"(lib[\w.+-]+\.so[\w.]*)", str(error))
    if library:
        return (
            f"OVITO cannot be loaded: the system library {library[1]} is missing. On Debian and "
            f"Ubuntu: apt-get install {DEBIAN_PACKAGES}"
        )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "ovito":
        return "expected the ovito Python package, found none: run: pip install 'ovito>=3.12,<3.15'"
    return f"OVITO cannot be loaded: {error}. Install it again: pip install --force-reinstall ovito"
