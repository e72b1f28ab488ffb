"""Pairs of neighbours that stay valid while the atoms move a little."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

_NO_CELL_MARGIN_ANGSTROM = 1.0


@dataclass(frozen=True)
class Edges:
    """Ordered pairs of neighbours, every image its own.

    Attributes
    ----------
    senders, receivers
        ``(n_edges,)``; receivers ascend.
    vectors
        ``(n_edges, 3)``, Å, from the sender to the receiver.
    """

    senders: NDArray[np.int32]
    receivers: NDArray[np.int32]
    vectors: NDArray[np.float64]


class NeighbourPairs:
    """Finds the neighbours within a cutoff, and again only when atoms have moved too far.

    Parameters
    ----------
    cutoff
        Å. All pairs closer than it are given, and some that are farther.
    skin
        Å. Pairs are listed up to ``cutoff + skin``, and stay until an atom has moved by half of
        the skin, or the cell has changed.
    """

    def __init__(self, cutoff: float, *, skin: float = 0.5) -> None:
        self._cutoff = cutoff
        self._skin = skin
        self._listed: Atoms | None = None

    def edges(self, atoms: Atoms) -> Edges:
        """Return the pairs of `atoms`; they may lie outside of their cell."""
        if self._must_list(atoms):
            self._list(atoms)
        vectors = atoms.positions[self._receivers] - atoms.positions[self._senders]
        vectors -= self._offsets
        return Edges(self._senders, self._receivers, vectors)

    def _must_list(self, atoms: Atoms) -> bool:
        old = self._listed
        if (
            old is None
            or len(old) != len(atoms)
            or not np.array_equal(old.pbc, atoms.pbc)
            or not np.array_equal(old.cell.array, atoms.cell.array)
        ):
            return True
        moved = np.linalg.norm(atoms.positions - old.positions, axis=1)
        return bool(moved.max(initial=0.0) > 0.5 * self._skin)

    def _list(self, atoms: Atoms) -> None:
        bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        if not bare.pbc.all():
            _close_open_directions(bare)
        i, j, shifts = neighbour_list("ijS", bare, self._cutoff + self._skin)
        order = np.argsort(i, kind="stable")
        self._receivers = i[order].astype(np.int32)
        self._senders = j[order].astype(np.int32)
        self._offsets = shifts[order] @ atoms.cell.array
        self._listed = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _close_open_directions(atoms: Atoms) -> None:
    """Give directions without a period a cell vector that holds all atoms, as matscipy needs."""
    cell = atoms.cell.complete().array
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    for axis in np.flatnonzero(~atoms.pbc):
        low, high = fractional[:, axis].min(), fractional[:, axis].max()
        margin = _NO_CELL_MARGIN_ANGSTROM / np.linalg.norm(cell[axis])
        atoms.positions -= (low - margin) * cell[axis]
        cell[axis] *= high - low + 2 * margin
    atoms.set_cell(cell)
