"""Sites where a dopant may sit: which are alike, how much room they have, what is crystal."""

import warnings
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import ArrayLike, NDArray

from moalloy_md.analysis.crystal import PTM_RMSD_CUTOFF
from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.errors import DataError

#: Neighbours are counted out to this, in edges of the cubic cell: halfway between the second and
#: the third shell of bcc (1 and √2), so that the perfect crystal has 14.
COORDINATION_REACH = 1.2

#: A Voronoi cell that is this many times as large as the crystal's reaches into vacuum.
_OPEN_VOLUME = 2.0


@dataclass(frozen=True)
class SiteGeometry:
    """Surroundings of each atom of a host.

    Attributes
    ----------
    coordination
        Neighbours within 1.2 cubic edges, ``(n_atoms,)``; 14 in bcc.
    volume_angstrom3
        Of the Voronoi cell, ``(n_atoms,)``, Å³; nan where it is open to vacuum.
    is_crystal
        Whether polyhedral template matching finds bcc, ``(n_atoms,)``.
    """

    coordination: NDArray[np.int64]
    volume_angstrom3: NDArray[np.float64]
    is_crystal: NDArray[np.bool_]


def site_geometry(
    atoms: Atoms, *, lattice_parameter_angstrom: float, rmsd_cutoff: float = PTM_RMSD_CUTOFF
) -> SiteGeometry:
    """Measure the surroundings of each atom, by OVITO.

    Parameters
    ----------
    atoms
        A relaxed host.
    lattice_parameter_angstrom
        Cubic edge of its crystal, Å.
    rmsd_cutoff
        Of the template matching.

    Raises
    ------
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    ovito = load_ovito()
    from ovito.io.ase import ase_to_ovito

    # without what ASE carries along, which OVITO may not take
    data = ase_to_ovito(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell.array, pbc=atoms.pbc))
    matching = ovito.modifiers.PolyhedralTemplateMatchingModifier(rmsd_cutoff=rmsd_cutoff)
    data.apply(matching)
    data.apply(ovito.modifiers.VoronoiAnalysisModifier())
    volumes = np.array(data.particles["Atomic Volume"], dtype=np.float64)
    volumes[volumes > _OPEN_VOLUME * lattice_parameter_angstrom**3 / 2] = np.nan
    first = neighbour_list("i", atoms, COORDINATION_REACH * lattice_parameter_angstrom)
    bcc = int(ovito.modifiers.PolyhedralTemplateMatchingModifier.Type.BCC)
    return SiteGeometry(
        coordination=np.bincount(first, minlength=len(atoms)),
        volume_angstrom3=volumes,
        is_crystal=np.array(data.particles["Structure Type"]) == bcc,
    )


def alike_sites(atoms: Atoms, *, tolerance_angstrom: float) -> NDArray[np.int64]:
    """Name each atom by the first atom that a symmetry of the cell takes to it, ``(n_atoms,)``.

    Space group operations by spglib (A. Togo, K. Shinohara, I. Tanaka, Sci. Technol. Adv. Mater.,
    Meth. 4 (2024) 2384822).

    Parameters
    ----------
    atoms
        A periodic cell.
    tolerance_angstrom
        How far from its image an atom may be, Å. Where no symmetry is found, each atom is alone.
    """
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how errors will be told one day
        try:
            found = spglib.get_symmetry(cell, symprec=tolerance_angstrom)
        except spglib.SpglibError:
            found = None
    if found is None:
        return np.arange(len(atoms))
    names: NDArray[np.int64] = np.asarray(found["equivalent_atoms"], dtype=np.int64)
    return names


def distance_to_planes(
    heights_angstrom: ArrayLike, planes_angstrom: ArrayLike, *, period_angstrom: float | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance of each atom from the nearest of several parallel planes, Å, and which that is.

    Parameters
    ----------
    heights_angstrom
        Of the atoms along the normal, ``(n_atoms,)``, Å.
    planes_angstrom
        Heights of the planes, ``(n_planes,)``, Å.
    period_angstrom
        Length of the cell along the normal, Å; None where it does not repeat.
    """
    gaps = np.asarray(heights_angstrom)[:, None] - np.asarray(planes_angstrom)[None, :]
    if period_angstrom is not None:
        gaps -= period_angstrom * np.rint(gaps / period_angstrom)
    distances = np.abs(gaps)
    nearest = distances.argmin(axis=1)
    return distances[np.arange(len(gaps)), nearest], nearest


def distance_to_atoms(atoms: Atoms, chosen: ArrayLike) -> NDArray[np.float64]:
    """Distance of each atom from the nearest chosen one, ``(n_atoms,)``, Å; 0 for these.

    Parameters
    ----------
    atoms
        The cell; where it is periodic, so are the distances.
    chosen
        Whether an atom is chosen, ``(n_atoms,)``.

    Raises
    ------
    DataError
        If none is.
    """
    from scipy.spatial import cKDTree

    mask = np.asarray(chosen, dtype=bool)
    if not mask.any():
        raise DataError("expected atoms to measure distances from, found none")
    places = atoms.get_positions(wrap=True)
    shifts = np.stack(np.meshgrid(*[(-1, 0, 1) if p else (0,) for p in atoms.pbc]), -1)
    images = [places[mask] + shift @ atoms.cell.array for shift in shifts.reshape(-1, 3)]
    distances, _ = cKDTree(np.concatenate(images)).query(places)
    return np.asarray(distances, dtype=np.float64)
