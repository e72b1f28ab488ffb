"""Grain boundaries: cells with two grains of a crystal, the boundary's normal along z.

The periodic cell holds two boundaries. Each grain is a stack of lattice planes, and so turns into itself by
inversion; the cell's third vector is tilted such that the two of them together do. So the two boundaries
are one and the same, turned round, for every shift of the grains against each other: the energy of the cell
is twice that of one boundary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from ase import Atoms
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from moalloy_md.errors import ConfigError
from moalloy_md.structures.coincidence import Coincidence, coincidence
from moalloy_md.structures.host import HostCrystal
from moalloy_md.structures.lattice import cubic_rotations
from moalloy_md.structures.planes import Miller, points_in, stacked, wide_enough

#: Boundaries that have names: axis, Σ and plane.
BOUNDARIES: Mapping[str, tuple[Miller, int, Miller]] = MappingProxyType(
    {
        "sigma3-112": ((1, 1, 0), 3, (1, -1, 2)),
        "sigma3-111": ((1, 1, 0), 3, (1, -1, 1)),
        "sigma3-110-twist": ((1, 1, 0), 3, (1, 1, 0)),
        "sigma5-210": ((0, 0, 1), 5, (2, 1, 0)),
        "sigma5-310": ((0, 0, 1), 5, (3, 1, 0)),
        "sigma5-100-twist": ((0, 0, 1), 5, (0, 0, 1)),
        "sigma9-221": ((1, 1, 0), 9, (2, -2, 1)),
        "sigma9-114": ((1, 1, 0), 9, (1, -1, 4)),
        "sigma11-113": ((1, 1, 0), 11, (1, -1, 3)),
        "sigma11-332": ((1, 1, 0), 11, (3, -3, 2)),
    }
)

LOWER, UPPER = 0, 1


class BoundaryCell(HostCrystal):
    """A coincidence-site boundary and the size of its cell."""

    boundary: str | None = None
    """A name instead of axis, sigma and plane: sigma3-112, sigma3-111, sigma3-110-twist, sigma5-210,
    sigma5-310, sigma5-100-twist, sigma9-221, sigma9-114, sigma11-113, sigma11-332."""
    axis: Miller = (0, 0, 1)
    """Axis of the rotation between the grains."""
    sigma: int = Field(default=5, ge=3)
    """Σ of the rotation."""
    plane: Miller = (3, 1, 0)
    """Boundary plane in the lower grain's axes."""
    angle_deg: float | None = Field(default=None, gt=0.0, le=180.0)
    """Angle of the rotation, degrees, where several have this Σ; the one with the smallest cell, which
    is the symmetric boundary of planes that have one, unless said."""
    min_thickness_angstrom: float = Field(default=16.0, gt=0.0)
    """Smallest thickness of each grain, Å."""
    min_width_angstrom: float = Field(default=8.0, gt=0.0)
    """Smallest width of the cell in either direction of the boundary plane, Å."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("boundary") is None:
            return values
        name = values["boundary"]
        if name not in BOUNDARIES:
            raise ValueError(f"expected one of {', '.join(BOUNDARIES)}, found {name!r} as boundary")
        given = dict(zip(("axis", "sigma", "plane"), BOUNDARIES[name], strict=True))
        other = [
            key
            for key, value in given.items()
            if key in values and values[key] not in (value, _listed(value))
        ]
        if other:
            raise ValueError(f"expected either boundary: {name} or {', '.join(other)}, found both")
        return {**values, **given}

    @field_validator("axis", "plane")
    @classmethod
    def _not_zero(cls, value: Miller) -> Miller:
        if not any(value):
            raise ValueError("expected Miller indices that are not all zero")
        return value

    @field_validator("sigma")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"expected an odd Σ (in cubic crystals all are), found {value}")
        return value


class GrainBoundaryConfig(BoundaryCell):
    """A coincidence-site boundary, and how its two grains are put together."""

    cell: Literal["periodic", "vacuum"] = "periodic"
    """``periodic`` holds two equal boundaries, ``vacuum`` one and two surfaces."""
    vacuum_angstrom: float = Field(default=16.0, ge=1.0)
    """Between the surfaces, Å, where the cell is ``vacuum``."""
    shift_angstrom: tuple[float, float] = (0.0, 0.0)
    """Displacement of the upper grain in the boundary plane along the cell's x and y, Å, from where
    the grains have a coincidence site in the boundary."""
    expansion_angstrom: float = Field(default=0.0, ge=-2.0, le=5.0)
    """How much farther apart the grains are than their lattice planes, Å, at each boundary."""
    overlap: float = Field(default=0.65, ge=0.0, lt=1.0)
    """Atoms of the upper grain that are closer than this to one of the lower, in nearest-neighbour
    distances of the crystal, are removed."""


@dataclass(frozen=True)
class GrainBoundary:
    """A cell with grain boundaries.

    Attributes
    ----------
    atoms
        The cell; ``arrays["grain"]`` is 0 in the lower grain and 1 in the upper one. ``info`` holds what
        stands here, plain.
    coincidence
        The grains' lattices and what they have in common.
    misorientation_deg
        Smallest angle by which one grain can be turned into the other, degrees.
    area_angstrom2
        Of one boundary in the cell, Å².
    n_boundaries
        2 in a periodic cell, 1 with vacuum.
    boundary_z_angstrom
        Heights of the boundary planes, ``(n_boundaries,)``, Å. The upper grain is above the first.
    n_removed
        Atoms that were removed because they were too close.
    """

    atoms: Atoms
    coincidence: Coincidence
    misorientation_deg: float
    area_angstrom2: float
    n_boundaries: int
    boundary_z_angstrom: NDArray[np.float64]
    n_removed: int

    def distances(self) -> NDArray[np.float64]:
        """Distance of each atom from the nearest boundary plane, ``(n_atoms,)``, Å."""
        return boundary_distances(self.atoms)

    def near(self, distance_angstrom: float) -> NDArray[np.bool_]:
        """Which atoms lie within a distance of a boundary, ``(n_atoms,)``."""
        return self.distances() <= distance_angstrom


def boundary_distances(atoms: Atoms) -> NDArray[np.float64]:
    """Distance of each atom from the nearest boundary plane, ``(n_atoms,)``, Å.

    Parameters
    ----------
    atoms
        As of `distances_to_each_boundary`.
    """
    return np.asarray(distances_to_each_boundary(atoms).min(axis=0))


def distances_to_each_boundary(atoms: Atoms) -> NDArray[np.float64]:
    """Distance of each atom from each boundary plane, ``(n_boundaries, n_atoms)``, Å.

    Parameters
    ----------
    atoms
        As `grain_boundary` made it, also relaxed or read from a file: ``info["boundary_z"]`` says
        where the boundaries are.
    """
    height = float(atoms.cell[2, 2])
    apart = atoms.positions[:, 2] - np.atleast_1d(atoms.info["boundary_z"])[:, None]
    if atoms.info.get("n_boundaries", 2) == 2:
        apart -= height * np.rint(apart / height)
    return np.asarray(np.abs(apart))


def move_upper_grain(atoms: Atoms, displacement_angstrom: NDArray[np.float64]) -> Atoms:
    """Displace one grain against the other; both boundaries of the cell stay equal.

    Parameters
    ----------
    atoms
        A periodic cell as `grain_boundary` made it, also relaxed: ``arrays["grain"]`` and
        ``info["boundary_z"]`` are needed.
    displacement_angstrom
        Of the upper grain, ``(3,)``, Å; upwards opens both boundaries by as much.
    """
    moved = atoms.copy()
    above = moved.arrays["grain"] == UPPER
    lower_plane = min(moved.info["boundary_z"])
    # the upper grain reaches through the top of the cell: its atoms from below come first
    wrapped = above & (moved.positions[:, 2] < lower_plane + moved.cell[2, 2] / 4)
    moved.positions[wrapped] += moved.cell[2]
    moved.positions[above] += displacement_angstrom
    cell = moved.cell.array.copy()
    cell[2] += 2 * displacement_angstrom
    flat = cell[:2, :2]
    cell[2, :2] -= np.rint(cell[2, :2] @ np.linalg.inv(flat)) @ flat
    moved.set_cell(cell)
    moved.wrap(eps=1e-9)
    apart = float(displacement_angstrom[2]) / 2
    first, second = moved.info["boundary_z"]
    moved.info["boundary_z"] = [first + apart, second - apart]
    return moved


def grain_boundary(config: GrainBoundaryConfig) -> GrainBoundary:
    """Build the cell of a boundary: atoms on the sites of the two crystals, not relaxed.

    Parameters
    ----------
    config
        Which boundary, and how large.

    Raises
    ------
    ConfigError
        If the axis has no rotation of this Σ, the common cell of the plane is too large to be found, or
        the grains are thinner than their boundaries are wide.
    """
    common = coincidence(
        lattice=config.lattice,
        axis=config.axis,
        sigma=config.sigma,
        plane=config.plane,
        angle_deg=config.angle_deg,
    )
    return build_boundary(common, config)


def build_boundary(common: Coincidence, config: GrainBoundaryConfig) -> GrainBoundary:
    """Do what `grain_boundary` does for a coincidence that is known already."""
    edge = config.edge_angstrom
    plane_cell = wide_enough(common.plane_cell * edge, config.min_width_angstrom)
    stacks = [_stack(common, grain, plane_cell, config) for grain in (LOWER, UPPER)]
    steps = [common.step(grain) * edge for grain in (LOWER, UPPER)]
    heights = [(n - 1) * step[2] for (_, n), step in zip(stacks, steps, strict=True)]
    gap = (steps[LOWER][2] + steps[UPPER][2]) / 2 + config.expansion_angstrom
    if gap <= 0:
        raise ConfigError(
            f"expansion_angstrom: expected grains that do not overlap, from {config.expansion_angstrom - gap:.2f} Å "
            f"on, found {config.expansion_angstrom:g}"
        )
    shift = steps[UPPER][:2] + np.array(config.shift_angstrom)  # of the planes at the boundary
    top = (stacks[LOWER][1] - 1) * steps[LOWER]
    upper = stacks[UPPER][0] + np.array([*(top[:2] + shift), heights[LOWER] + gap])
    periodic = config.cell == "periodic"
    total = sum(heights) + gap + (gap if periodic else config.vacuum_angstrom)
    tilt = np.zeros(2)
    if periodic:  # the same shift at the second boundary, seen from its other side
        tilt = 2 * shift + top[:2] + (stacks[UPPER][1] - 1) * steps[UPPER][:2]
        tilt -= np.rint(tilt @ np.linalg.inv(plane_cell)) @ plane_cell
    cell = np.zeros((3, 3))
    cell[:2, :2], cell[2] = plane_cell, (*tilt, total)
    # the lower grain, or what is not vacuum, lies in the middle of the cell
    lift = total / 4 + gap / 2 if periodic else config.vacuum_angstrom / 2
    first = lift + heights[LOWER] + gap / 2
    planes = np.array([first, lift - gap / 2]) if periodic else np.array([first])
    positions = np.vstack([stacks[LOWER][0], upper]) + np.array([0.0, 0.0, lift])
    atoms = Atoms(f"{config.host}{len(positions)}", positions, cell=cell, pbc=True)
    atoms.set_array("grain", np.repeat([LOWER, UPPER], [len(stacks[LOWER][0]), len(upper)]))
    atoms.wrap(eps=1e-9)
    close = _too_close(atoms, config)
    del atoms[close]
    return _described(atoms, common, config, planes, n_removed=len(close))


def _stack(
    common: Coincidence, grain: int, plane_cell: NDArray[np.float64], config: GrainBoundaryConfig
) -> tuple[NDArray[np.float64], int]:
    """Positions of a grain from its lowest plane up, Å, and its number of lattice planes."""
    edge = config.edge_angstrom
    step = common.step(grain) * edge
    n_planes = max(2, int(np.ceil(config.min_thickness_angstrom / step[2] - 1e-9)))
    points = points_in(plane_cell, common.in_plane(grain) * edge)
    return stacked(points, step, n_planes), n_planes


def _too_close(atoms: Atoms, config: GrainBoundaryConfig) -> list[int]:
    """Atoms of the upper grain that sit on, or nearly on, one of the lower."""
    limit = config.overlap * config.nearest_neighbour_angstrom
    if limit == 0:
        return []
    one, other = neighbour_list("ij", atoms, limit)
    grain = atoms.arrays["grain"]
    return sorted({int(i) for i in one[(grain[one] == UPPER) & (grain[other] == LOWER)]})


def _described(
    atoms: Atoms,
    common: Coincidence,
    config: GrainBoundaryConfig,
    planes: NDArray[np.float64],
    *,
    n_removed: int,
) -> GrainBoundary:
    area = float(np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1])))
    misorientation = _misorientation(common)
    name = config.boundary or (
        f"sigma{common.sigma}-{''.join(map(str, map(abs, common.lower.plane)))}-{common.kind}"
    )
    atoms.info.update(
        name=f"{config.host}-{name}-{len(atoms)}",
        host=config.host,
        lattice=config.lattice,
        lattice_parameter_angstrom=config.edge_angstrom,
        sigma=common.sigma,
        axis=list(common.axis),
        plane=list(common.lower.plane),
        upper_plane=list(common.upper.plane),
        kind=common.kind,
        misorientation_deg=misorientation,
        area_angstrom2=area,
        n_boundaries=len(planes),
        boundary_z=planes.tolist(),
        n_removed=n_removed,
    )
    return GrainBoundary(
        atoms=atoms,
        coincidence=common,
        misorientation_deg=misorientation,
        area_angstrom2=area,
        n_boundaries=len(planes),
        boundary_z_angstrom=planes,
        n_removed=n_removed,
    )


def _misorientation(common: Coincidence) -> float:
    """Smallest angle of the rotations that differ by a symmetry of the cube, degrees."""
    rotation = common.orientations[0].T @ common.orientations[1]
    proper = [o for o in cubic_rotations() if np.linalg.det(o) > 0]
    largest = max(float(np.trace(rotation @ o)) for o in proper)
    return float(np.degrees(np.arccos(np.clip((largest - 1) / 2, -1.0, 1.0))))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
