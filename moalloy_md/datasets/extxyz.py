"""Extended XYZ frame by frame through ASE, with errors that say where in the file they are.

ASE's own reader stops in silence at a blank line, drops surplus columns, and fails on a torn file
without saying in which frame. Here the file is cut into frames first; ASE parses each.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import read_xyz, save_calc_results
from ase.stress import voigt_6_to_full_3x3_stress

from moalloy_md.errors import DataError

#: How errors name a frame, such as ``data.extxyz: frame 3 (the first is 0)``.
Place = str

_PROPERTIES = re.compile(r"""Properties\s*=\s*["']?([^\s"']+)""")
_DEFAULT_PROPERTIES = "species:S:1:pos:R:3"

#: What ASE's parser is seen to raise on damaged text.
_PARSE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def iter_atoms(path: Path) -> Iterator[tuple[Place, Atoms]]:
    """Read an extended XYZ file frame by frame.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    place
        What to call the frame in errors; frames and atoms are counted from 0.
    atoms
        Without calculator. What ASE would put into one (keys such as ``energy``, columns such
        as ``forces``) stays in ``info`` and ``arrays``, so that nothing is lost in writing.

    Raises
    ------
    DataError
        If the file is missing, empty, not extended XYZ, or damaged.
    """
    path = Path(path)
    index = -1
    try:
        for index, lines in enumerate(_frame_lines(path)):
            place = _place(path, index)
            yield place, _parse(lines, place)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: expected extended XYZ, which is text, found bytes that are none"
        ) from error
    if index < 0:
        raise DataError(
            f"{path}: expected at least one frame, found an empty file: write or copy it again"
        )


def _place(path: Path, index: int) -> Place:
    return f"{path}: frame {index} (the first is 0)"


def _frame_lines(path: Path) -> Iterator[list[str]]:
    """Lines of one frame after the other: number of atoms, comment, one line an atom."""
    with path.open(encoding="utf-8") as file:
        for index in itertools.count():
            header = file.readline()
            if not header.strip():
                _refuse_more_frames(itertools.chain([header], file), _place(path, index))
                return
            n_atoms = _number_of_atoms(header, _place(path, index))
            lines = [header, *itertools.islice(file, n_atoms + 1)]
            if len(lines) < n_atoms + 2:
                raise DataError(
                    f"{_place(path, index)}: expected {n_atoms} atoms, found the end of the file "
                    f"after {max(len(lines) - 2, 0)}. It was cut short: write it again, or remove "
                    "this frame"
                )
            yield lines


def _number_of_atoms(header: str, place: Place) -> int:
    try:
        n_atoms = int(header)
    except ValueError as error:
        raise DataError(
            f"{place}: expected its first line to be the number of atoms (extended XYZ), found "
            f"{header.strip()[:60]!r}. The file is in another format, or the frame before has more "
            "lines than its number of atoms says"
        ) from error
    if n_atoms < 1:
        raise DataError(f"{place}: expected at least 1 atom, found {n_atoms}. Remove the frame")
    return n_atoms


def _refuse_more_frames(rest: Iterator[str], place: Place) -> None:
    """Blank lines may end a file; in the middle they would hide what follows from other readers."""
    if any(line.strip() for line in rest):
        raise DataError(
            f"{place}: expected its number of atoms, found a blank line with more text after it. "
            "ASE and other readers stop there and lose the rest: remove the blank line"
        )


def _parse(lines: Sequence[str], place: Place) -> Atoms:
    text = "".join(lines)
    try:
        columns = _column_types(lines[1])
        # ASE ignores surplus columns: a row that swallowed another would pass unseen.
        if len("".join(lines[2:]).split()) != len(columns) * (len(lines) - 2):
            raise ValueError("rows and columns do not match")
        atoms = next(read_xyz(StringIO(text), 0))
    except _PARSE_ERRORS as error:
        problem = _first_bad_atom(lines) or f": expected extended XYZ, found {error}"
        raise DataError(f"{place}{problem}. Correct the line, or remove the frame") from error
    _keep_results(atoms)
    return atoms


def _column_types(comment: str) -> list[str]:
    """Type (R, I, S or L) of each column, from the comment line's ``Properties``."""
    found = _PROPERTIES.search(comment)
    fields = (found.group(1) if found else _DEFAULT_PROPERTIES).split(":")
    return [kind for kind, n in zip(fields[1::3], fields[2::3], strict=True) for _ in range(int(n))]


def _first_bad_atom(lines: Sequence[str]) -> str | None:
    """Say which atom's line is damaged; None if each line by itself is sound."""
    try:
        columns = _column_types(lines[1])
    except ValueError:
        return ": expected Properties=name:type:columns:..., found another form"
    for atom, line in enumerate(lines[2:]):
        values = line.split()
        if len(values) != len(columns):
            return f", atom {atom}: expected {len(columns)} columns, found {len(values)}"
        for kind, value in zip(columns, values, strict=True):
            if kind in "RI" and not _is_number(value):
                return f", atom {atom}: expected a number, found {value!r}"
        if columns[0] == "S" and values[0].capitalize() not in atomic_numbers:
            return f", atom {atom}: expected a chemical symbol, found {values[0]!r}"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _keep_results(atoms: Atoms) -> None:
    """Move what ASE's reader put into a calculator back to where the file had it."""
    save_calc_results(atoms, calc_prefix="", remove_atoms_calc=True)
    if np.shape(atoms.info.get("stress")) == (6,):  # ASE writes and reads this key as 3×3 only
        atoms.info["stress"] = voigt_6_to_full_3x3_stress(atoms.info["stress"])
