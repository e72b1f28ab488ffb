"""Short-range order: Warren and Cowley's parameters of each pair of elements, shell by shell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.quantities import mean_of
from moalloy_md.analysis.topics.base import Column, Curve, Measure, Table, TopicSettings, counts
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.errors import DataError
from moalloy_md.structures.lattice import SITES_PER_CUBE, LatticeName, Shell, neighbour_shells

#: Bins of the pair counts out to the last shell's end: an edge is off by half of one at most.
_BINS = 3000
#: Neighbours in a shell that are missing or too many, relative, before it is said aloud.
_SPILL = 0.05


class SroSettings(TopicSettings):
    """Warren-Cowley short-range order."""

    kind: Literal["sro"] = "sro"
    lattice: LatticeName = "bcc"
    """Crystal whose neighbour shells are meant: bcc or fcc."""
    shells: int = Field(default=3, ge=1, le=8)
    """Shells from the nearest on."""
    lattice_parameter_angstrom: float | None = Field(default=None, gt=1.0, le=10.0)
    """Edge of the cubic cell, Å; that of the frame's density unless said."""


@dataclass(kw_only=True)
class ShortRangeOrder(Measure):
    """Warren-Cowley parameters ``α_ij = 1 − P_ij / c_j``.

    ``P_ij`` is the part of an i atom's neighbours in the shell that are j, ``c_j`` the part of all
    atoms that are j (J. M. Cowley, Phys. Rev. 77 (1950) 669): zero in a random alloy, negative
    where i and j seek each other. Shells end halfway to the next one, so thermal motion spills a few
    neighbours over near melting: relax or average positions first where that is said.
    """

    settings: SroSettings
    _chance: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), init=False)
    _told: set[int] = field(default_factory=set, init=False)  # shells whose spill was said

    def see(self, frame: Frame) -> dict[str, float]:
        """Return α of each pair and shell."""
        present = counts(frame)
        if len(present) < 2:
            raise DataError(
                f"{frame.address.file}: expected two or more elements for short-range order, found "
                f"{', '.join(present)} alone: give a run of an alloy"
            )
        symbols = sorted(present)
        pairs = pair_counts(frame, self._bounds(frame))
        expected = [len(s.vectors) for s in self._shells()[:-1]]
        row = {}
        for k, z in enumerate(expected):
            self._look_for_spill(pairs[:, :, k], z, k, frame.n_atoms)
            for i, j in combinations_with_replacement(range(len(symbols)), 2):
                n_i = pairs[i, :, k].sum()
                share = pairs[i, j, k] / n_i if n_i else 0.0
                name = f"{symbols[i]}-{symbols[j]}"
                row[f"alpha_{name}_{k + 1}"] = 1.0 - share * frame.n_atoms / present[symbols[j]]
                panel = "α, first shell" if k == 0 else ""
                self.columns[f"alpha_{name}_{k + 1}"] = Column(
                    f"α {name}, shell {k + 1}" if k else f"α {name}, shell 1", "", panel
                )
        self._chance = _chance_scatter(present, symbols, expected)
        return row

    def tables(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Table]:
        """Return α against the shell, with what chance gives in a random alloy of this size."""
        names = list(dict.fromkeys(key.split("_")[1] for key in self.columns))
        n = self.settings.shells
        curves = []
        for name, chance in zip(names, self._chance, strict=True):
            found = [
                mean_of([row[f"alpha_{name}_{k}"] for row in rows], label=f"α {name}", unit="")
                for k in range(1, n + 1)
            ]
            errors = [q.error for q in found]
            known = None if None in errors else np.array(errors, dtype=np.float64)
            curves.append(Curve(name, np.array([q.value for q in found]), known, chance))
        table = Table(
            "neighbour shell", "Warren-Cowley α", np.arange(1.0, n + 1), curves, points=True
        )
        return {"alpha": table}

    def _shells(self) -> tuple[Shell, ...]:
        return neighbour_shells(self.settings.lattice, self.settings.shells + 1)

    def _bounds(self, frame: Frame) -> NDArray[np.float64]:
        """Return the ends of the shells, Å."""
        sites = SITES_PER_CUBE[self.settings.lattice]
        edge = self.settings.lattice_parameter_angstrom or (
            sites * frame.data.cell.volume / frame.n_atoms
        ) ** (1 / 3)
        radii = np.array([shell.radius for shell in self._shells()])
        bounds: NDArray[np.float64] = edge * 0.5 * (radii[:-1] + radii[1:])
        return bounds

    def _look_for_spill(
        self, pairs: NDArray[np.float64], coordination: int, shell: int, n_atoms: int
    ) -> None:
        found = pairs.sum() / n_atoms
        if abs(found / coordination - 1) > _SPILL and shell not in self._told:
            self._told.add(shell)
            self.cautions.append(
                f"shell {shell + 1}: expected {coordination} neighbours, found {found:.2f} on "
                "average: the atoms are too far from their sites for shells by distance, or the "
                "crystal is another one (--lattice, --lattice-parameter-angstrom)"
            )


def pair_counts(frame: Frame, bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count pairs by elements and shell.

    Parameters
    ----------
    frame
        At least two elements.
    bounds
        Ends of the shells, ``(n_shells,)``, Å.

    Returns
    -------
    ``(n_elements, n_elements, n_shells)``: neighbours of element j around all atoms of element i;
    elements in alphabetical order. Every image of a neighbour counts.
    """
    present = counts(frame)
    symbols = sorted(present)
    frame.data.apply(
        load_ovito().modifiers.CoordinationAnalysisModifier(
            cutoff=float(bounds[-1]), number_of_bins=_BINS, partial=True
        )
    )
    table = frame.data.tables["coordination-rdf"]
    edges = np.linspace(0.0, bounds[-1], _BINS + 1)
    volumes = 4 / 3 * np.pi * np.diff(edges**3)
    which = np.searchsorted(bounds, 0.5 * (edges[1:] + edges[:-1]))
    found = np.zeros((len(symbols), len(symbols), len(bounds)))
    names = _names_by_type(frame)
    for column, title in enumerate(table.y.component_names):
        i, j = (symbols.index(names[part]) for part in title.split("-"))
        # g_ij = n_ij / (N_i ρ_j ΔV): undone, this gives numbers of pairs
        pairs = np.array(table.y)[:, column] * volumes / frame.data.cell.volume
        pairs = pairs * present[symbols[i]] * present[symbols[j]]
        shells = np.bincount(which, weights=pairs, minlength=len(bounds))
        found[i, j] += shells
        if i != j:
            found[j, i] += shells
    rounded: NDArray[np.float64] = np.rint(found)
    return rounded


def _names_by_type(frame: Frame) -> dict[str, str]:
    """Chemical symbols by what OVITO calls the types in its tables."""
    kinds = frame.data.particles.particle_types.types
    named = {kind.name or str(kind.id): frame.species.get(kind.id, kind.name) for kind in kinds}
    return {**{f"Type {n}": s for n, s in frame.species.items()}, **named}


def _chance_scatter(
    present: Mapping[str, int], symbols: Sequence[str], coordination: Sequence[int]
) -> NDArray[np.float64]:
    """Two standard deviations of α in one random alloy of this size, ``(n_pairs, n_shells)``.

    Over the M = N z / 2 bonds of a shell ``α_ij`` is a mean of ``−(x_i − c_i)(x_j − c_j)/(c_i c_j)``,
    whose products on different bonds are uncorrelated: its variance is
    ``[(1 − c_i)(1 − c_j)/(c_i c_j) + 1] / 2M`` for i ≠ j and ``(1 − c_i)²/(c_i² M)`` for i = j.
    """
    n = sum(present.values())
    c = {symbol: present[symbol] / n for symbol in symbols}
    rows = []
    for a, b in combinations_with_replacement(symbols, 2):
        odds = (1 - c[a]) * (1 - c[b]) / (c[a] * c[b])
        variance = odds if a == b else 0.5 * (odds + 1)
        rows.append([2 * np.sqrt(variance * 2 / (n * z)) for z in coordination])
    return np.array(rows)
