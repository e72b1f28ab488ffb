"""Extended XYZ files, ASE databases and ASE trajectories: whatever ASE can hold labels in."""

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ase import Atoms

from moalloy_md.datasets.extxyz import Place, iter_atoms
from moalloy_md.datasets.importers.labels import take_labels
from moalloy_md.datasets.importers.runs import Importing, Run, Step
from moalloy_md.errors import DataError

#: What a damaged database or trajectory makes ASE raise.
_READ_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
    sqlite3.Error,
)


def read_extxyz(path: Path, name: str, importing: Importing) -> Iterator[Run]:
    """Read an extended XYZ file as one run of the kind that `ImportConfig.frames_are` says.

    Raises
    ------
    DataError
        While its steps are read: if the file is damaged or a frame lacks its labels.
    """
    yield Run(name, importing.config.frames_are, _steps(iter_atoms(path), importing))


def read_ase_database(path: Path, name: str, importing: Importing) -> Iterator[Run]:
    """Read an ASE database; key-value pairs such as ``group`` go along.

    Raises
    ------
    DataError
        While its steps are read: if the file is no database or a row lacks its labels.
    """
    yield Run(name, importing.config.frames_are, _steps(_database_rows(path), importing))


def read_ase_trajectory(path: Path, name: str, importing: Importing) -> Iterator[Run]:
    """Read an ASE trajectory (``.traj``).

    Raises
    ------
    DataError
        While its steps are read: if the file is no trajectory or an image lacks its labels.
    """
    yield Run(name, importing.config.frames_are, _steps(_trajectory_images(path), importing))


def _steps(images: Iterator[tuple[Place, Atoms]], importing: Importing) -> Iterator[Step]:
    for index, (place, atoms) in enumerate(images):
        try:
            take_labels(atoms, importing.config, place)
        except DataError as error:
            importing.refuse(error)
            continue
        yield Step(atoms, place, index)


def _database_rows(path: Path) -> Iterator[tuple[Place, Atoms]]:
    from ase.db import connect

    try:
        with connect(str(path)) as database:
            for row in database.select(sort="id"):
                place = f"{path}: row with id {row.id}"
                atoms = row.toatoms()
                results = atoms.calc.results if atoms.calc is not None else {}
                atoms.calc = None
                atoms.info.pop("key_value_pairs", None)
                atoms.info.pop("unique_id", None)
                atoms.info.pop("data", None)
                atoms.info.update(row.key_value_pairs)
                _put_results(atoms, results)
                if getattr(row, "calculator", None) and row.calculator != "unknown":
                    atoms.info.setdefault("dft_code", row.calculator)
                yield place, atoms
    except _READ_ERRORS as error:
        raise DataError(
            f"{path}: expected an ASE database, found one that fails: {error}"
        ) from error


def _trajectory_images(path: Path) -> Iterator[tuple[Place, Atoms]]:
    from ase.io.trajectory import Trajectory

    try:
        with Trajectory(str(path)) as images:
            for index in itertools.count():
                if index >= len(images):
                    return
                atoms = images[index]
                results = atoms.calc.results if atoms.calc is not None else {}
                atoms.calc = None
                _put_results(atoms, results)
                yield f"{path}: image {index} (the first is 0)", atoms
    except _READ_ERRORS as error:
        raise DataError(
            f"{path}: expected an ASE trajectory, found one that fails: {error}"
        ) from error


def _put_results(atoms: Atoms, results: dict[str, Any]) -> None:
    for key in ("energy", "free_energy", "stress"):
        if results.get(key) is not None:
            atoms.info[key] = results[key]
    if results.get("forces") is not None:
        atoms.arrays["forces"] = results["forces"]
    atoms.set_constraint()  # ASE would write it as a column of its own
