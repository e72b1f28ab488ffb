"""Interactions of dopants from energies of cells: binding, three-body part, size of the cell.

All energies are of cells with the same lattice vectors. Negative attracts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def binding_energy(together_ev: float, host_ev: float, alone_ev: Sequence[float]) -> float:
    """Energy of n defects together, over that of the same defects far from one another.

    ``E_b = E(X₁+...+Xₙ) + (n − 1) E(host) − Σᵢ E(Xᵢ)``; for a pair
    ``E(X+Y) + E(host) − E(X) − E(Y)``. A vacancy is a defect like a dopant.

    Parameters
    ----------
    together_ev
        Energy of the cell with all of them, eV.
    host_ev
        Energy of the pure host's cell, eV.
    alone_ev
        Energies of the cells with one of them each, ``(n,)``, eV.
    """
    return together_ev + (len(alone_ev) - 1) * host_ev - float(np.sum(alone_ev))


def many_body_part(binding_ev: float, pairs_ev: Sequence[float]) -> float:
    """Part of a cluster's binding energy that is no sum of pairs, ``E_b − Σ_{i<j} E_b(i, j)``.

    Parameters
    ----------
    binding_ev
        Binding energy of the cluster, eV.
    pairs_ev
        Those of its pairs, each at the distance that it has in the cluster, eV.
    """
    return binding_ev - float(np.sum(pairs_ev))


@dataclass(frozen=True)
class SizeLimit:
    """A binding energy in larger and larger cells.

    Attributes
    ----------
    limit_ev
        Of an infinite cell, eV.
    slope_ev
        What a cell of one site would add, eV.
    residual_ev
        Root mean square of what the line misses, eV; None with two cells, where it misses nothing.
    """

    limit_ev: float
    slope_ev: float
    residual_ev: float | None


def size_limit(n_sites: Sequence[int], binding_ev: Sequence[float]) -> SizeLimit | None:
    """Extrapolate a binding energy to an infinite cell, ``E_b(N) = E_b(∞) + c/N``.

    Two defects in a periodic cell of fixed shape are two elastic dipoles that meet their images, and
    the sum of an interaction that falls off as 1/r³ over a lattice of images goes as one over the
    cell's volume: C. Varvenne, F. Bruneval, M.-C. Marinica, E. Clouet, Phys. Rev. B 88 (2013)
    134102.

    Parameters
    ----------
    n_sites
        Sites of the cells, ``(n,)``.
    binding_ev
        Binding energies in them, ``(n,)``, eV.

    Returns
    -------
    SizeLimit or None
        None with fewer than two different cells.
    """
    if len(set(n_sites)) < 2:
        return None
    inverse = 1.0 / np.asarray(n_sites, dtype=np.float64)
    energies = np.asarray(binding_ev, dtype=np.float64)
    slope, limit = np.polyfit(inverse, energies, 1)
    left = energies - limit - slope * inverse
    residual = float(np.sqrt(np.mean(left**2))) if len(energies) > 2 else None
    return SizeLimit(float(limit), float(slope), residual)


def pair_matrix(elements: Sequence[str], energies: Mapping[tuple[str, str], float]) -> FloatArray:
    """Put energies of pairs into a symmetric matrix: a pair has no order.

    Parameters
    ----------
    elements
        Order of rows and columns.
    energies
        By pair, in either order.

    Returns
    -------
    ndarray
        ``(n, n)``, nan where a pair is not known.
    """
    place = {symbol: k for k, symbol in enumerate(elements)}
    matrix = np.full((len(elements), len(elements)), np.nan)
    for (x, y), energy in energies.items():
        if x in place and y in place:
            matrix[place[x], place[y]] = matrix[place[y], place[x]] = energy
    return matrix
