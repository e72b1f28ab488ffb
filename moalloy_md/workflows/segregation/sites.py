"""Which sites of a host a dopant is tried on, and what surrounds them."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.analysis.sites import (
    SiteGeometry,
    alike_sites,
    distance_to_atoms,
    distance_to_planes,
    site_geometry,
)
from moalloy_md.errors import DataError
from moalloy_md.workflows.segregation.config import Sites
from moalloy_md.workflows.segregation.host import Host

CRYSTAL = "crystal"


@dataclass(frozen=True)
class Site:
    """A site, standing for all that are alike."""

    label: str
    """``1``, ``2``... by distance; ``crystal`` for the reference in the middle."""
    index: int
    """Of the atom in the host."""
    distance_angstrom: float
    """From the boundary."""
    n_alike: int
    """How many are alike at one boundary, in the host as it is given."""
    coordination: int
    """Neighbours within 1.2 cubic edges; 14 in bcc."""
    volume_angstrom3: float | None
    """Of its Voronoi cell; None where that is open to vacuum."""
    pressure_gpa: float | None
    """Minus a third of the trace of its stress over its own volume: positive is compressed."""
    is_crystal: bool
    """Whether its neighbourhood is bcc."""
    another: int | None = None
    """Index of another atom that is alike."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ChosenSites:
    """The sites that are tried.

    Attributes
    ----------
    sites
        By distance.
    crystal
        The reference of cells: farthest from all boundaries. Large hosts have perfect crystal for it,
        and this is the farthest of their checks.
    n_boundary_atoms
        Atoms of the host that count as boundary: not bcc.
    groups
        For each atom of the host the number of its site in `sites`, ``(n_atoms,)``; -1 elsewhere.
    distances_angstrom
        Of each atom of the host, ``(n_atoms,)``.
    boundaries_differ
        Whether another boundary of the host has other sites than the first, whose sites are tried.
    """

    sites: tuple[Site, ...]
    crystal: Site
    n_boundary_atoms: int
    groups: NDArray[np.int64]
    distances_angstrom: NDArray[np.float64]
    boundaries_differ: bool


def choose_sites(
    host: Host,
    settings: Sites,
    *,
    is_large: bool,
    seed: int,
    pressures_gpa: NDArray[np.float64] | None,
    least_middle_angstrom: float,
) -> ChosenSites:
    """Choose the sites of a relaxed host.

    Parameters
    ----------
    host
        The host.
    settings
        What is wanted.
    is_large
        Whether sites are drawn at random instead of found by symmetry.
    seed
        Of the draw.
    pressures_gpa
        Of each atom, ``(n_atoms,)``, if it is known.
    least_middle_angstrom
        The crystal's reference has to be as far from the boundary.

    Raises
    ------
    DataError
        If there is no boundary, or nothing of the host is far enough from it or near enough to it.
    """
    geometry = site_geometry(
        host.atoms,
        lattice_parameter_angstrom=host.edge_angstrom,
        rmsd_cutoff=settings.crystal_rmsd_cutoff,
    )
    distances, nearest = _distances(host, geometry)
    middle = int(distances.argmax())
    if distances[middle] < least_middle_angstrom:
        raise DataError(
            f"{host.name}: expected crystal {least_middle_angstrom:g} Å (the model's cutoff) or more "
            f"from the boundary as the reference, found at most {distances[middle]:.1f} Å: the middle "
            "is not bulk. Make the host thicker"
        )
    if is_large:
        groups = _drawn(geometry, distances, settings, seed)
    else:
        names = alike_sites(host.atoms, tolerance_angstrom=settings.tolerance_angstrom)
        is_reference = names == names[middle]  # zero by definition
        others = np.where(is_reference, np.inf, distances)
        groups = _alike(names, others, nearest, settings)
        if groups.max() < 0:
            raise _no_sites(host, float(others[nearest == 0].min()), settings)
    sites = []
    for number in range(groups.max() + 1):
        members = np.flatnonzero(groups == number)
        own = members[nearest[members] == 0] if host.planes_angstrom else members
        sites.append(
            _site(
                str(number + 1),
                own,
                geometry,
                distances,
                pressures_gpa,
                others=members,
                alone=is_large,
            )
        )
    crystal = _site(
        CRYSTAL, np.array([middle]), geometry, distances, pressures_gpa, others=np.array([middle]),
        alone=True,
    )  # fmt: skip
    each = np.bincount(nearest[groups >= 0], minlength=host.n_boundaries)
    return ChosenSites(
        tuple(sites),
        crystal,
        int((~geometry.is_crystal).sum()),
        groups,
        distances,
        boundaries_differ=bool((each != each[0]).any()),
    )


def centred(host: Host, settings: Sites) -> Host:
    """Return the host with its boundary planes in the middle of the atoms there that are not bcc.

    A relaxed boundary need not lie where its grains were joined. A plane without such atoms within
    `Sites.width_angstrom` stays, and so do surfaces.
    """
    if not host.plane_fractions or not host.repeats_along_normal:
        return host
    geometry = site_geometry(
        host.atoms,
        lattice_parameter_angstrom=host.edge_angstrom,
        rmsd_cutoff=settings.crystal_rmsd_cutoff,
    )
    period = host.height_angstrom
    heights = host.heights_angstrom[~geometry.is_crystal]
    planes = []
    for plane in host.planes_angstrom:
        gaps = heights - plane
        gaps -= period * np.rint(gaps / period)
        near = gaps[np.abs(gaps) <= settings.width_angstrom]
        planes.append((plane + (float(near.mean()) if len(near) else 0.0)) % period)
    return replace(host, plane_fractions=tuple(plane / period for plane in planes))


def _no_sites(host: Host, nearest_angstrom: float, settings: Sites) -> DataError:
    if np.isinf(nearest_angstrom):
        return DataError(
            f"{host.name}: expected sites that differ from those in the middle, found all alike: a crystal "
            "without a boundary"
        )
    return DataError(
        f"{host.name}: expected sites within {settings.max_distance_angstrom:g} Å of the boundary "
        f"(sites.max_distance_angstrom), found the nearest at {nearest_angstrom:.2f} Å. Give a larger "
        "distance"
    )


def _distances(host: Host, geometry: SiteGeometry) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if host.planes_angstrom:
        return distance_to_planes(
            host.heights_angstrom, host.planes_angstrom, period_angstrom=host.period_angstrom
        )
    if geometry.is_crystal.all():
        raise DataError(
            f"{host.name}: expected a boundary, found none: all atoms are bcc (template matching, "
            "crystal_rmsd_cutoff). Give host.planes_angstrom, or another structure"
        )
    distances = distance_to_atoms(host.atoms, ~geometry.is_crystal)
    return distances, np.zeros(len(distances), dtype=np.int64)


def _alike(
    names: NDArray[np.int64],
    distances: NDArray[np.float64],
    nearest: NDArray[np.int64],
    settings: Sites,
) -> NDArray[np.int64]:
    """Give numbers, by distance, to sets of atoms that are alike; one has to be at the first boundary."""
    near = (distances <= settings.max_distance_angstrom) & (nearest == 0)
    wanted = sorted(set(names[near]), key=lambda n: distances[near & (names == n)].min())
    groups = np.full(len(names), -1, dtype=np.int64)
    for number, name in enumerate(wanted):
        groups[names == name] = number
    # a set that symmetry spreads over both sides of the limit is taken whole
    return groups


def _drawn(
    geometry: SiteGeometry, distances: NDArray[np.float64], settings: Sites, seed: int
) -> NDArray[np.int64]:
    """Give numbers to atoms that are drawn: boundary sites, then sites far away."""
    rng = np.random.default_rng(seed)
    boundary = np.flatnonzero(~geometry.is_crystal)
    # the whole order, cut: more sites later contain the first ones
    drawn = rng.permutation(boundary)[: settings.n_random]
    far = np.argsort(-distances, kind="stable")[: settings.n_crystal]
    groups = np.full(len(distances), -1, dtype=np.int64)
    for number, index in enumerate([*drawn, *far]):
        groups[index] = number
    return groups


def _site(
    label: str,
    own: NDArray[np.int64],
    geometry: SiteGeometry,
    distances: NDArray[np.float64],
    pressures_gpa: NDArray[np.float64] | None,
    *,
    others: NDArray[np.int64],
    alone: bool,
) -> Site:
    index = int(own[0])
    volume = float(geometry.volume_angstrom3[index])
    # the other one as far away as can be in the order of the atoms: at the other boundary mostly
    another = None if alone or len(others) < 2 else int(others[others != index][-1])
    return Site(
        label=label,
        index=index,
        distance_angstrom=float(distances[index]),
        n_alike=len(own),
        coordination=int(geometry.coordination[index]),
        volume_angstrom3=None if np.isnan(volume) else volume,
        pressure_gpa=None if pressures_gpa is None else float(pressures_gpa[index]),
        is_crystal=bool(geometry.is_crystal[index]),
        another=another,
    )
