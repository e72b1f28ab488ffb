"""Radial distribution function of a trajectory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moalloy_md.analysis.ovito_support import load_ovito, of_frames


@dataclass(frozen=True)
class RadialDistribution:
    """Mean radial distribution function of the frames of a trajectory.

    Attributes
    ----------
    distances_angstrom
        Middles of the bins, ``(n_bins,)``, Å.
    values
        g(r), ``(n_bins,)``: number density at that distance from an atom over the mean one.
    n_frames
        Frames of the mean.
    """

    distances_angstrom: NDArray[np.float64]
    values: NDArray[np.float64]
    n_frames: int


def radial_distribution(
    frames: Sequence[Path], *, cutoff_angstrom: float, n_bins: int = 200
) -> RadialDistribution:
    """Mean of g(r) over a trajectory, by OVITO.

    ``g(r) = n(r) / (4 π r² dr ρ)``, with n(r) the mean number of atoms in the shell of thickness dr
    and ρ the number density of the cell. All elements count alike.

    Parameters
    ----------
    frames
        LAMMPS dump files of one or more frames each. The cell may be smaller than the cutoff:
        every image of an atom counts.
    cutoff_angstrom
        Largest distance, Å.
    n_bins
        Bins from zero to the cutoff.

    Raises
    ------
    DataError
        If there are no frames, or a file cannot be read.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    counting = load_ovito().modifiers.CoordinationAnalysisModifier(
        cutoff=cutoff_angstrom, number_of_bins=n_bins
    )
    tables = of_frames(frames, counting, lambda data: data.tables["coordination-rdf"].xy())
    mean = np.mean(tables, axis=0)
    return RadialDistribution(
        distances_angstrom=mean[:, 0], values=mean[:, 1], n_frames=len(tables)
    )


def bcc_shells(lattice_parameter_angstrom: float, *, cutoff_angstrom: float) -> NDArray[np.float64]:
    """Distances of the neighbour shells of perfect bcc within a cutoff, ``(n_shells,)``, Å."""
    n = int(np.ceil(cutoff_angstrom / lattice_parameter_angstrom)) + 1
    whole = np.stack(np.meshgrid(*3 * [np.arange(-n, n + 1)]), axis=-1).reshape(-1, 3)
    sites = np.concatenate([whole, whole + 0.5]) * lattice_parameter_angstrom
    distances = np.unique(np.linalg.norm(sites, axis=1).round(9))
    return distances[(distances > 0) & (distances < cutoff_angstrom)]
