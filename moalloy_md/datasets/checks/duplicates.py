"""Cells that are there twice: turned, shifted, mirrored, with their atoms in another order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen
from moalloy_md.datasets.isometry import alike, same_crystal, solute_distances, surroundings


@dataclass(frozen=True, eq=False)
class _Cell:
    """What has to be kept of a frame to find it again."""

    index: int
    name: str
    group: str
    source: str
    energy_ev: float
    numbers: NDArray[np.uint8]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    environments: NDArray[np.float64]  # of each atom
    force_lengths: NDArray[np.float32]  # ascending

    def atoms(self) -> Atoms:
        return Atoms(numbers=self.numbers, positions=self.positions, cell=self.cell, pbc=self.pbc)

    @cached_property
    def solute_distances(self) -> NDArray[np.float64]:
        return solute_distances(self.atoms())


class Duplicates(Check):
    """No cell twice, and above all not with different labels or in different groups."""

    name = "duplicate"
    why = (
        "a cell that is there twice counts double; in two groups it stands in train and test at "
        "once, and the test error flatters; with two different labels one of them is wrong"
    )
    mend = "keep one of them; where both must stay give them the same group"

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.cells: dict[tuple[bytes, int], list[_Cell]] = defaultdict(list)

    def see(self, seen: Seen) -> Iterable[Finding]:
        frame = seen.frame
        atoms = frame.atoms
        key = (np.sort(atoms.numbers).astype(np.uint8).tobytes(), int(atoms.pbc.sum()))
        self.cells[key].append(
            _Cell(
                index=seen.index,
                name=frame.name,
                group=frame.group,
                source=frame.source,
                energy_ev=frame.energy_ev,
                numbers=atoms.numbers.astype(np.uint8),
                positions=atoms.positions,
                cell=atoms.cell.array,
                pbc=atoms.pbc,
                environments=surroundings(atoms, seen.neighbours),
                force_lengths=np.sort(np.linalg.norm(frame.forces, axis=1)).astype(np.float32),
            )
        )
        return ()

    def finish(self) -> Iterable[Finding]:
        for members in self.cells.values():
            for one, other in self._pairs(members):
                yield self._judge(one, other)

    def _pairs(self, members: list[_Cell]) -> Iterator[tuple[_Cell, _Cell]]:
        """Find pairs of equal cells; of three equal ones the second and third with the first."""
        tolerance = self.config.duplicate_tolerance_angstrom
        surrounded = np.sort([cell.environments for cell in members], axis=1)
        means = surrounded.mean(axis=1)
        order = np.argsort(means, kind="stable")
        originals: list[int] = []  # into members, in the order of the means
        start = 0
        for k in order:
            while start < len(originals) and means[k] - means[originals[start]] > 2 * tolerance:
                start += 1
            near = np.array(originals[start:], dtype=int)
            for o in near[alike(surrounded[k], surrounded[near], tolerance)]:
                if self._same(members[o], members[k]):
                    first, second = sorted((members[o], members[k]), key=lambda cell: cell.index)
                    yield first, second
                    break
            else:
                originals.append(int(k))

    def _same(self, one: _Cell, other: _Cell) -> bool:
        tolerance = self.config.duplicate_tolerance_angstrom
        if np.abs(one.solute_distances - other.solute_distances).max(initial=0) > 2 * tolerance:
            return False
        return same_crystal(
            one.atoms(),
            other.atoms(),
            tolerance_angstrom=tolerance,
            surroundings_of=(one.environments, other.environments),
        )

    def _judge(self, one: _Cell, other: _Cell) -> Finding:
        difference = abs(one.energy_ev - other.energy_ev) / len(one.numbers)
        forces = float(np.abs(one.force_lengths - other.force_lengths).max())
        first = f"frame {one.index}{f' ({one.name})' if one.name else ''}"
        same = f"the same cell as {first}"
        if difference > self.config.conflict_ev_per_atom:
            return self.finding(
                "error",
                f"{same}, but with an energy that differs by {1000 * difference:.2f} meV/atom",
                frame=other.index,
                name=other.name,
                mend="find out which of the two labels is right, and remove the other",
            )
        if one.group != other.group:
            return self.finding(
                "error",
                f"{same}, in another group ({other.group!r} and {one.group!r})",
                frame=other.index,
                name=other.name,
            )
        noise = f"; forces differ by up to {1000 * forces:.1f} meV/Å" if forces > 1e-3 else ""
        return self.finding(
            "warning",
            f"{same}, in the same group{noise}",
            frame=other.index,
            name=other.name,
        )
