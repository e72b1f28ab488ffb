"""Errors that matter for dilute alloys: whole energies of substitution, binding and relaxation.

An error of 2 meV/atom is 256 meV in a cell of 128 atoms, as much as a segregation energy. These
energies are differences between cells of equal size and shape, in which most of it cancels, or
not: so they are compared one by one, in meV per cell.

- substitution of the host by X: ``E(X) − E(host)``. It holds the difference of the elements'
  reference energies, so its sign says nothing; a constant error of an element shows in it.
- binding of a pair: ``E_b = E(X+Y) + E(host) − E(X) − E(Y)``; negative attracts.
- relaxation: ``E(on the lattice sites) − E(relaxed)`` of one arrangement, positive for DFT.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from moalloy_md.datasets.contacts import Neighbours
from moalloy_md.datasets.frames import Frame
from moalloy_md.datasets.lattice_sites import fit_lattice
from moalloy_md.elements import atomic_number
from moalloy_md.units import MEV_PER_EV

FloatArray = NDArray[np.float64]

#: Lattice vectors, Å, up to whose difference two cells are the same.
_SAME_CELL_ANGSTROM = 1e-3
_N_SHELLS = 5


@dataclass(frozen=True)
class DiluteEnergy:
    """One energy, by the reference and by the model."""

    name: str
    """Such as ``W``, ``Re-W shell 1`` or ``W relaxed``; with the state of the cells."""
    n_atoms: int
    """Sites of the cell that it was computed in."""
    cells: tuple[int, ...]
    """Frames that it was computed from, the one with the most dopants first; negative ones are
    partners, counted from -1 backwards."""
    reference_mev: float
    """By the reference, meV."""
    predicted_mev: float
    """By the model, meV."""

    @property
    def error_mev(self) -> float:
        """Predicted less reference, meV."""
        return self.predicted_mev - self.reference_mev


@dataclass(frozen=True)
class DiluteErrors:
    """Errors of one kind of energy."""

    n: int
    """How many energies there are."""
    mae_mev: float | None
    """Mean absolute error, meV per cell."""
    rmse_mev: float | None
    """Root mean square error, meV per cell."""
    mean_error_mev: float | None
    """Mean of predicted less reference, meV per cell."""
    max_error_mev: float | None
    """Largest absolute error, meV per cell."""
    mean_abs_mev: float | None
    """Mean absolute reference energy: what predicting zero would miss; None for substitutions."""
    sign_agreement: float | None
    """Part of the energies whose sign is predicted; None for substitutions."""
    rank_correlation: float | None
    """Spearman's rank correlation; None for substitutions and below 3 energies."""
    energies: tuple[DiluteEnergy, ...]
    """One by one."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        content = asdict(self)
        content["energies"] = [
            {**asdict(e), "cells": list(e.cells), "error_mev": e.error_mev} for e in self.energies
        ]
        return content


def dilute_errors(
    frames: Sequence[Frame],
    predicted_ev: FloatArray,
    partners: Sequence[Frame] = (),
    partners_predicted_ev: FloatArray | None = None,
) -> dict[str, DiluteErrors]:
    """Compare the energies of substitution, binding and relaxation that the cells allow.

    Parameters
    ----------
    frames
        The test set. At least the cell with the most dopants of each energy is among them.
    predicted_ev
        Total energies of the model, ``(n_frames,)``, eV.
    partners
        Other cells (of the training set) that may stand for the host or a single dopant.
    partners_predicted_ev
        The model's energies of these, ``(n_partners,)``, eV.

    Returns
    -------
    dict
        ``substitution``, ``binding`` and ``relaxation``. Only cells whose state is ``ideal`` or
        ``relaxed`` take part, both or all of the same state, with the same lattice vectors. Of
        several that would do, the one of lowest reference energy is taken.
    """
    pool = _Pool(frames, predicted_ev, partners, partners_predicted_ev)
    found = {
        "substitution": pool.substitutions(),
        "binding": pool.bindings(),
        "relaxation": pool.relaxations(),
    }
    return {
        kind: summary(energies, signed=kind != "substitution") for kind, energies in found.items()
    }


def summary(energies: Sequence[DiluteEnergy], *, signed: bool) -> DiluteErrors:
    """Sum up one kind of energies; `signed` says whether their sign and order mean something."""
    if not energies:
        return DiluteErrors(0, *(None,) * 7, ())
    reference = np.array([e.reference_mev for e in energies])
    predicted = np.array([e.predicted_mev for e in energies])
    error = predicted - reference
    varied = len(energies) > 2 and np.ptp(reference) > 0 and np.ptp(predicted) > 0
    rank = float(spearmanr(reference, predicted).statistic) if signed and varied else None
    return DiluteErrors(
        n=len(energies),
        mae_mev=float(np.abs(error).mean()),
        rmse_mev=float(np.sqrt(np.mean(error**2))),
        mean_error_mev=float(error.mean()),
        max_error_mev=float(np.abs(error).max()),
        mean_abs_mev=float(np.abs(reference).mean()) if signed else None,
        sign_agreement=float(np.mean(np.sign(reference) == np.sign(predicted))) if signed else None,
        rank_correlation=rank,
        energies=tuple(energies),
    )


@dataclass(frozen=True)
class _Cell:
    index: int
    frame: Frame
    energy_ev: float
    dopants: tuple[str, ...]
    """Symbols of the dopant atoms, by atomic number."""

    def matches(self, other: "_Cell") -> bool:
        """Whether the two differ in their dopants alone: host, state, size and lattice vectors."""
        one, two = self.frame, other.frame
        return (
            one.host == two.host
            and one.state == two.state
            and one.n_atoms == two.n_atoms
            and bool(np.array_equal(one.atoms.pbc, two.atoms.pbc))
            and np.allclose(
                one.atoms.cell.array, two.atoms.cell.array, rtol=0, atol=_SAME_CELL_ANGSTROM
            )
        )


class _Pool:
    """The cells that may take part, by their dopant atoms."""

    def __init__(
        self,
        frames: Sequence[Frame],
        predicted_ev: FloatArray,
        partners: Sequence[Frame],
        partners_predicted_ev: FloatArray | None,
    ) -> None:
        own = [(k, frame, predicted_ev[k]) for k, frame in enumerate(frames)]
        others = [
            (-1 - k, frame, 0.0 if partners_predicted_ev is None else partners_predicted_ev[k])
            for k, frame in enumerate(partners)
        ]
        self._cells: list[_Cell] = []
        for index, frame, energy in own + others:
            dopants = tuple(
                sorted((x for x in frame.atoms.symbols if x != frame.host), key=atomic_number)
            )
            if frame.state in {"ideal", "relaxed"}:
                self._cells.append(_Cell(index, frame, float(energy), dopants))
        self._by_dopants: dict[tuple[str, ...], list[_Cell]] = {}
        for cell in self._cells:
            self._by_dopants.setdefault(cell.dopants, []).append(cell)

    def substitutions(self) -> list[DiluteEnergy]:
        found = []
        for cell in self._in_test(1):
            host = self._partner((), cell)
            if host is not None:
                name = f"{cell.dopants[0]}, {cell.frame.state}"
                found.append(_difference(name, (cell, host), (1, -1)))
        return found

    def bindings(self) -> list[DiluteEnergy]:
        found = []
        for cell in self._in_test(2):
            x, y = cell.dopants
            three = [self._partner(dopants, cell) for dopants in ((), (x,), (y,))]
            cells = (cell, *(one for one in three if one is not None))
            if len(cells) == 4:
                name = f"{x}-{y} {_shell(cell.frame)}, {cell.frame.state}"
                found.append(_difference(name, cells, (1, 1, -1, -1)))
        return found

    def relaxations(self) -> list[DiluteEnergy]:
        found = []
        for cell in self._cells:
            if cell.index < 0 or cell.frame.state != "relaxed":
                continue
            on_sites = [
                other
                for other in self._by_dopants[cell.dopants]
                if other.frame.state == "ideal"
                and other.frame.group == cell.frame.group
                and np.allclose(
                    other.frame.atoms.cell.array, cell.frame.atoms.cell.array,
                    rtol=0, atol=_SAME_CELL_ANGSTROM,
                )
            ]  # fmt: skip
            if on_sites:
                name = f"{'-'.join(cell.dopants) or cell.frame.host} {cell.frame.group}"
                found.append(_difference(name, (cell, on_sites[0]), (-1, 1)))
        return found

    def _in_test(self, n_dopants: int) -> list[_Cell]:
        return [c for c in self._cells if c.index >= 0 and len(c.dopants) == n_dopants]

    def _partner(self, dopants: tuple[str, ...], cell: _Cell) -> _Cell | None:
        allowed = [c for c in self._by_dopants.get(dopants, []) if c.matches(cell)]
        return min(allowed, key=lambda c: c.frame.energy_ev) if allowed else None


def pair_contacts(frame: Frame) -> tuple[int, int] | None:
    """Neighbour shell of a cell's two dopant atoms, and how many images are in it.

    In a small cell the pair repeats as a chain or a net: the energy is that of all its contacts.

    Returns
    -------
    tuple or None
        None if the cell is no crystal, or the two are farther than fifth neighbours.
    """
    fit = fit_lattice(frame.atoms)
    if fit is None:
        return None
    i, j = (k for k, x in enumerate(frame.atoms.symbols) if x != frame.host)
    return Neighbours(fit).between(i, j, n_shells=_N_SHELLS)


def _shell(frame: Frame) -> str:
    """Shell of the two dopant atoms in words."""
    found = pair_contacts(frame)
    if found is None:
        return "shell unknown" if fit_lattice(frame.atoms) is None else "farther"
    return f"shell {found[0]}"


def _difference(name: str, cells: Sequence[_Cell], signs: Sequence[int]) -> DiluteEnergy:
    pairs = list(zip(signs, cells, strict=True))
    return DiluteEnergy(
        name=name,
        n_atoms=cells[0].frame.n_atoms,
        cells=tuple(cell.index for cell in cells),
        reference_mev=MEV_PER_EV * sum(sign * cell.frame.energy_ev for sign, cell in pairs),
        predicted_mev=MEV_PER_EV * sum(sign * cell.energy_ev for sign, cell in pairs),
    )


def may_be_partner(frame: Frame) -> bool:
    """Whether a cell may stand for the host or a single dopant in another one's energy."""
    n_dopants = sum(x != frame.host for x in frame.atoms.symbols)
    return frame.state in {"ideal", "relaxed"} and n_dopants <= 1
