"""Crystal structure along a trajectory: how much of it is bcc, and how large the cell is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moalloy_md.analysis.ovito_support import load_ovito, of_frames
from moalloy_md.analysis.statistics import Estimate, estimate_mean
from moalloy_md.errors import DataError

#: Largest deviation from the ideal neighbourhood, relative to the neighbour distance, at which an
#: atom still counts as crystalline; the value that OVITO suggests.
PTM_RMSD_CUTOFF = 0.1
#: The same of a crystal that is hot: near melting, the other would count its vibrating atoms as disordered.
HOT_PTM_RMSD_CUTOFF = 0.15
#: Neighbourhoods that are told apart.
STRUCTURES = ("bcc", "fcc", "hcp", "other")


@dataclass(frozen=True)
class CrystalSeries:
    """Crystal structure along a trajectory.

    Attributes
    ----------
    steps
        Time steps of the frames, ``(n_frames,)``.
    bcc, fcc, hcp
        Fractions of the atoms with that neighbourhood, ``(n_frames,)``, 0 to 1. What is missing
        to one has no crystalline neighbourhood.
    """

    steps: NDArray[np.int64]
    bcc: NDArray[np.float64]
    fcc: NDArray[np.float64]
    hcp: NDArray[np.float64]


def bcc_lattice_parameter(
    volumes: ArrayLike, *, n_atoms: int, discard: int | None = None
) -> Estimate:
    """Lattice parameter of a bcc supercell from its fluctuating volume.

    ``a = (2 <V> / N)^(1/3)``, because the cubic bcc cell holds two atoms; the error follows from
    that of the mean volume, ``δa = (a / 3) δV / V``.

    Parameters
    ----------
    volumes
        Volumes of the supercell, ``(n,)``, Å³, equally spaced in time.
    n_atoms
        Atoms in the supercell, on as many bcc sites (no vacancies, no interstitials).
    discard
        As in `moalloy_md.analysis.statistics.estimate_mean`.

    Returns
    -------
    Estimate
        In Å.

    Raises
    ------
    DataError
        As `estimate_mean` does, and if there are no atoms or a volume is not positive.
    """
    if n_atoms < 1:
        raise DataError(f"expected at least one atom, found {n_atoms}")
    if np.any(np.asarray(volumes) <= 0):
        raise DataError(f"expected positive volumes, found {np.min(volumes):g} Å³")
    volume = estimate_mean(volumes, name="the volume", discard=discard)
    lattice_parameter = (2.0 * volume.value / n_atoms) ** (1.0 / 3.0)
    return replace(
        volume,
        value=lattice_parameter,
        error=lattice_parameter / 3.0 * volume.error / volume.value,
    )


def crystal_series(
    frames: Sequence[Path], *, rmsd_cutoff: float = PTM_RMSD_CUTOFF
) -> CrystalSeries:
    """Tell crystal structures along a trajectory by OVITO's polyhedral template matching.

    P. M. Larsen, S. Schmidt, J. Schiøtz, Modelling Simul. Mater. Sci. Eng. 24 (2016) 055007. It
    stands thermal motion better than common-neighbour analysis does.

    Parameters
    ----------
    frames
        LAMMPS dump files (``id type element x y z``) of one or more frames each, in the order of
        time.
    rmsd_cutoff
        Largest deviation at which an atom counts as crystalline; 0.15 is usual near melting.

    Raises
    ------
    DataError
        If there are no frames, or a file cannot be read.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    matching = load_ovito().modifiers.PolyhedralTemplateMatchingModifier(rmsd_cutoff=rmsd_cutoff)
    found = of_frames(
        frames, matching, lambda data: (data.attributes["Timestep"], structure_fractions(data))
    )
    return CrystalSeries(
        np.array([step for step, _ in found], dtype=np.int64),
        *(np.array([of[name] for _, of in found]) for name in ("bcc", "fcc", "hcp")),
    )


def structure_fractions(data: Any) -> dict[str, float]:
    """Fractions of the atoms, 0 to 1, by the names of `STRUCTURES`.

    Parameters
    ----------
    data
        OVITO's DataCollection after polyhedral template matching.
    """
    return {
        name: data.attributes[f"PolyhedralTemplateMatching.counts.{name.upper()}"]
        / data.particles.count
        for name in STRUCTURES
    }
