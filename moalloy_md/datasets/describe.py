"""Say what a dataset holds: counts by dopant, pair, shell, host, state and group; distributions.

Shells are found from the geometry, not from what a file says of itself: the lattice behind each
cell is recognised (`moalloy_md.datasets.lattice_sites`), so strained, displaced and rotated cells count
with their sites, and in a small cell every periodic image counts.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from moalloy_md.datasets.contacts import Neighbours
from moalloy_md.datasets.frames import STATES, Frame
from moalloy_md.datasets.lattice_sites import LatticeFit, fit_lattice
from moalloy_md.units import MEV_PER_EV

#: Shells that are told apart; what is farther is one class.
N_SHELLS = 5

#: How a pair that is farther apart than the last shell, or whose lattice is unknown, is counted.
FARTHER, UNKNOWN = "farther", "unknown"
SHELLS = (*map(str, range(1, N_SHELLS + 1)), FARTHER, UNKNOWN)

#: Edges of the force histogram, eV/Å: ten classes a decade.
FORCE_EDGES = np.logspace(-4, 2, 61)


@dataclass
class ElementCounts:
    """Frames in which a dopant occurs."""

    frames: int = 0
    """With this dopant."""
    groups: int = 0
    """Different groups of these."""
    single: int = 0
    """With one atom of it and no other dopant."""
    pairs: int = 0
    """With exactly two dopant atoms, one or two of them of this element."""
    more: int = 0
    """With more than two dopant atoms."""
    atoms: int = 0
    """Atoms of it in all frames."""


@dataclass
class PairCounts:
    """Two dopant elements: cells with exactly two dopant atoms, and contacts in all others."""

    cells: Counter[str] = field(default_factory=Counter)
    """Cells with exactly these two dopant atoms, by neighbour shell (``"1"`` and so on,
    ``farther``, or ``unknown`` where no bcc or fcc lattice is recognised)."""
    images: Counter[str] = field(default_factory=Counter)
    """The same by ``shell×contacts``, such as ``2×2``: in a small cell one atom has several images
    of the other in that shell."""
    contacts: Counter[str] = field(default_factory=Counter)
    """Contacts by shell in cells with more than two dopant atoms, images counted."""

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Return plain values, ready for JSON."""
        counters = {"cells": self.cells, "images": self.images, "contacts": self.contacts}
        return {name: dict(sorted(counter.items())) for name, counter in counters.items()}


@dataclass(frozen=True)
class Distribution:
    """A number over many frames or atoms."""

    n: int
    mean: float
    standard_deviation: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Description:
    """What a dataset holds. Make it with `describe`."""

    n_frames: int
    n_atoms: int
    n_groups: int
    n_frames_without_group: int
    largest_groups: dict[str, int]
    """The ten groups with the most frames."""
    hosts: dict[str, int]
    """Frames by host."""
    states: dict[str, int]
    """Frames by state."""
    sizes: dict[int, int]
    """Frames by number of atoms."""
    lattices: dict[str, int]
    """Frames by lattice, as recognised: bcc, fcc, or ``unknown``."""
    sources: dict[str, int]
    """Frames by the file that they come from."""
    n_frames_with_vacancies: int
    """Frames whose recognised lattice has sites without an atom."""
    n_frames_with_stress: int
    n_dopant_atoms: dict[int, int]
    """Frames by number of dopant atoms."""
    dopants: dict[str, ElementCounts]
    pairs: dict[tuple[str, str], PairCounts]
    """By pair of dopants in alphabetical order."""
    reference_energies_ev: dict[str, float]
    """Energy of each element in the composition-linear fit, eV/atom."""
    references_determined: bool
    """Whether the compositions determine them, or the fit of smallest norm was taken."""
    energies_mev_per_atom: NDArray[np.float64]
    """``(n_frames,)``: energy per atom less its composition-linear part, meV/atom."""
    frame_states: tuple[str, ...]
    """State of each frame, in the order of the energies."""
    largest_forces: NDArray[np.float64]
    """``(n_frames,)``: length of the longest force of each frame, eV/Å."""
    force_counts: dict[str, NDArray[np.int64]]
    """By state: atoms in each class of |F| between `FORCE_EDGES`; the first and last also hold
    what lies outside."""
    mean_abs_force_component: float
    """Mean of |F_x|, |F_y|, |F_z| over all atoms, eV/Å: the error of a model that predicts no
    force."""
    rms_force_component: float
    """Root mean square of the force components, eV/Å."""

    @property
    def energy(self) -> Distribution:
        """Distribution of the energies less their composition-linear part, meV/atom."""
        return _distribution(self.energies_mev_per_atom)

    def shells(self, counter: Literal["cells", "contacts"]) -> list[str]:
        """Shells that occur in this count of any pair, nearest first."""
        found = {shell for counts in self.pairs.values() for shell in getattr(counts, counter)}
        return [shell for shell in SHELLS if shell in found]

    @property
    def repeated_pairs(self) -> list[tuple[int, int, int]]:
        """Cells with two dopant atoms that are so small that one meets several images of the other.

        Shell, number of images in it, and how many such cells there are.
        """
        cells = Counter[str]()
        for counts in self.pairs.values():
            cells.update(counts.images)
        found = [(*map(int, key.split("×")), n) for key, n in sorted(cells.items())]
        return [(shell, images, n) for shell, images, n in found if images > 1]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        largest = int(np.argmax(self.largest_forces))
        return {
            "n_frames": self.n_frames,
            "n_atoms": self.n_atoms,
            "n_groups": self.n_groups,
            "n_frames_without_group": self.n_frames_without_group,
            "largest_groups": self.largest_groups,
            "hosts": self.hosts,
            "states": self.states,
            "sizes": {str(n): count for n, count in self.sizes.items()},
            "lattices": self.lattices,
            "sources": self.sources,
            "n_frames_with_vacancies": self.n_frames_with_vacancies,
            "n_frames_with_stress": self.n_frames_with_stress,
            "n_dopant_atoms": {str(n): count for n, count in self.n_dopant_atoms.items()},
            "dopants": {x: asdict(counts) for x, counts in self.dopants.items()},
            "pairs": {"-".join(pair): counts.as_dict() for pair, counts in self.pairs.items()},
            "reference_energies_ev": self.reference_energies_ev,
            "references_determined": self.references_determined,
            "energy_mev_per_atom": asdict(self.energy),
            "energy_histogram": _histogram(self.energies_mev_per_atom),
            "force_ev_per_angstrom": {
                "mean_abs_component": self.mean_abs_force_component,
                "rms_component": self.rms_force_component,
                "largest": float(self.largest_forces[largest]),
                "largest_in_frame": largest,
            },
            "force_histogram": {
                "edges_ev_per_angstrom": FORCE_EDGES.tolist(),
                "counts": {state: counts.tolist() for state, counts in self.force_counts.items()},
            },
        }


def describe(frames: Iterable[Frame]) -> Description:
    """Describe a dataset; the frames are read one by one and not kept.

    Parameters
    ----------
    frames
        At least one.

    Notes
    -----
    The composition-linear part of the energy is ``Σ_Z x_Z e_Z`` with the atomic fractions x_Z of a
    frame, and e_Z by least squares over all frames.
    """
    collector = _Collector()
    for frame in frames:
        collector.add(frame)
    return collector.result()


class _Collector:
    """Counts frame by frame, in memory that hardly grows with their number."""

    def __init__(self) -> None:
        self._groups: Counter[str] = Counter()
        self._groups_of: dict[str, set[str]] = {}
        self._n_unnamed = self._n_stress = self._n_vacant = 0
        self._counts: dict[str, Counter[Any]] = {
            name: Counter()
            for name in ("hosts", "states", "sizes", "lattices", "sources", "n_dopant_atoms")
        }
        self._dopants: dict[str, ElementCounts] = {}
        self._pairs: dict[tuple[str, str], PairCounts] = {}
        self._energies: list[float] = []
        self._fractions: list[dict[str, float]] = []
        self._states: list[str] = []
        self._largest_forces: list[float] = []
        self._forces: dict[str, NDArray[np.int64]] = {}
        self._sum_abs = self._sum_squares = 0.0
        self._n_components = 0

    def add(self, frame: Frame) -> None:
        self._groups[frame.group] += 1
        self._n_unnamed += not frame.has_named_group
        self._n_stress += frame.stress is not None
        dopant_atoms = [i for i, x in enumerate(frame.atoms.symbols) if x != frame.host]
        fit = fit_lattice(frame.atoms)
        self._n_vacant += fit is not None and fit.n_vacant > 0
        for name, value in (
            ("hosts", frame.host),
            ("states", frame.state),
            ("sizes", frame.n_atoms),
            ("lattices", UNKNOWN if fit is None else fit.lattice),
            ("sources", frame.source or "not named"),
            ("n_dopant_atoms", len(dopant_atoms)),
        ):
            self._counts[name][value] += 1
        self._add_dopants(frame, dopant_atoms)
        self._add_pairs(frame, dopant_atoms, fit)
        self._add_labels(frame)

    def _add_dopants(self, frame: Frame, dopant_atoms: list[int]) -> None:
        found = Counter(str(frame.atoms.symbols[i]) for i in dopant_atoms)
        for x, n in found.items():
            counts = self._dopants.setdefault(x, ElementCounts())
            counts.frames += 1
            counts.atoms += n
            counts.single += len(dopant_atoms) == 1
            counts.pairs += len(dopant_atoms) == 2
            counts.more += len(dopant_atoms) > 2
            self._groups_of.setdefault(x, set()).add(frame.group)

    def _add_pairs(self, frame: Frame, dopant_atoms: list[int], fit: LatticeFit | None) -> None:
        symbols = [str(symbol) for symbol in frame.atoms.symbols]
        if len(dopant_atoms) == 2:
            i, j = dopant_atoms
            counts = self._pair(symbols[i], symbols[j])
            if fit is None:
                counts.cells[UNKNOWN] += 1
                return
            found = Neighbours(fit).between(i, j, n_shells=N_SHELLS)
            counts.cells[FARTHER if found is None else str(found[0])] += 1
            if found is not None:
                counts.images[f"{found[0]}×{found[1]}"] += 1
        elif len(dopant_atoms) > 2 and fit is not None:
            neighbours = Neighbours(fit)
            for shell in range(1, N_SHELLS + 1):
                for (i, j), n in neighbours.contacts(dopant_atoms, shell).items():
                    self._pair(symbols[i], symbols[j]).contacts[str(shell)] += n

    def _pair(self, x: str, y: str) -> PairCounts:
        return self._pairs.setdefault((min(x, y), max(x, y)), PairCounts())

    def _add_labels(self, frame: Frame) -> None:
        self._energies.append(frame.energy_ev / frame.n_atoms)
        counts = Counter(str(symbol) for symbol in frame.atoms.symbols)
        self._fractions.append({x: n / frame.n_atoms for x, n in counts.items()})
        self._states.append(frame.state)
        lengths = np.linalg.norm(frame.forces, axis=1)
        self._largest_forces.append(float(lengths.max()))
        inside = np.clip(lengths, FORCE_EDGES[0], np.nextafter(FORCE_EDGES[-1], 0))
        classes, _ = np.histogram(inside, FORCE_EDGES)
        self._forces[frame.state] = self._forces.get(frame.state, 0) + classes
        self._sum_abs += float(np.abs(frame.forces).sum())
        self._sum_squares += float((frame.forces**2).sum())
        self._n_components += frame.forces.size

    def result(self) -> Description:
        for x, groups in self._groups_of.items():
            self._dopants[x].groups = len(groups)
        references, determined, residuals = _composition_linear(self._energies, self._fractions)
        counts = {name: dict(sorted(c.items())) for name, c in self._counts.items()}
        sizes = counts["sizes"]
        return Description(
            n_frames=len(self._energies),
            n_atoms=sum(size * n for size, n in sizes.items()),
            n_groups=len(self._groups),
            n_frames_without_group=self._n_unnamed,
            largest_groups=dict(self._groups.most_common(10)),
            n_frames_with_vacancies=self._n_vacant,
            n_frames_with_stress=self._n_stress,
            dopants=dict(sorted(self._dopants.items())),
            pairs=dict(sorted(self._pairs.items())),
            reference_energies_ev=references,
            references_determined=determined,
            energies_mev_per_atom=MEV_PER_EV * residuals,
            frame_states=tuple(self._states),
            largest_forces=np.array(self._largest_forces),
            force_counts={state: self._forces[state] for state in STATES if state in self._forces},
            mean_abs_force_component=self._sum_abs / self._n_components,
            rms_force_component=(self._sum_squares / self._n_components) ** 0.5,
            **counts,
        )


def _composition_linear(
    energies: list[float], fractions: list[dict[str, float]]
) -> tuple[dict[str, float], bool, NDArray[np.float64]]:
    elements = sorted(set().union(*fractions))
    matrix = np.array([[x.get(element, 0.0) for element in elements] for x in fractions])
    wanted = np.array(energies)
    solution, _, rank, _ = np.linalg.lstsq(matrix, wanted, rcond=None)
    references = dict(zip(elements, solution.tolist(), strict=True))
    return references, int(rank) == len(elements), wanted - matrix @ solution


def _distribution(values: NDArray[np.float64]) -> Distribution:
    return Distribution(
        n=len(values),
        mean=float(values.mean()),
        standard_deviation=float(values.std()),
        minimum=float(values.min()),
        maximum=float(values.max()),
    )


def _histogram(values: NDArray[np.float64]) -> dict[str, list[float]]:
    counts, edges = np.histogram(values, bins=40)
    return {"edges_mev_per_atom": edges.tolist(), "counts": counts.tolist()}
