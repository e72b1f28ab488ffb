"""Candidates for a grain boundary's structure: shifts, gaps, removed atoms, and their energies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.structures.coincidence import Coincidence
from moalloy_md.structures.grain_boundaries import (
    GrainBoundaryConfig,
    build_boundary,
    move_upper_grain,
)
from moalloy_md.workflows.boundary_search.config import BoundarySearchConfig


@dataclass(frozen=True)
class Candidate:
    """A way to put the two grains together.

    Attributes
    ----------
    key
        Its name.
    shift_angstrom
        Of the upper grain in the plane from the coincidence, Å.
    overlap
        Distance within which atoms were removed, in nearest-neighbour distances.
    expansion_angstrom
        Gap at each boundary beyond the spacing of the lattice planes, Å.
    n_removed
        Atoms that were removed at both boundaries together.
    atoms
        As built, or relaxed.
    energy_j_per_m2
        Of one boundary; None before it is computed.
    converged
        Whether the relaxation reached its limit of forces.
    """

    key: str
    shift_angstrom: tuple[float, float]
    overlap: float
    expansion_angstrom: float
    n_removed: int
    atoms: Atoms
    energy_j_per_m2: float | None = None
    converged: bool = False

    @property
    def energy(self) -> float:
        """γ, J/m²; infinite before it is computed."""
        return np.inf if self.energy_j_per_m2 is None else self.energy_j_per_m2

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "key": self.key,
            "shift_angstrom": list(self.shift_angstrom),
            "overlap": self.overlap,
            "expansion_angstrom": self.expansion_angstrom,
            "n_removed": self.n_removed,
            "n_atoms": len(self.atoms),
            "energy_j_per_m2": self.energy_j_per_m2,
            "converged": self.converged,
        }


@dataclass(frozen=True)
class Crystal:
    """The host's crystal in the model."""

    edge_angstrom: float
    """Cubic edge, Å."""
    energy_ev: float
    """Energy of an atom, eV."""


def all_candidates(
    config: BoundarySearchConfig, common: Coincidence, crystal: Crystal
) -> list[Candidate]:
    """Build each structure once."""
    found: dict[tuple[int, int, float], Candidate] = {}
    shifts = enumerate(distinct_shifts(config, common, crystal))
    for overlap, (number, shift), expansion in product(
        sorted(config.overlaps), shifts, config.expansions_angstrom
    ):
        x, y = map(float, shift)
        changes = {
            "lattice_parameter_angstrom": crystal.edge_angstrom,
            "shift_angstrom": (x, y),
            "expansion_angstrom": expansion,
            "overlap": overlap,
        }
        built = build_boundary(common, plain_config(config, changes))
        place = (number, built.n_removed, expansion)
        if place not in found:  # a larger distance may remove no more
            found[place] = Candidate(
                key=f"shift{number:02d}-removed{built.n_removed}-gap{expansion:+.2f}",
                shift_angstrom=(x, y),
                overlap=overlap,
                expansion_angstrom=expansion,
                n_removed=built.n_removed,
                atoms=built.atoms,
            )
    return list(found.values())


def distinct_shifts(
    config: BoundarySearchConfig, common: Coincidence, crystal: Crystal
) -> list[NDArray[np.float64]]:
    """Shifts that differ by symmetry, each ``(2,)``, Å: none first, then those of the grid.

    Operations that exchange the grains are left out: they hold only where no atom is removed, because it
    is the upper grain that loses atoms.
    """
    cell = common.displacement_cell
    edge = crystal.edge_angstrom
    n = np.ceil(np.linalg.norm(cell, axis=1) * edge / config.shift_step_angstrom).astype(int)
    factors = np.stack(np.meshgrid(*(np.arange(k) / k for k in n), indexing="ij"), -1).reshape(
        -1, 2
    )
    # the origin lies where lattice planes are on top of each other, so the grid has their symmetry
    grid = factors @ cell - common.step(1)[:2]
    kept: list[NDArray[np.float64]] = []
    for shift in (np.zeros(2), *grid):
        if not _is_among(shift, kept, common, exchange=False):
            kept.append(shift)
    return [shift * edge for shift in kept]


def lowest_distinct(
    candidates: Sequence[Candidate], common: Coincidence, crystal: Crystal, *, n: int
) -> list[Candidate]:
    """Return the n of lowest energy that differ in more than the gap: in shift or number of atoms."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda c: c.energy):
        alike = [
            np.array(other.shift_angstrom) / crystal.edge_angstrom
            for other in kept
            if other.n_removed == one.n_removed
        ]
        shift = np.array(one.shift_angstrom) / crystal.edge_angstrom
        if not _is_among(shift, alike, common, exchange=one.n_removed == 0):
            kept.append(one)
    return kept[:n]


def _is_among(
    shift: NDArray[np.float64],
    others: Sequence[NDArray[np.float64]],
    common: Coincidence,
    *,
    exchange: bool,
) -> bool:
    """Whether a shift gives the same boundary as one of the others; all over the cubic edge."""
    images = common.equivalent_shifts(shift, exchange=exchange)
    to_cell = np.linalg.inv(common.displacement_cell)
    apart = [(images - other) @ to_cell for other in others]
    return any(np.abs(a - np.rint(a)).max(axis=1).min() < 1e-6 for a in apart)


def plain_config(config: BoundarySearchConfig, changes: dict[str, Any]) -> GrainBoundaryConfig:
    """Return what builds the boundary of a search, with changes."""
    wanted = config.model_dump(include=set(GrainBoundaryConfig.model_fields))
    return GrainBoundaryConfig(**{**wanted, **changes})


def moves(step: float, axes: Sequence[int]) -> NDArray[np.float64]:
    """Displacements by a step forth and back along axes of the cell, ``(2 n_axes, 3)``, Å."""
    return np.vstack([np.eye(3)[list(axes)], -np.eye(3)[list(axes)]]) * step


def moved(candidate: Candidate, move: NDArray[np.float64], number: int) -> Candidate:
    """Move the upper grain of a candidate; `number`, of the round, makes its name another one."""
    x, y = candidate.shift_angstrom
    return replace(
        candidate,
        key=f"{candidate.key}-{number}-{move[0]:+.3f}{move[1]:+.3f}{move[2]:+.3f}",
        shift_angstrom=(x + float(move[0]), y + float(move[1])),
        expansion_angstrom=candidate.expansion_angstrom + float(move[2]),
        atoms=move_upper_grain(candidate.atoms, move),
        energy_j_per_m2=None,
    )
