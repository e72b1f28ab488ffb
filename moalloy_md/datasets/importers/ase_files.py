"""ASE databases and trajectories, and what is done with the images of any file of ASE's."""

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ase import Atoms

from moalloy_md.datasets.extxyz import Place
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


def read_images(
    images: Iterator[tuple[Place, Atoms]], name: str, importing: Importing
) -> Iterator[Run]:
    """Give images as one run of the kind that `ImportConfig.frames_are` says.

    Parameters
    ----------
    images
        From `database_rows`, `trajectory_images` or `moalloy_md.datasets.extxyz.iter_atoms`.
    name
        Of the run.
    importing
        Settings; takes remarks.

    Raises
    ------
    DataError
        While its steps are read: if the file is damaged or an image lacks its labels.
    """
    yield Run(name, importing.config.frames_are, _steps(images, importing))


def _steps(images: Iterator[tuple[Place, Atoms]], importing: Importing) -> Iterator[Step]:
    for index, (place, atoms) in enumerate(images):
        try:
            take_labels(atoms, importing.config, place)
        except DataError as error:
            importing.refuse(error)
            continue
        yield Step(atoms, place, index)


def database_rows(path: Path) -> Iterator[tuple[Place, Atoms]]:
    """Read an ASE database row by row; key-value pairs such as ``group`` go into ``info``.

    Raises
    ------
    DataError
        If the file is no database.
    """
    from ase.db import connect

    try:
        with connect(str(path)) as database:
            for row in database.select(sort="id"):
                place = f"{path}: row with id {row.id}"
                atoms = row.toatoms()
                atoms.info.pop("key_value_pairs", None)
                atoms.info.pop("unique_id", None)
                atoms.info.pop("data", None)
                atoms.info.update(row.key_value_pairs)
                _keep_results(atoms)
                if getattr(row, "calculator", None) and row.calculator != "unknown":
                    atoms.info.setdefault("dft_code", row.calculator)
                yield place, atoms
    except _READ_ERRORS as error:
        raise DataError(
            f"{path}: expected an ASE database, found one that fails: {error}"
        ) from error


def trajectory_images(path: Path) -> Iterator[tuple[Place, Atoms]]:
    """Read an ASE trajectory (``.traj``) image by image.

    Raises
    ------
    DataError
        If the file is no trajectory.
    """
    from ase.io.trajectory import Trajectory

    try:
        with Trajectory(str(path)) as images:
            for index in itertools.count():
                if index >= len(images):
                    return
                atoms = images[index]
                _keep_results(atoms)
                yield f"{path}: image {index} (the first is 0)", atoms
    except _READ_ERRORS as error:
        raise DataError(
            f"{path}: expected an ASE trajectory, found one that fails: {error}"
        ) from error


def _keep_results(atoms: Atoms) -> None:
    """Move what ASE put into a calculator to ``info`` and ``arrays``."""
    results: dict[str, Any] = {} if atoms.calc is None else atoms.calc.results
    atoms.calc = None
    for key in ("energy", "free_energy", "stress"):
        if results.get(key) is not None:
            atoms.info[key] = results[key]
    if results.get("forces") is not None:
        atoms.arrays["forces"] = results["forces"]
    atoms.set_constraint()  # ASE would write it as a column of its own
