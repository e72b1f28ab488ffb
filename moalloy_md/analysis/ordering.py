"""Order and clusters of dopants along a trajectory whose atoms stay on the sites of a lattice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import bcc_edge, colour_by_element
from moalloy_md.analysis.topics.clusters import Clusters, ClusterSettings
from moalloy_md.analysis.topics.sro import ShortRangeOrder, SroSettings
from moalloy_md.analysis.trajectory import Frame, Trajectory
from moalloy_md.structures.lattice import SITES_PER_CUBE, LatticeName, neighbour_shells

FloatArray = NDArray[np.float64]

#: Parts of a run whose g(r) are compared, for its error.
_RDF_PARTS = 5
_RDF_BIN_ANGSTROM = 0.05


@dataclass(frozen=True)
class PairCorrelation:
    """Radial distribution of one pair of elements.

    Attributes
    ----------
    distances_angstrom
        Middles of the bins, ``(n_bins,)``, Å.
    values, errors
        g(r) and its standard error, ``(n_bins,)``.
    """

    distances_angstrom: FloatArray
    values: FloatArray
    errors: FloatArray


@dataclass(frozen=True)
class Ordering:
    """What the frames of a run say.

    Attributes
    ----------
    steps
        Time steps of the frames, ``(n_frames,)``.
    alpha
        Warren-Cowley parameters by pair of elements (``Mo-W``, in alphabetical order),
        ``(n_frames, n_shells)``.
    clusters
        Columns of `moalloy_md.analysis.topics.clusters.Clusters`, ``(n_frames,)`` each.
    labels
        What these columns are called.
    pair_correlations
        By pair of elements.
    off_site
        Largest part of the atoms that were farther from their sites than half of the distance of
        nearest neighbours: more than a few in a thousand have left them.
    """

    steps: NDArray[np.int64]
    alpha: dict[str, FloatArray]
    clusters: dict[str, FloatArray]
    labels: dict[str, str]
    pair_correlations: dict[str, PairCorrelation]
    off_site: float


def ordering(
    frames: Sequence[Path],
    *,
    lattice: LatticeName,
    n_shells: int,
    rdf_cutoff_angstrom: float,
    finish: Callable[[Frame], None] | None = None,
) -> Ordering:
    """Measure order and clusters in the frames of a run, by OVITO.

    Shells and clusters (neighbours up to the second shell of bcc, the first of fcc) are those of the
    sites: each atom counts as on the site that the atom of its number had in the first frame. So
    thermal motion spills no neighbour from shell to shell, which in hot bcc, whose first shells are
    close, is a tenth of them. The pair correlation
    ``g_ij(r) = n_ij(r) / (4 π r² dr ρ_j)`` is that of the positions as they are, without the first
    fifth of the frames, in which the start may not be forgotten.

    Parameters
    ----------
    frames
        Of one run; the first has its atoms on the sites of a perfect lattice.
    lattice
        Which one.
    n_shells
        Shells of the Warren-Cowley parameters.
    rdf_cutoff_angstrom
        Of the pair correlation, Å.
    finish
        Called with the last frame, its atoms coloured by element, where they really are.

    Raises
    ------
    DataError
        If a frame cannot be read, or has one element only.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    trajectory = Trajectory(frames)
    n = len(trajectory.addresses)
    order = ShortRangeOrder(n_frames=n, settings=SroSettings(lattice=lattice, shells=n_shells))
    clusters = Clusters(n_frames=n, settings=ClusterSettings())
    sites = np.zeros((0, 3))
    correlation = _Correlation(rdf_cutoff_angstrom, n)
    rows, steps, off_site = [], [], 0.0
    for k, frame in enumerate(trajectory.frames()):
        if k == 0:
            sites = _reduced(frame)
        correlation.add(frame, k)
        if finish is not None and k == n - 1:
            colour_by_element(frame)
            finish(frame)
        off_site = max(off_site, _put_on_sites(frame, sites, lattice))
        rows.append((order.see(frame), clusters.see(frame)))
        steps.append(frame.step)
    pairs = dict.fromkeys(name.split("_")[1] for name in order.columns)
    return Ordering(
        steps=np.array(steps, dtype=np.int64),
        alpha={
            pair: np.array(
                [[row[f"alpha_{pair}_{k}"] for k in range(1, n_shells + 1)] for row, _ in rows]
            )
            for pair in pairs
        },
        clusters={name: np.array([row[name] for _, row in rows]) for name in clusters.columns},
        labels={name: column.label for name, column in clusters.columns.items()},
        pair_correlations=correlation.result(),
        off_site=off_site,
    )


def random_alpha(counts: Mapping[str, int]) -> dict[str, float]:
    """Mean α of each pair of elements over all arrangements of so many atoms.

    Zero in an infinite alloy only: of the ``N − 1`` other sites ``N_j`` hold j, or ``N_j − 1`` where j
    is the atom's own element, so ``α_ij = −1/(N − 1)`` and
    ``α_ii = (N − N_i)/(N_i (N − 1))``: 0.12 for eight dopants in a large cell.

    Parameters
    ----------
    counts
        Atoms of each element.
    """
    n = sum(counts.values())
    return {
        f"{a}-{b}": (n - counts[a]) / (counts[a] * (n - 1)) if a == b else -1.0 / (n - 1)
        for a, b in combinations_with_replacement(sorted(counts), 2)
    }


class _Correlation:
    """Sums of g(r) in parts of a run."""

    def __init__(self, cutoff_angstrom: float, n_frames: int) -> None:
        self._n_frames = n_frames
        self._n_parts = min(_RDF_PARTS, n_frames)
        self._modifier = load_ovito().modifiers.CoordinationAnalysisModifier(
            cutoff=cutoff_angstrom,
            number_of_bins=round(cutoff_angstrom / _RDF_BIN_ANGSTROM),
            partial=True,
        )
        self._parts: list[list[FloatArray]] = [[] for _ in range(self._n_parts)]
        self._counts = np.zeros(self._n_parts)
        self._names: list[str] = []
        self._distances = np.zeros(0)

    def add(self, frame: Frame, number: int) -> None:
        data = frame.data.clone()  # whose table is not to stand beside another one's
        data.apply(self._modifier)
        table = data.tables["coordination-rdf"]
        # OVITO names the columns by the names of the types, which are those of the elements
        self._names = ["-".join(sorted(name.split("-"))) for name in table.y.component_names]
        self._distances = np.array(table.xy()[:, 0])
        part = number * self._n_parts // self._n_frames
        found = np.array(table.y).T
        self._parts[part] = [found if not self._parts[part] else self._parts[part][0] + found]
        self._counts[part] += 1

    def result(self) -> dict[str, PairCorrelation]:
        sums = [part[0] / n for part, n in zip(self._parts, self._counts, strict=True) if part]
        means = np.array(sums[1:] or sums)  # (n_parts, n_pairs, n_bins)
        n = len(means)
        errors = means.std(axis=0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros_like(means[0])
        return {
            name: PairCorrelation(self._distances, means[:, k].mean(axis=0), errors[k])
            for k, name in enumerate(self._names)
        }


def _reduced(frame: Frame) -> FloatArray:
    """Positions in units of the cell's vectors, ``(n, 3)``."""
    cell = np.array(frame.data.cell[...])
    shifted = np.array(frame.data.particles.positions) - cell[:, 3]
    reduced: FloatArray = np.linalg.solve(cell[:, :3], shifted.T).T
    return reduced


def _put_on_sites(frame: Frame, sites: FloatArray, lattice: LatticeName) -> float:
    """Move the atoms to their sites; return the part that was far from them."""
    cell = np.array(frame.data.cell[...])
    away = _reduced(frame) - sites
    away -= np.rint(away)
    away -= away.mean(axis=0)
    distances = np.linalg.norm(away @ cell[:, :3].T, axis=1)
    nearest = neighbour_shells(lattice, 1)[0].radius * _edge(frame, lattice)
    frame.data.particles_.positions_[...] = sites @ cell[:, :3].T + cell[:, 3]
    return float((distances > nearest / 2).mean())


def _edge(frame: Frame, lattice: LatticeName) -> float:
    """Edge of the cubic cell of a crystal with the frame's density, Å."""
    ratio = SITES_PER_CUBE[lattice] / SITES_PER_CUBE["bcc"]
    return float(bcc_edge(frame) * ratio ** (1 / 3))
