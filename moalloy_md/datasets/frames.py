"""Read, check and write datasets: extended XYZ with one labelled DFT cell a frame.

The contract, per frame: ``REF_energy`` (eV, total, force-consistent free energy), the per-atom
column ``REF_forces`` (eV/Å), optional ``REF_stress`` (eV/Å³, Voigt, tension positive), and what
the cell is: ``host``, ``group``, ``state``, ``source``. Other keys and columns are carried along.
"""

import hashlib
import math
import numbers
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io.extxyz import write_xyz
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from moalloy_md.datasets.extxyz import Place, iter_atoms
from moalloy_md.elements import HOST
from moalloy_md.errors import DataError
from moalloy_md.rundir import replacing, saying_what_cannot_be_written

STATES = ("relaxed", "ideal", "noneq")

#: Decimals of every number in `frame_hash`: those that ASE writes positions and forces with, so
#: that a frame keeps its hash when it is written and read again.
HASH_DECIMALS = 8

#: How far a 3×3 stress may be from symmetric, eV/Å³: 16 MPa, the noise of codes that do not
#: symmetrise it. What is farther has its components in the wrong places.
_STRESS_NOISE_EV_A3 = 1e-4


@dataclass(frozen=True, eq=False)
class Frame:
    """One labelled cell. Make it with `frame_from_atoms` or `read_dataset`, which check it.

    Attributes
    ----------
    atoms
        The cell, without calculator; labels are in its ``info`` and ``arrays`` under their
        names in the file, and `write_dataset` writes exactly this.
    """

    atoms: Atoms

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atoms)

    @property
    def energy_ev(self) -> float:
        """Total force-consistent free energy F = E − TS, eV."""
        return float(self.atoms.info["REF_energy"])

    @property
    def forces(self) -> NDArray[np.float64]:
        """Forces, ``(n_atoms, 3)``, eV/Å."""
        forces: NDArray[np.float64] = self.atoms.arrays["REF_forces"]
        return forces

    @property
    def stress(self) -> NDArray[np.float64] | None:
        """Stress, ``(6,)`` Voigt xx yy zz yz xz xy, eV/Å³, tension positive; None if unknown."""
        stress: NDArray[np.float64] | None = self.atoms.info.get("REF_stress")
        return stress

    @property
    def host(self) -> str:
        """Chemical symbol of the host element."""
        return str(self.atoms.info["host"])

    @cached_property
    def elements(self) -> frozenset[str]:
        """Chemical symbols of the cell, host included."""
        return frozenset(str(symbol) for symbol in self.atoms.symbols)

    @property
    def dopants(self) -> frozenset[str]:
        """D(s): the chemical symbols of the cell other than the host."""
        return self.elements - {self.host}

    @cached_property
    def group(self) -> str:
        """Name of the relaxation, trajectory block or decoration that the frame comes from.

        A frame without a name of its own gets ``frame-`` and the start of its hash: a group of
        its own wherever it stands in a file, and the same one for an identical copy.
        """
        return _text(self.atoms.info.get("group")) or f"frame-{self.sha256[:16]}"

    @property
    def has_named_group(self) -> bool:
        """Whether the file names the group."""
        return bool(_text(self.atoms.info.get("group")))

    @property
    def state(self) -> str:
        """``relaxed``, ``ideal`` or ``noneq``; where the file is silent ``noneq``: no claim."""
        return str(self.atoms.info.get("state", "noneq"))

    @property
    def source(self) -> str:
        """The file that the labels were first read from."""
        return _text(self.atoms.info.get("source"))

    @property
    def name(self) -> str:
        """The frame's own name, or an empty string."""
        return _text(self.atoms.info.get("name"))

    @cached_property
    def sha256(self) -> str:
        """See `frame_hash`."""
        return frame_hash(self)


def read_dataset(
    path: Path, *, watch: Callable[[Iterable[Frame]], Iterable[Frame]] = iter
) -> list[Frame]:
    """Read all frames of a dataset and check each against the contract.

    Parameters
    ----------
    path
        Extended XYZ file.
    watch
        Wraps the iteration over the frames, for a progress bar.

    Raises
    ------
    DataError
        If the file is missing, empty or not extended XYZ, or a frame breaks the contract; the
        text names file, frame and atom.
    """
    return list(watch(iter_dataset(path)))


def iter_dataset(path: Path) -> Iterator[Frame]:
    """Read a dataset frame by frame, as `read_dataset` does, without holding it in memory."""
    path = Path(path)
    for place, atoms in iter_atoms(path):
        yield frame_from_atoms(atoms, source=path.name, place=place)


def frame_from_atoms(atoms: Atoms, *, source: str | None = None, place: Place = "frame") -> Frame:
    """Check one labelled cell against the dataset contract.

    Parameters
    ----------
    atoms
        A cell with ``info["REF_energy"]`` (eV) and ``arrays["REF_forces"]`` (eV/Å). It is
        copied, without its calculator.
    source
        File name for ``info["source"]`` where the cell does not have one.
    place
        What to call the cell in errors.

    Returns
    -------
    Frame
        With ``host`` (Mo unless said) and ``source`` filled in, a stress given as 3×3 or 9
        numbers brought to Voigt order, and without ``info`` entries that are None or empty.

    Raises
    ------
    DataError
        If something is missing, not finite, of the wrong shape, or contradicts the contract.
    """
    atoms = atoms.copy()  # drops the calculator
    _tidy_info(atoms, place)
    _check_structure(atoms, place)
    _check_energy(atoms, place)
    _check_forces(atoms, place)
    _check_stress(atoms, place)
    atoms.info.setdefault("host", HOST)
    if source is not None:
        atoms.info.setdefault("source", source)
    _check_labels(atoms, place)
    return Frame(atoms)


def write_dataset(path: Path, frames: Iterable[Frame]) -> None:
    """Write frames as extended XYZ: the whole file, or nothing.

    Positions and per-atom columns are written with 8 decimals (ASE's extended XYZ), energies and
    cells in full.

    Raises
    ------
    DataError
        If there are no frames, or the file cannot be written.
    """
    path = Path(path)
    images = [frame.atoms for frame in frames]
    if not images:
        raise DataError(f"{path}: expected at least one frame to write, found none")
    with (
        saying_what_cannot_be_written(path),
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        write_xyz(file, images)


def frame_hash(frame: Frame) -> str:
    """SHA-256 of what a model is trained on: the cell and its labels.

    Over species, periodicity, cell (Å), positions (Å), energy (eV), forces (eV/Å) and stress
    (eV/Å³), each number as text with `HASH_DECIMALS` decimals. Text, because the rounding of
    ``printf`` is the same everywhere and changes nothing when done twice. Group, state and names
    do not enter; the order of the atoms does.
    """
    atoms = frame.atoms
    stress = frame.stress
    values = [
        *atoms.cell.array.ravel().tolist(),
        *atoms.positions.ravel().tolist(),
        frame.energy_ev,
        *frame.forces.ravel().tolist(),
        *([] if stress is None else stress.tolist()),
    ]
    text = (f"%.{HASH_DECIMALS}f " * len(values)) % tuple(values)
    zero = f"{0:.{HASH_DECIMALS}f} "
    header = f"{' '.join(atoms.symbols)}|{atoms.pbc.tolist()}|{stress is not None}|"
    return hashlib.sha256((header + text.replace(f"-{zero}", zero)).encode()).hexdigest()


def dataset_hash(data: Path | Iterable[Frame]) -> str:
    """SHA-256 over the sorted `frame_hash` of all frames: the same for any order of the frames.

    Parameters
    ----------
    data
        A dataset's path, or its frames.

    Raises
    ------
    DataError
        If `data` is a path that `read_dataset` refuses.
    """
    frames = iter_dataset(Path(data)) if isinstance(data, str | os.PathLike) else data
    return hash_of_hashes(frame.sha256 for frame in frames)


def hash_of_hashes(hashes: Iterable[str]) -> str:
    """`dataset_hash` of the frames that have these hashes."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _text(value: Any) -> str:
    """Words of an info value: ASE's reader makes numbers and arrays of names such as 17."""
    if value is None:
        return ""
    if isinstance(value, np.ndarray | list | tuple):
        return " ".join(str(part) for part in value)
    return str(value).strip()


def _tidy_info(atoms: Atoms, place: Place) -> None:
    """Keep from ``info`` what ASE's writer cannot put on the comment line without damage."""
    for key, value in list(atoms.info.items()):
        if value is None or (isinstance(value, str | np.ndarray) and len(np.ravel(value)) == 0):
            del atoms.info[key]
        elif isinstance(value, str) and not value.strip():
            del atoms.info[key]  # would be written as "key= " and swallow the key after it
        elif isinstance(value, str) and len(value.splitlines()) > 1:
            raise DataError(
                f"{place}: expected info[{key!r}] to be one line of text, found {value[:60]!r}"
            )


def _check_structure(atoms: Atoms, place: Place) -> None:
    if len(atoms) == 0:
        raise DataError(f"{place}: expected atoms, found none. Remove the frame")
    if (atoms.numbers < 1).any():
        atom = int(np.argmax(atoms.numbers < 1))
        raise DataError(f"{place}, atom {atom}: expected a chemical element, found a dummy atom X")
    if not np.isfinite(atoms.cell.array).all():
        raise DataError(f"{place}: expected a finite cell, found {atoms.cell.tolist()}")
    _check_finite(atoms.positions, "position", place)
    if atoms.cell.rank < atoms.pbc.sum():
        raise DataError(
            f"{place}: expected a cell vector along each periodic direction, found pbc "
            f"{atoms.pbc.tolist()} with the cell {atoms.cell.tolist()}. Correct Lattice or pbc"
        )


def _check_energy(atoms: Atoms, place: Place) -> None:
    if "REF_energy" not in atoms.info:
        near = [key for key in ("free_energy", "energy") if key in atoms.info]
        hint = (
            f"found {near[0]} instead: rename it if it is the force-consistent free energy"
            if near
            else "found no energy: label the cell, or remove the frame"
        )
        raise DataError(f"{place}: expected REF_energy (eV, total) on the comment line, {hint}")
    energy = atoms.info["REF_energy"]
    if isinstance(energy, bool) or not isinstance(energy, numbers.Real):
        raise DataError(f"{place}: expected REF_energy to be one number (eV), found {energy!r}")
    if not math.isfinite(energy):
        raise DataError(
            f"{place}: expected a finite REF_energy, found {energy}. Remove or relabel the frame"
        )


def _check_forces(atoms: Atoms, place: Place) -> None:
    if "REF_forces" not in atoms.arrays:
        hint = (
            "found a column forces instead: rename it if it is -dF/dR in eV/Å"
            if "forces" in atoms.arrays
            else f"found the columns {', '.join(sorted(atoms.arrays))}: label the cell"
        )
        raise DataError(f"{place}: expected the columns REF_forces:R:3 (eV/Å), {hint}")
    forces = atoms.arrays["REF_forces"]
    if forces.shape != (len(atoms), 3) or forces.dtype.kind not in "fi":
        raise DataError(
            f"{place}: expected REF_forces as 3 numbers an atom (REF_forces:R:3), found shape "
            f"{forces.shape} of type {forces.dtype}"
        )
    atoms.arrays["REF_forces"] = forces.astype(np.float64)
    _check_finite(forces, "REF_forces", place)


def _check_stress(atoms: Atoms, place: Place) -> None:
    if "REF_stress" not in atoms.info:
        return
    stress = np.asarray(atoms.info["REF_stress"])
    if stress.size not in {6, 9} or stress.dtype.kind not in "fi":
        raise DataError(
            f"{place}: expected REF_stress as 6 numbers (xx yy zz yz xz xy, eV/Å³), found "
            f"{' '.join(map(str, stress.ravel()[:12]))!r}"
        )
    if not np.isfinite(stress).all():
        raise DataError(f"{place}: expected a finite REF_stress, found {stress.tolist()}")
    if stress.size == 9:
        matrix = stress.reshape(3, 3)
        if np.abs(matrix - matrix.T).max() > _STRESS_NOISE_EV_A3:
            raise DataError(
                f"{place}: expected a symmetric REF_stress, found {matrix.tolist()}. Give 6 "
                "numbers xx yy zz yz xz xy"
            )
        stress = full_3x3_to_voigt_6_stress(matrix)
    atoms.info["REF_stress"] = stress.reshape(6).astype(np.float64)


def _check_labels(atoms: Atoms, place: Place) -> None:
    host = atoms.info["host"]
    if host not in atoms.symbols:
        found = ", ".join(sorted(set(atoms.symbols)))
        raise DataError(
            f"{place}: expected atoms of the host (host={host}), found only {found}. Say which "
            "element is the host with host=... on the comment line, or remove the frame"
        )
    state = atoms.info.get("state", "noneq")
    if state not in STATES:
        raise DataError(f"{place}: expected state to be one of {', '.join(STATES)}, found {state}")


def _check_finite(values: NDArray[Any], what: str, place: Place) -> None:
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        atom = int(np.argmax(bad))
        raise DataError(
            f"{place}, atom {atom}: expected a finite {what}, found {values[atom].tolist()}. "
            "Remove or relabel the frame"
        )
