"""Polycrystals: grains that are the Voronoi cells of points in a periodic box.

Each point of the box belongs to the grain whose seed, or an image of it, is nearest (G. Voronoi, J. Reine
Angew. Math. 134 (1908) 198). Grain by grain the crystal is laid out over the cell's bounding box in the crystal's
own axes, and what is nearer to another seed is left out: work and memory grow with the number of atoms.
"""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError
from moalloy_md.structures.host import HostCrystal, refuse_what_does_not_fit
from moalloy_md.structures.lattice import SITES_PER_CUBE, primitive_vectors

#: Sites of a grain's bounding box that are looked at together.
_CHUNK = 400_000


class PolycrystalConfig(HostCrystal):
    """Grains of the host in a periodic box."""

    size_angstrom: tuple[float, float, float]
    """Edges of the box, Å; one number stands for three equal ones."""
    n_grains: int = Field(default=8, ge=1)
    """How many grains; as many as ``seeds`` where these are given."""
    random_seed: int = Field(default=0, ge=0)
    """Draws what is not given: seeds, orientations, and where each grain's sites lie."""
    seeds: tuple[tuple[float, float, float], ...] | None = None
    """Points that the grains grow about, in fractions of the box; drawn at random unless given."""
    orientations_deg: tuple[tuple[float, float, float], ...] | None = None
    """Orientation of each grain by Bunge's Euler angles φ1, Φ, φ2, degrees; drawn at random, each
    orientation as likely as any other, unless given."""
    overlap: float = Field(default=0.7, ge=0.0, lt=1.0)
    """Where atoms of two grains are closer than this, in nearest-neighbour distances, one of them is
    removed."""

    @field_validator("size_angstrom", mode="before")
    @classmethod
    def _one_for_three(cls, value: Any) -> Any:
        return (value,) * 3 if isinstance(value, int | float) else value

    @field_validator("size_angstrom")
    @classmethod
    def _positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("expected edges of more than 0 Å")
        return value

    @model_validator(mode="before")
    @classmethod
    def _counted(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("seeds") and "n_grains" not in values:
            return {**values, "n_grains": len(values["seeds"])}
        return values

    @model_validator(mode="after")
    def _fits(self) -> "PolycrystalConfig":
        for name in ("seeds", "orientations_deg"):
            given = getattr(self, name)
            if given is not None and len(given) != self.n_grains:
                raise ValueError(
                    f"{name}: expected one for each of {self.n_grains} grains, found {len(given)}"
                )
        if self.seeds is not None:
            _refuse_bad_seeds(np.array(self.seeds))
        return self


@dataclass(frozen=True)
class Polycrystal:
    """A polycrystal.

    Attributes
    ----------
    atoms
        Periodic; ``arrays["grain"]`` numbers the grains from 0 on.
    seeds_angstrom
        Points that the grains grew about, ``(n_grains, 3)``, Å.
    orientations
        Crystal coordinates to those of the box, ``(n_grains, 3, 3)``, ``x = orientation @ x_crystal``.
    volumes_angstrom3
        Of the grains' Voronoi cells, ``(n_grains,)``, Å³.
    n_removed
        Atoms that were too close to one of another grain.
    """

    atoms: Atoms
    seeds_angstrom: NDArray[np.float64]
    orientations: NDArray[np.float64]
    volumes_angstrom3: NDArray[np.float64]
    n_removed: int


def polycrystal(config: PolycrystalConfig) -> Polycrystal:
    """Build a polycrystal; atoms lie on the sites of their grain's crystal.

    Raises
    ------
    ConfigError
        If a grain is too small to hold an atom, or the box does not fit into the memory.
    """
    from scipy.spatial.transform import Rotation

    box = np.array(config.size_angstrom)
    n_atoms = box.prod() / config.edge_angstrom**3 * SITES_PER_CUBE[config.lattice]
    refuse_what_does_not_fit(n_atoms, "size_angstrom")
    rng = np.random.default_rng(config.random_seed)
    fractions = rng.random((config.n_grains, 3)) if config.seeds is None else np.array(config.seeds)
    turned = (
        Rotation.random(config.n_grains, rng=rng)
        if config.orientations_deg is None
        else Rotation.from_euler("ZXZ", np.array(config.orientations_deg), degrees=True)
    )
    orientations = turned.as_matrix()
    seeds = (fractions % 1.0) * box
    corners, volumes = _voronoi_cells(seeds, box)
    grains = _Grains(config, seeds, box)
    parts = [
        grains.fill(number, orientations[number], corners[number], rng.random(3))
        for number in range(config.n_grains)
    ]
    empty = [number for number, part in enumerate(parts) if not len(part)]
    if empty:
        raise ConfigError(
            f"expected grains that hold atoms, grain {empty[0]} has {volumes[empty[0]]:.1f} Å³ and holds "
            f"none ({len(empty)} such grains): use fewer grains, a larger box or other seeds"
        )
    grain = np.repeat(np.arange(config.n_grains, dtype=np.int32), [len(part) for part in parts])
    positions = np.concatenate(parts)
    keep = _far_enough(positions, box, config)
    numbers = np.full(int(keep.sum()), atomic_number(config.host))
    atoms = Atoms(numbers, positions[keep], cell=box, pbc=True)
    atoms.set_array("grain", grain[keep])
    removed = len(positions) - len(atoms)
    atoms.info.update(
        name=f"{config.host}-{config.lattice}-{config.n_grains}grains-{len(atoms)}",
        host=config.host,
        lattice=config.lattice,
        lattice_parameter_angstrom=config.edge_angstrom,
        n_grains=config.n_grains,
        n_removed=removed,
    )
    return Polycrystal(atoms, seeds, orientations, volumes, removed)


def _refuse_bad_seeds(seeds: NDArray[np.float64]) -> None:
    from scipy.spatial.distance import pdist

    if seeds.min() < 0 or seeds.max() > 1:
        raise ValueError("seeds: expected fractions of the box from 0 to 1")
    if len(seeds) > 1 and pdist(seeds).min() < 1e-6:
        raise ValueError("seeds: expected different points, found two at one place")


def _voronoi_cells(
    seeds: NDArray[np.float64], box: NDArray[np.float64]
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Corners of each grain's cell, Å, about its seed where it is; and the volumes, Å³."""
    from scipy.spatial import ConvexHull, Voronoi

    images = np.array(list(product((0, -1, 1), repeat=3))) * box
    found = Voronoi((images[:, None] + seeds[None]).reshape(-1, 3))
    corners = [
        found.vertices[found.regions[found.point_region[number]]] for number in range(len(seeds))
    ]
    return corners, np.array([ConvexHull(one).volume for one in corners])


class _Grains:
    """Lays out grains; knows whose each point of the box is."""

    def __init__(
        self, config: PolycrystalConfig, seeds: NDArray[np.float64], box: NDArray[np.float64]
    ) -> None:
        from scipy.spatial import cKDTree

        self._primitive = primitive_vectors(config.lattice) / 2 * config.edge_angstrom
        self._seeds, self._box = seeds, box
        self._tree = cKDTree(seeds, boxsize=box)

    def fill(
        self,
        number: int,
        orientation: NDArray[np.float64],
        corners: NDArray[np.float64],
        offset: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Positions of a grain's atoms in the box, ``(n, 3)``, Å."""
        vectors = self._primitive @ orientation.T
        seed = self._seeds[number]
        in_lattice = (corners - seed) @ np.linalg.inv(vectors)
        low = np.floor(in_lattice.min(axis=0) - 1).astype(int)
        high = np.ceil(in_lattice.max(axis=0) + 1).astype(int)
        second, third = (np.arange(a, b + 1) for a, b in zip(low[1:], high[1:], strict=True))
        sheet = np.stack(np.meshgrid(second, third, indexing="ij"), -1).reshape(-1, 2)
        flat = (sheet + offset[1:]) @ vectors[1:]
        n_sheets = max(1, _CHUNK // len(flat))
        kept = []
        for first in range(low[0], high[0] + 1, n_sheets):
            along = np.arange(first, min(first + n_sheets, high[0] + 1))
            points = ((along + offset[0])[:, None, None] * vectors[0] + flat[None]).reshape(-1, 3)
            kept.append(self._inside(points, number, corners - seed))
        return np.concatenate(kept)

    def _inside(
        self, points: NDArray[np.float64], number: int, corners: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Points about the origin that belong to a grain, moved to its seed and into the box."""
        reach = ((points >= corners.min(axis=0)) & (points <= corners.max(axis=0))).all(axis=1)
        points = points[reach]
        wrapped = (points + self._seeds[number]) % self._box
        wrapped[wrapped >= self._box] = 0.0  # what rounding has put onto the upper face
        distance, nearest = self._tree.query(wrapped)
        # nearest to this very seed, not to one of its images
        own = np.abs(np.linalg.norm(points, axis=1) - distance) < 1e-6
        return np.asarray(wrapped[(nearest == number) & own])


def _far_enough(
    positions: NDArray[np.float64], box: NDArray[np.float64], config: PolycrystalConfig
) -> NDArray[np.bool_]:
    """Which atoms stay: of two that are too close the later one goes.

    Within a crystal none are; so they are of two grains, or of one that meets its own image.
    """
    from scipy.spatial import cKDTree

    keep = np.ones(len(positions), dtype=bool)
    limit = config.overlap * config.nearest_neighbour_angstrom
    if limit == 0:
        return keep
    pairs = cKDTree(positions, boxsize=box).query_pairs(limit, output_type="ndarray")
    apart = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    apart -= box * np.rint(apart / box)
    # closest pairs first; an atom whose partner is gone already stays
    for one, other in np.sort(pairs[np.argsort(np.linalg.norm(apart, axis=1))], axis=1):
        if keep[one] and keep[other]:
            keep[other] = False
    return keep
