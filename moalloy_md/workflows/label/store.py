"""Labelled cells on their way to a dataset: one file a cell, so that a kill loses one cell."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from moalloy_md.datasets.checks.settings import SETTING_KEYS
from moalloy_md.datasets.frames import Frame, frame_from_atoms, read_dataset, write_dataset
from moalloy_md.errors import DataError
from moalloy_md.rundir import now, read_json, replacing, slug, write_json

#: A cell at which the process was ended so many times is counted as failed: it may be the cell
#: that ends it (memory, a crash), and the others are to be reached.
MAX_STARTS = 3

#: Labels and results that a cell may bring along from elsewhere, and that are not ours.
_OLD_LABELS = (
    *("REF_energy", "REF_forces", "REF_stress", "REF_magmoms", "energy", "free_energy"),
    *("forces", "stress", "magmoms", "magmom", "dipole", "wall_s"),
    *SETTING_KEYS,
)


@dataclass(frozen=True)
class Failure:
    """A cell that could not be labelled."""

    name: str
    reason: str
    attempts: int


@dataclass(frozen=True)
class Cell:
    """An unlabelled cell and what it is called.

    Attributes
    ----------
    name
        Its own name, or ``cell-`` and its number in the file, from 0.
    atoms
        Without labels.
    key
        Name and hash of the structure: what its files are called. It does not depend on the place
        in the file, so cells may be added.
    """

    name: str
    atoms: Atoms
    key: str


def make_cells(images: Iterable[tuple[str, Atoms]]) -> list[Cell]:
    """Name the cells, strip them of old labels, and check what can be checked without labels.

    Parameters
    ----------
    images
        What to call each cell in errors, and the cell; see `moalloy_md.datasets.extxyz.iter_atoms`.

    Raises
    ------
    DataError
        If a cell breaks the dataset contract: it would be found out after the computing.
    """
    cells = []
    for index, (place, image) in enumerate(images):
        atoms = image.copy()
        for label in _OLD_LABELS:
            atoms.info.pop(label, None)
            if label in atoms.arrays:
                del atoms.arrays[label]
        _refuse_what_no_label_mends(atoms, place)
        name = str(atoms.info.get("name", f"cell-{index:05d}"))
        cells.append(Cell(name, atoms, f"{slug(name)[:80]}.{structure_hash(atoms)[:12]}"))
    return cells


class LabelStore:
    """The folder of a labelling: ``done/``, ``failed/`` and ``files/``, one entry a cell.

    Parameters
    ----------
    folder
        The run directory.
    source
        File name of the cells, for ``info["source"]``.
    made_by
        Entries for ``info`` of each frame that say who labels.
    """

    def __init__(self, folder: Path, *, source: str, made_by: dict[str, Any]) -> None:
        self._folder = folder
        self._source = source
        self._made_by = made_by

    def clear_torn_files(self) -> None:
        """Remove what a kill in the midst of writing has left; nobody else is at work here."""
        for torn in self._folder.glob("*/.*"):
            torn.unlink()

    def files(self, cell: Cell) -> Path:
        """Folder for the files of a DFT code."""
        return self._folder / "files" / cell.key

    @property
    def has_labels(self) -> bool:
        """Whether any cell is labelled, also one that is not asked for now."""
        return any((self._folder / "done").glob("*.extxyz"))

    def is_done(self, cell: Cell) -> bool:
        """Whether the cell is labelled."""
        return self._done(cell).exists()

    def failure(self, cell: Cell) -> Failure | None:
        """Why the cell is not labelled; None if it was not tried, or is labelled."""
        path = self._failed(cell)
        if self.is_done(cell) or not path.exists():
            return None
        content = read_json(path)
        return Failure(cell.name, content["reason"], content["attempts"])

    def start(self, cell: Cell) -> bool:
        """Note that work on a cell begins; False if it ended the process too often already."""
        path = self._started(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        n_starts = _number_in(path) if path.exists() else 0
        if n_starts >= MAX_STARTS:
            self.fail(
                cell,
                f"the process was ended {n_starts} times while it was at this cell (killed, out of "
                "memory, or crashed)",
            )
            return False
        with replacing(path) as temporary:
            temporary.write_text(str(n_starts + 1))
        return True

    def finish(self, cell: Cell, labels: dict[str, Any], *, wall_s: float) -> None:
        """Write a labelled cell, checked against the dataset contract.

        Raises
        ------
        DataError
            If a label is missing, not finite or of the wrong shape.
        """
        atoms = cell.atoms.copy()
        _put_labels(atoms, labels)
        atoms.info.update(self._made_by, wall_s=round(wall_s, 2))
        frame = frame_from_atoms(atoms, source=self._source, place="labels")
        write_dataset(self._done(cell), [frame])
        for path in (self._failed(cell), self._started(cell)):
            path.unlink(missing_ok=True)

    def fail(self, cell: Cell, reason: str) -> None:
        """Note why a cell could not be labelled."""
        path = self._failed(cell)
        attempts = read_json(path)["attempts"] if path.exists() else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(
            path,
            {"name": cell.name, "reason": reason, "attempts": attempts + 1, "when": now()},
        )
        self._started(cell).unlink(missing_ok=True)

    def interrupt(self, cell: Cell) -> None:
        """Note that work on a cell was ended by the user or the scheduler: not the cell's fault."""
        self._started(cell).unlink(missing_ok=True)

    def merge(self, cells: Sequence[Cell], out: Path) -> int:
        """Write the labelled ones of the cells as a dataset, in their order; return their number.

        Labels come from the files, all else from the cells as they are now: a cell that was put
        into another group since is not computed again.
        """
        frames = [self._labelled(cell) for cell in cells if self.is_done(cell)]
        if frames:
            write_dataset(out, frames)
        return len(frames)

    def _labelled(self, cell: Cell) -> Frame:
        (found,) = read_dataset(self._done(cell))
        atoms = cell.atoms.copy()
        for key in ("REF_energy", "REF_stress", *self._made_by, "pseudopotentials", "wall_s"):
            if key in found.atoms.info:
                atoms.info[key] = found.atoms.info[key]
        for key in ("REF_forces", "REF_magmoms"):
            if key in found.atoms.arrays:
                atoms.arrays[key] = found.atoms.arrays[key]
        return frame_from_atoms(atoms, source=self._source, place=cell.name)

    def _done(self, cell: Cell) -> Path:
        return self._folder / "done" / f"{cell.key}.extxyz"

    def _failed(self, cell: Cell) -> Path:
        return self._folder / "failed" / f"{cell.key}.json"

    def _started(self, cell: Cell) -> Path:
        return self._folder / "started" / cell.key


def _refuse_what_no_label_mends(atoms: Atoms, place: str) -> None:
    probe = atoms.copy()
    _put_labels(probe, {"energy": 0.0, "forces": np.zeros((len(probe), 3))})
    frame_from_atoms(probe, place=place)


def _put_labels(atoms: Atoms, labels: dict[str, Any]) -> None:
    atoms.info["REF_energy"] = labels["energy"]
    forces = np.array(labels["forces"], dtype=np.float64)
    if forces.shape != (len(atoms), 3):
        raise DataError(f"expected forces of {len(atoms)} atoms, found shape {forces.shape}")
    atoms.arrays["REF_forces"] = forces
    if labels.get("stress") is not None:
        atoms.info["REF_stress"] = np.array(labels["stress"], dtype=np.float64)
    if labels.get("magmoms") is not None:
        atoms.arrays["REF_magmoms"] = np.array(labels["magmoms"], dtype=np.float64)
    if labels.get("pseudopotentials") is not None:
        atoms.info["pseudopotentials"] = labels["pseudopotentials"]


def _number_in(path: Path) -> int:
    """Return the number of starts; one where a full disk or a crash has left the file empty."""
    try:
        return int(path.read_text())
    except ValueError:
        return 1


def structure_hash(atoms: Atoms) -> str:
    """SHA-256 of what a calculator is told: species, periods, positions, start moments."""
    moments = np.asarray(atoms.get_initial_magnetic_moments())
    content = {
        "numbers": atoms.numbers.tolist(),
        "pbc": atoms.pbc.tolist(),
        "cell": [f"{x:.8f}" for x in atoms.cell.array.ravel()],
        "positions": [f"{x:.8f}" for x in atoms.positions.ravel()],
        "magmoms": [f"{x:.4f}" for x in moments.ravel()],
    }
    return hashlib.sha256(
        json.dumps(content).replace("-0.00000000", "0.00000000").encode()
    ).hexdigest()
