"""Segregation energies: which cells are relaxed, and what their energies say."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from moalloy_md.analysis.segregation import segregation_energy
from moalloy_md.structures.clusters import cut_cluster
from moalloy_md.workflows.relaxation_store import Relaxed
from moalloy_md.workflows.relaxations import Task
from moalloy_md.workflows.segregation.config import SphereSettings
from moalloy_md.workflows.segregation.host import Host
from moalloy_md.workflows.segregation.sites import ChosenSites, Site

PURE = "pure"
#: A dopant in a crystal of its own, the check of the reference in the middle of the host.
BULK = "bulk"


@dataclass(frozen=True)
class SiteEnergy:
    """A dopant at a site.

    Attributes
    ----------
    dopant, site
        Symbol, and label of the site.
    size
        Of the cell or cluster it was computed in, for people: ``9 Å``.
    relaxed_ev, unrelaxed_ev
        Segregation energy with relaxed positions, and with the dopant in the host as it was, eV.
    largest_shift_angstrom
        How far the dopant moved an atom from where it is in the relaxed host, Å.
    wide_shift_angstrom
        How far it moved a quarter of the atoms at least, Å. Some hundredths, unless the host itself
        changed, whose own gain is then in the energy.
    converged
        Whether the relaxations came to an end.
    """

    dopant: str
    site: str
    size: str
    relaxed_ev: float
    unrelaxed_ev: float
    largest_shift_angstrom: float
    wide_shift_angstrom: float
    converged: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Energies:
    """What the relaxations say.

    Attributes
    ----------
    sites
        Of the largest size, by dopant and then by site.
    sizes
        Names of all sizes, smallest first.
    by_size
        All that was computed, for the comparison of sizes.
    middle_minus_bulk_ev
        By dopant: energy of the reference in the middle of the host less that in a crystal of its
        own, eV; empty for clusters, whose reference is the latter.
    alike_ev
        By site: difference between two places that symmetry says are alike, eV.
    """

    sites: tuple[SiteEnergy, ...]
    sizes: tuple[str, ...]
    by_size: tuple[SiteEnergy, ...]
    middle_minus_bulk_ev: dict[str, float] = field(default_factory=dict)
    alike_ev: dict[str, float] = field(default_factory=dict)

    def of(self, dopant: str) -> dict[str, SiteEnergy]:
        """By site, for one dopant."""
        return {one.site: one for one in self.sites if one.dopant == dopant}


class Cells:
    """Whole cells, one dopant in each.

    Parameters
    ----------
    host
        Relaxed.
    chosen
        Its sites.
    dopants
        Symbols.
    sizes_angstrom
        Least distances of a dopant from its images, increasing.
    check_alike
        For how many sites another place is computed.
    """

    def __init__(
        self,
        host: Host,
        chosen: ChosenSites,
        dopants: Sequence[str],
        *,
        sizes_angstrom: Sequence[float],
        check_alike: int,
    ) -> None:
        self._host, self._chosen, self._dopants = host, chosen, tuple(dopants)
        shapes = {host.repeats(width): width for width in reversed(sizes_angstrom)}
        # two widths may be one cell
        self._sizes = {f"{width:g} Å": shape for shape, width in reversed(shapes.items())}
        self._widest = max(sizes_angstrom)
        pairs = [(site, site.another) for site in chosen.sites if site.another is not None]
        self._checked = pairs[:check_alike]

    def tasks(self) -> list[Task]:
        """All cells that are to be relaxed."""
        return list(self._tasks())

    def _tasks(self) -> Iterator[Task]:
        for size, shape in self._sizes.items():
            cell = self._host.atoms.repeat(shape)
            yield Task(_key(size, PURE, PURE), cell)
            for dopant in self._dopants:
                for site in (*self._chosen.sites, self._chosen.crystal):
                    yield Task(
                        _key(size, dopant, site.label), _substituted(cell, site.index, dopant)
                    )
        first = self._dopants[0]
        for site, another in self._checked:
            yield Task(_key(size, first, _again(site)), _substituted(cell, another, first))
        element = str(self._host.atoms.symbols[0])
        repeat = max(4, int(np.ceil(self._widest / self._host.edge_angstrom)))
        crystal = bulk(element, "bcc", a=self._host.edge_angstrom, cubic=True).repeat(repeat)
        yield Task(_key(BULK, PURE, BULK), crystal)
        for dopant in self._dopants:
            yield Task(_key(BULK, dopant, BULK), _substituted(crystal, 0, dopant))

    def read(self, found: Mapping[str, Relaxed]) -> Energies:
        """Turn energies of cells into segregation energies."""
        by_size = [
            _difference(
                dopant, site, size, found, host=(PURE, PURE), bulk=self._chosen.crystal.label
            )
            for size in self._sizes
            for dopant in self._dopants
            for site in self._chosen.sites
        ]
        largest = list(self._sizes)[-1]
        crystal = self._chosen.crystal.label
        host, own = found[_key(largest, PURE, PURE)], found[_key(BULK, PURE, BULK)]
        first = self._dopants[0]
        return Energies(
            sites=tuple(one for one in by_size if one.size == largest),
            sizes=tuple(self._sizes),
            by_size=tuple(by_size),
            middle_minus_bulk_ev={
                dopant: segregation_energy(
                    found[_key(largest, dopant, crystal)].energy_ev,
                    host.energy_ev,
                    found[_key(BULK, dopant, BULK)].energy_ev,
                    own.energy_ev,
                )
                for dopant in self._dopants
            },
            alike_ev={
                site.label: found[_key(largest, first, _again(site))].energy_ev
                - found[_key(largest, first, site.label)].energy_ev
                for site, _ in self._checked
            },
        )


class Clusters:
    """Spheres about the sites of a large host, and one of perfect crystal as the reference.

    Parameters
    ----------
    host, chosen, dopants
        As of `Cells`.
    settings
        Radii.
    reach_angstrom
        How far an atom's force reaches: layers times cutoff, Å.

    Raises
    ------
    ConfigError
        If a sphere does not fit into the host.
    """

    def __init__(
        self,
        host: Host,
        chosen: ChosenSites,
        dopants: Sequence[str],
        *,
        settings: SphereSettings,
        reach_angstrom: float,
    ) -> None:
        self._host, self._chosen, self._dopants = host, chosen, tuple(dopants)
        shell = settings.shell_angstrom or reach_angstrom
        self._radii = {
            f"{free:g} + {width:g} Å": (free, width)
            for free, width in (*settings.converge, (settings.free_radius_angstrom, shell))
        }
        self._n_converge = settings.n_converge

    def _sites_of(self, size: str) -> Sequence[Site]:
        is_last = size == list(self._radii)[-1]
        return self._chosen.sites if is_last else self._chosen.sites[: self._n_converge]

    def tasks(self) -> list[Task]:
        """All clusters that are to be relaxed."""
        return list(self._tasks())

    def _tasks(self) -> Iterator[Task]:
        edge = self._host.edge_angstrom
        element = str(self._host.atoms.symbols[0])
        for size, (free, shell) in self._radii.items():
            repeat = int(np.ceil(2 * (free + shell) / edge)) + 1
            crystal = bulk(element, "bcc", a=edge, cubic=True).repeat(repeat)
            places = [(BULK, crystal, 0)]
            places += [(site.label, self._host.atoms, site.index) for site in self._sites_of(size)]
            for label, atoms, index in places:
                cluster = cut_cluster(
                    atoms, index, free_radius_angstrom=free, shell_angstrom=shell
                ).atoms
                yield Task(_key(size, PURE, label), cluster)
                for dopant in self._dopants:
                    yield Task(_key(size, dopant, label), _substituted(cluster, 0, dopant))

    def read(self, found: Mapping[str, Relaxed]) -> Energies:
        """Turn energies of clusters into segregation energies."""
        by_size = [
            _difference(dopant, site, size, found, host=(PURE, site.label), bulk=BULK)
            for size in self._radii
            for dopant in self._dopants
            for site in self._sites_of(size)
        ]
        largest = list(self._radii)[-1]
        return Energies(
            sites=tuple(one for one in by_size if one.size == largest),
            sizes=tuple(self._radii),
            by_size=tuple(by_size),
        )


def _difference(
    dopant: str,
    site: Site,
    size: str,
    found: Mapping[str, Relaxed],
    *,
    host: tuple[str, str],
    bulk: str,
) -> SiteEnergy:
    """Take the reference off; cells have one host for both sites, clusters one for each."""
    here, there = found[_key(size, dopant, site.label)], found[_key(size, dopant, bulk)]
    own = found[_key(size, *host)]
    other = own if bulk != BULK else found[_key(size, PURE, BULK)]
    shifts = [_shifts(here, own), _shifts(there, other)]
    return SiteEnergy(
        dopant=dopant,
        site=site.label,
        size=size,
        relaxed_ev=segregation_energy(
            here.energy_ev, own.energy_ev, there.energy_ev, other.energy_ev
        ),
        unrelaxed_ev=segregation_energy(
            here.unrelaxed_ev, own.unrelaxed_ev, there.unrelaxed_ev, other.unrelaxed_ev
        ),
        largest_shift_angstrom=float(max(shift.max() for shift in shifts)),
        wide_shift_angstrom=float(max(np.quantile(shift, 0.75) for shift in shifts)),
        converged=all(one.converged for one in (here, there, own, other)),
    )


def _shifts(doped: Relaxed, pure: Relaxed) -> NDArray[np.float64]:
    """Displacements between two relaxed cells of the same sites, Å, less that of most atoms."""
    moved = doped.positions - pure.positions
    moved -= np.median(moved, axis=0)
    return np.asarray(np.linalg.norm(moved, axis=1))


def _substituted(atoms: Atoms, index: int, dopant: str) -> Atoms:
    doped = atoms.copy()
    doped.symbols[index] = dopant
    return doped


def _key(size: str, dopant: str, site: str) -> str:
    return f"{size}/{dopant}/{site}"


def _again(site: Site) -> str:
    """Label of another place that is alike."""
    return f"{site.label} again"
