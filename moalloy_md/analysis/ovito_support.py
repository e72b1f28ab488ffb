"""OVITO, imported late, without a display, and with an error that says what is missing."""

import mmap
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from moalloy_md.errors import DataError, MoAlloyError

Found = TypeVar("Found")

_DUMP_FRAME = b"ITEM: TIMESTEP"

#: What pip is told; pyproject.toml says why not later ones.
OVITO_REQUIREMENT = "ovito>=3.12,<3.15"

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
        raise DataError(
            "expected frames of a trajectory, found none: run longer, or give a smaller dump_interval"
        )


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


def dump_frames(file: Path) -> Iterator[int]:
    """Yield where in a LAMMPS dump each frame begins, in bytes; nothing for a file of another kind."""
    if not file.stat().st_size:
        return
    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as text,
    ):
        place = 0 if text[: len(_DUMP_FRAME)] == _DUMP_FRAME else -1
        while place >= 0:
            yield place
            place = text.find(_DUMP_FRAME, place + 1)


def open_frames(file: Path) -> Any:
    """Return OVITO's pipeline of a file of one or more frames.

    That there may be several is said aloud. Left to find it out, OVITO 3.14.1 counts one frame, or
    takes the first frame for others, in one file of five to ten once it has rendered a picture.
    Of a dump of one frame it is not said, because blank lines at the end are an error then.
    """
    is_single_dump = len(list(islice(dump_frames(file), 2))) == 1
    return load_ovito().io.import_file(str(file), multiple_frames=not is_single_dump)


def compute_frame(pipeline: Any, index: int) -> Any:
    """Return OVITO's DataCollection of a frame, from 0, which may be changed.

    Raises
    ------
    RuntimeError
        If OVITO cannot read it, or gives another one.
    """
    data = pipeline.compute(index)
    found = data.attributes.get("SourceFrame", index)
    if found != index:
        raise RuntimeError(f"expected its frame {index}, found OVITO giving frame {found}")
    return data


def of_frames(files: Sequence[Path], modifier: Any, measure: Callable[[Any], Found]) -> list[Found]:
    """Measure each frame of LAMMPS dumps.

    Parameters
    ----------
    files
        One or more frames each, in the order of time.
    modifier
        OVITO's modifier that each frame goes through.
    measure
        Told OVITO's DataCollection of each frame, with what the modifier has found.

    Raises
    ------
    DataError
        If there are no files, or one cannot be read.
    OvitoError
        As `load_ovito` does.
    """
    need_frames(files)
    found = []
    for file in files:
        with refused_frame(file):
            pipeline = open_frames(file)
            pipeline.modifiers.append(modifier)
            count = pipeline.source.num_frames
            found += [measure(compute_frame(pipeline, index)) for index in range(count)]
    return found


def _what_is_missing(error: ImportError) -> str:
    library = re.search(r"(lib[\w.+-]+\.so[\w.]*)", str(error))
    if library:
        return (
            f"OVITO cannot be loaded: the system library {library[1]} is missing. On Debian and "
            f"Ubuntu: apt-get install {DEBIAN_PACKAGES}"
        )
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == "ovito":
        return (
            f"expected the ovito Python package, found none: run: pip install '{OVITO_REQUIREMENT}'"
        )
    return (
        f"OVITO cannot be loaded: {error}. Install it again: pip install --force-reinstall "
        f"'{OVITO_REQUIREMENT}'"
    )
