"""Find the lattice behind a cell: which atom sits on which site, and who is whose neighbour.

A cell of a data set says nothing of its lattice: it may be strained, sheared, rotated, displaced
by heat, and have atoms missing. What it does say is its three periods. With primitive vectors P
(rows) of the crystal the cell is ``H = M P``, where M holds whole numbers: once M is known,
``P = M⁻¹ H`` carries any strain and rotation, and neighbour shells are a matter of whole numbers
again, exact however small the cell.
"""

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from moalloy_md.structures.lattice import (
    LATTICES,
    SITES_PER_CUBE,
    LatticeName,
    neighbour_shells,
    primitive_vectors,
)

#: An average neighbour vector is formed of those that lie within this part of the distance of
#: nearest neighbours around it: less than half of what separates two of them.
_CLUSTER_RADIUS = 0.45

#: Largest root mean square displacement from the sites, over the distance of nearest neighbours,
#: that is taken for a crystal. Lindemann: a crystal melts at about 0.1 to 0.15.
_MAX_DISPLACEMENT = 0.2

#: Largest strain (in the metric, relative) by which the crystal may differ from bcc or fcc. The
#: Bain path from one to the other is longer than this from either end.
_MAX_MISFIT = 0.25

#: Part of the sites that may be vacant.
_MAX_VACANT = 0.1


@dataclass(frozen=True)
class Sites:
    """The sites of a bcc or fcc crystal in a periodic cell, and which atom is on which.

    Attributes
    ----------
    lattice
        ``bcc`` or ``fcc``.
    coordinates
        ``(n_atoms, 3)``: each atom's site, in halves of the cubic edge along axes of the cubic
        cell, whole numbers.
    period
        ``(3, 3)``: rows are the periods of the cell in the same units.
    n_sites
        Sites of the cell; more than atoms where there are vacancies.
    rms_displacement
        Of the atoms from their sites, Å.
    """

    lattice: LatticeName
    coordinates: NDArray[np.int64]
    period: NDArray[np.int64]
    n_sites: int
    rms_displacement: float

    @property
    def n_vacancies(self) -> int:
        """Sites without an atom."""
        return self.n_sites - len(self.coordinates)

    def keys(self, coordinates: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number a site, the same for all its periodic images: ``(n, 3)`` to ``(n,)``."""
        adjugate, determinant = _adjugate(self.period)
        places = (coordinates @ adjugate) % determinant
        keys: NDArray[np.int64] = (places[:, 0] * determinant + places[:, 1]) * determinant
        return keys + places[:, 2]

    def neighbours(self, atom: int, shell: int) -> NDArray[np.int64]:
        """Atoms in neighbour shell `shell` of `atom`, one entry for each periodic image.

        In a small cell an atom may occur several times, and `atom` among its own neighbours. A
        vacant site is left out.
        """
        vectors = neighbour_shells(self.lattice, shell)[shell - 1].vectors
        keys = self.keys(self.coordinates[atom] + vectors)
        by_key = {int(key): i for i, key in enumerate(self.keys(self.coordinates))}
        found = [by_key[int(key)] for key in keys if int(key) in by_key]
        return np.array(found, dtype=np.int64)


class SiteFinder:
    """Finds sites; remembers the lattice of each cell that it met.

    The cells of one relaxation or trajectory have the same periods, and so the same M.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[LatticeName, NDArray[np.int64]]] = {}

    def find(self, atoms: Atoms) -> Sites | None:
        """Find the sites of a cell.

        Parameters
        ----------
        atoms
            Periodic in three directions.

        Returns
        -------
        Sites or None
            None where no bcc or fcc crystal is found: a surface, a melt, another lattice.
        """
        if not atoms.pbc.all() or atoms.cell.volume < 1e-6:
            return None
        key = (len(atoms), *np.round(atoms.cell.array, 4).ravel().tolist())
        if key in self._known:
            lattice, cubic_period = self._known[key]
            return _occupy(atoms, lattice, cubic_period)
        for lattice, cubic_period in _candidates(atoms):
            sites = _occupy(atoms, lattice, cubic_period)
            if sites is not None:
                self._known[key] = (lattice, cubic_period)
                return sites
        return None


def _candidates(atoms: Atoms) -> list[tuple[LatticeName, NDArray[np.int64]]]:
    """Periods of the cell in halves of a cubic edge, for each lattice that it could have."""
    found = []
    for lattice in LATTICES:
        period = _aligned_period(atoms, lattice)
        if period is not None:
            found.append((_misfit(atoms, lattice, period), lattice, period))
    if not found:
        found = _candidates_of_any_orientation(atoms)
    found.sort(key=lambda candidate: candidate[0])
    return [(lattice, period) for misfit, lattice, period in found if misfit < _MAX_MISFIT]


def _aligned_period(atoms: Atoms, lattice: LatticeName) -> NDArray[np.int64] | None:
    """Periods of a cell whose axes are along those of the cubic cell; None if they are not."""
    edge = (atoms.cell.volume * SITES_PER_CUBE[lattice] / len(atoms)) ** (1 / 3)
    period = np.rint(atoms.cell.array * (2 / edge)).astype(np.int64)
    return period if _is_lattice_period(period, lattice, len(atoms)) else None


def _is_lattice_period(period: NDArray[np.int64], lattice: LatticeName, n_atoms: int) -> bool:
    n_sites = abs(_determinant(period)) * SITES_PER_CUBE[lattice] / 8
    if lattice == "bcc":
        points = (period % 2 == period[:, :1] % 2).all()
    else:
        points = (period.sum(axis=1) % 2 == 0).all()
    return bool(points) and n_atoms <= n_sites <= n_atoms / (1 - _MAX_VACANT)


def _candidates_of_any_orientation(
    atoms: Atoms,
) -> list[tuple[float, LatticeName, NDArray[np.int64]]]:
    """Primitive vectors from averages of neighbour vectors; then M, and the nearest cubic lattice."""
    found: list[tuple[float, LatticeName, NDArray[np.int64]]] = []
    for lattice in LATTICES:
        shell = neighbour_shells(lattice, 1)[0]
        edge = (atoms.cell.volume * SITES_PER_CUBE[lattice] / len(atoms)) ** (1 / 3)
        averages = _average_neighbour_vectors(atoms, shell.radius * edge)
        for multiples in _supercells(atoms, averages):
            primitive = np.linalg.solve(multiples.astype(float), atoms.cell.array)
            reduced, change = minkowski_reduce(primitive)  # reduced = change @ primitive
            to_cubic = _nearest_cubic_basis(reduced, lattice, edge)
            period = multiples @ np.rint(np.linalg.inv(change)).astype(np.int64) @ to_cubic
            if _is_lattice_period(period, lattice, len(atoms)):
                found.append((_misfit(atoms, lattice, period), lattice, period))
                break
    return found


def _average_neighbour_vectors(atoms: Atoms, distance: float) -> NDArray[np.float64]:
    """Average vectors to the nearest neighbours, over all atoms: heat cancels, strain stays."""
    vectors = neighbor_list("D", atoms, 1.3 * distance)
    radius = _CLUSTER_RADIUS * distance
    averages: list[NDArray[np.float64]] = []
    while len(vectors):
        centre = vectors[np.argmin(np.abs(np.linalg.norm(vectors, axis=1) - distance))]
        for _ in range(4):
            near = np.linalg.norm(vectors - centre, axis=1) < radius
            if not near.any():
                break
            centre = vectors[near].mean(axis=0)
        if near.sum() >= 0.5 * len(atoms):  # a direction in which most atoms have a neighbour
            averages.append(centre)
        vectors = vectors[np.linalg.norm(vectors - centre, axis=1) >= radius]
        if not near.any():
            break
    return np.array(averages).reshape(-1, 3)


def _supercells(atoms: Atoms, averages: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Whole-number matrices M of ``H = M P`` for triples P of neighbour vectors, the fewest sites.

    Only triples that give the number of atoms as number of sites, or a little more, are kept.
    """
    n_atoms = len(atoms)
    volume = atoms.cell.volume / n_atoms
    found: dict[int, NDArray[np.int64]] = {}
    for i, j, k in product(range(len(averages)), repeat=3):
        if not i < j < k:
            continue
        primitive = averages[[i, j, k]]
        if not 0.7 * volume < abs(np.linalg.det(primitive)) < 1.3 * volume:
            continue
        multiples = np.rint(atoms.cell.array @ np.linalg.inv(primitive)).astype(np.int64)
        n_sites = abs(_determinant(multiples))
        if n_atoms <= n_sites <= n_atoms / (1 - _MAX_VACANT):
            found.setdefault(n_sites, multiples)
    return [found[n] for n in sorted(found)]


def _nearest_cubic_basis(
    primitive: NDArray[np.float64], lattice: LatticeName, edge: float
) -> NDArray[np.int64]:
    """Cubic lattice vectors (halves of the edge) that are nearest in shape to `primitive`.

    Bases that are both Minkowski-reduced differ by whole numbers from -1 to 1.
    """
    reduced, _ = minkowski_reduce(primitive_vectors(lattice).astype(float))
    bases = _small_unimodular() @ np.rint(reduced).astype(np.int64)
    wanted = primitive @ primitive.T / (edge / 2) ** 2
    misfits = ((bases @ bases.transpose(0, 2, 1) - wanted) ** 2).sum(axis=(1, 2))
    nearest: NDArray[np.int64] = bases[np.argmin(misfits)]
    return nearest


@cache
def _small_unimodular() -> NDArray[np.int64]:
    """All 3×3 matrices of -1, 0 and 1 with determinant 1 or -1."""
    matrices = np.array(list(product((-1, 0, 1), repeat=9)), dtype=np.int64).reshape(-1, 3, 3)
    determinants = np.rint(np.linalg.det(matrices)).astype(int)
    chosen: NDArray[np.int64] = matrices[np.abs(determinants) == 1]
    return chosen


def _misfit(atoms: Atoms, lattice: LatticeName, period: NDArray[np.int64]) -> float:
    """How far the crystal is from cubic: relative difference of the metrics, rotation left out."""
    n_sites = abs(_determinant(period)) * SITES_PER_CUBE[lattice] / 8
    half = (atoms.cell.volume * SITES_PER_CUBE[lattice] / n_sites) ** (1 / 3) / 2
    deformation = np.linalg.solve(period.astype(float), atoms.cell.array) / half
    return float(np.linalg.norm(deformation @ deformation.T - np.eye(3)))


def _occupy(atoms: Atoms, lattice: LatticeName, cubic_period: NDArray[np.int64]) -> Sites | None:
    """Put each atom on the nearest site; None if two share one, or they are far from them."""
    primitive = primitive_vectors(lattice)
    multiples = np.rint(cubic_period @ np.linalg.inv(primitive)).astype(np.int64)
    to_primitive = np.linalg.inv(atoms.cell.array) @ multiples
    places = atoms.positions @ to_primitive
    # Where the lattice begins: the mean phase, which does not mind periodic boundaries.
    origin = np.angle(np.exp(2j * np.pi * places).mean(axis=0)) / (2 * np.pi)
    numbers = np.rint(places - origin).astype(np.int64)
    displacements = (places - origin - numbers) @ np.linalg.inv(to_primitive)
    rms = float(np.sqrt((displacements**2).sum(axis=1).mean()))
    n_sites = abs(_determinant(multiples))
    sites = Sites(lattice, numbers @ primitive, cubic_period, n_sites, rms)
    spacing = (atoms.cell.volume * SITES_PER_CUBE[lattice] / n_sites) ** (1 / 3)
    limit = _MAX_DISPLACEMENT * spacing * neighbour_shells(lattice, 1)[0].radius
    if rms > limit or len(np.unique(sites.keys(sites.coordinates))) < len(atoms):
        return None
    return sites


def _determinant(matrix: NDArray[np.int64]) -> int:
    return round(float(np.linalg.det(matrix)))


def _adjugate(matrix: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Adjugate and |determinant|, in whole numbers: ``matrix @ adjugate = ± determinant``."""
    determinant = _determinant(matrix)
    adjugate = np.rint(np.linalg.inv(matrix) * determinant).astype(np.int64)
    return adjugate, abs(determinant)
