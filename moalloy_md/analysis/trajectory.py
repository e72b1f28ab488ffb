"""Frames of a trajectory, one at a time, with their elements known.

LAMMPS dumps, extended XYZ and what else OVITO reads. Nothing but the frame at hand is kept, so memory
does not grow with the number of frames.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ase.data import atomic_numbers

from moalloy_md.analysis.ovito_support import (
    compute_frame,
    dump_frames,
    load_ovito,
    need_frames,
    open_frames,
)
from moalloy_md.errors import DataError

Read = TypeVar("Read")

#: Chemical symbol by OVITO's number of the particle type.
Species = dict[int, str]


@dataclass(frozen=True)
class FrameAddress:
    """Where a frame lies: the file, and the number of the frame in it, from 0."""

    file: Path
    index: int

    @property
    def key(self) -> str:
        """Name of the frame that changes when its file does."""
        stat = self.file.stat()
        return f"{self.file.name}:{self.index}:{stat.st_size}:{stat.st_mtime_ns}"


@dataclass(frozen=True)
class Frame:
    """A frame that was read.

    Attributes
    ----------
    address
        Where it lies.
    step
        Time step; the number of the frame where the file has none.
    time_ps
        Time, ps, where the file has it (``dump_modify time yes``).
    species
        Chemical symbols by particle type.
    data
        OVITO's DataCollection; it belongs to the reader and may be changed.
    """

    address: FrameAddress
    step: int
    time_ps: float | None
    species: Species
    data: Any

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.data.particles.count)


class Trajectory:
    """Files of frames in the order of time.

    Parameters
    ----------
    files
        One or more frames each.
    elements
        Chemical symbols of atom types 1, 2, ...; only for files that do not name their elements.
    every
        Take each so-many-th frame.

    Raises
    ------
    DataError
        If there are no files, or one cannot be read at all.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """

    def __init__(
        self, files: Sequence[Path], *, elements: Sequence[str] | None = None, every: int = 1
    ) -> None:
        need_frames(files)
        load_ovito()  # refuses before a file is opened
        self._elements = tuple(elements) if elements else None
        self._opened: tuple[Path, Any] | None = None
        #: What was left out and why, in sentences.
        self.left_out: list[str] = []
        addresses: list[FrameAddress] = []
        for file in files:
            is_last = file == files[-1]
            count = self._or_left_out(file, partial(self._count, file), may_be_cut=is_last)
            addresses += [FrameAddress(file, k) for k in range(count or 0)]
        self.addresses: tuple[FrameAddress, ...] = tuple(addresses[::every])
        """Frames that are taken."""
        self._last = addresses[-1] if addresses else None
        if not self.addresses:
            raise DataError(
                f"{files[-1]}: expected a whole frame, found none (LAMMPS dumps and extended XYZ "
                "are read). "
                f"{self.left_out[0]}"
            )

    def frames(self, *, known: Callable[[FrameAddress], bool] = lambda _: False) -> Iterator[Frame]:
        """Read the frames one after the other.

        A last frame that a kill cut is left out, and said so in `left_out`.

        Parameters
        ----------
        known
            Frames for which it is true are skipped without being read.

        Raises
        ------
        DataError
            If another frame cannot be read, or the elements cannot be told.
        """
        n_read = 0
        for address in self.addresses:
            if known(address):
                n_read += 1
                continue
            frame = self._or_left_out(
                address.file, partial(self._read, address), may_be_cut=address == self._last
            )
            if frame is not None:
                n_read += 1
                yield frame
        if not n_read:
            raise DataError(
                f"{self.addresses[0].file}: expected a whole frame, found none. {self.left_out[0]}"
            )

    def _count(self, file: Path) -> int:
        """Count the frames of a file; of a LAMMPS dump without reading it as OVITO would."""
        if not file.is_file():
            raise DataError(f"{file}: expected a trajectory, found no such file")
        if file.stat().st_size == 0:
            raise RuntimeError("the file is empty")
        count = sum(1 for _ in dump_frames(file))
        return count or int(self._open(file).source.num_frames)

    def _open(self, file: Path) -> Any:
        if self._opened is None or self._opened[0] != file:
            self._opened = file, open_frames(file)  # which keeps the frame that it read last
        return self._opened[1]

    def _read(self, address: FrameAddress) -> Frame:
        data = compute_frame(self._open(address.file), address.index)
        if data.particles is None or not data.particles.count:
            raise DataError(f"{address.file}: expected atoms in frame {address.index}, found none")
        found = data.attributes
        time = found.get("Time")
        return Frame(
            address=address,
            step=int(found.get("Timestep", address.index)),
            time_ps=None if time is None else float(time),
            species=self._species(address.file, data),
            data=data,
        )

    def _species(self, file: Path, data: Any) -> Species:
        if data.particles.particle_types is None:
            raise DataError(
                f"{file}: expected atom types or elements, found neither: dump 'id type element x y z'"
            )
        kinds = data.particles.particle_types
        present = {int(t) for t in set(kinds[...].tolist())}
        names = {kind.id: kind.name for kind in kinds.types if kind.id in present}
        named = {number for number in present if names.get(number) in atomic_numbers}
        if self._elements is not None:
            if named:
                raise DataError(
                    f"{file}: names its elements itself "
                    f"({', '.join(names[n] for n in sorted(named))}): leave --elements out"
                )
            if max(present) > len(self._elements):
                raise DataError(
                    f"{file}: expected {max(present)} elements for its atom types, found "
                    f"{len(self._elements)} in --elements {','.join(self._elements)}"
                )
            return {number: self._elements[number - 1] for number in present}
        if named != present:
            unknown = ", ".join(names.get(n) or f"type {n}" for n in sorted(present - named))
            raise DataError(
                f"{file}: expected chemical symbols, found {unknown}: give --elements Mo,W,... in "
                "the order of the atom types, or dump the column 'element'"
            )
        return {number: names[number] for number in present}

    def _or_left_out(
        self, file: Path, read: Callable[[], Read], *, may_be_cut: bool
    ) -> Read | None:
        try:
            return read()
        except (RuntimeError, KeyError) as error:
            why = " ".join(str(error).split())
            if may_be_cut:
                self.left_out.append(
                    f"{file}: its last frame is not whole and was left out ({why}). A frame that a "
                    "kill cut is written again when the run goes on"
                )
                return None
            raise DataError(
                f"{file}: expected a frame that OVITO can read (LAMMPS dump, extended XYZ), found "
                f"one that it refuses ({why})"
            ) from error
