"""Grain boundaries: geometry by textbooks and by what neighbours are seen from the atoms."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from ase.neighborlist import neighbor_list

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError
from moalloy_md.structures.coincidence import rotation_angles
from moalloy_md.structures.grain_boundaries import (
    BOUNDARIES,
    GrainBoundaryConfig,
    boundary_distances,
    grain_boundary,
)
from moalloy_md.structures.lattice import cubic_rotations, primitive_vectors
from moalloy_md.structures.planes import layers

A0 = 3.1625
CUT = 1.2 * A0  # between the second and the third shell of bcc


def build(**settings):
    return grain_boundary(GrainBoundaryConfig(**settings))


def neighbours(atoms, cutoff=CUT):
    first, distance, vector = neighbor_list("idD", atoms, cutoff)
    return first, distance, vector


def orientation_seen(atoms, chosen):
    """Cubic axes of a grain, as rows, from the second neighbours (<100>) of one of its atoms."""
    first, distance, vector = neighbours(atoms)
    of_one = vector[(first == chosen) & (distance > 0.95 * A0)]
    assert len(of_one) == 6
    axes = [of_one[0]]
    axes.append(next(v for v in of_one if abs(v @ axes[0]) < 1e-6))
    return np.array([*axes, np.cross(*axes) / A0]) / A0


def disorientation_seen(atoms, far):
    """Smallest rotation between the grains, degrees, from neighbours alone."""
    grain = atoms.arrays["grain"]
    lower, upper = (
        orientation_seen(atoms, np.flatnonzero(far & (grain == which))[0]) for which in (0, 1)
    )
    rotation = upper.T @ lower
    proper = [o for o in cubic_rotations() if np.linalg.det(o) > 0]
    angles = [
        np.degrees(np.arccos(np.clip((np.trace(upper.T @ o @ lower) - 1) / 2, -1, 1)))
        for o in proper
    ]
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    return min(angles)


#: Disorientations in textbooks (e.g. Sutton and Balluffi, Interfaces in Crystalline Materials).
TEXTBOOK = {3: 60.0, 5: 36.87, 9: 38.94, 11: 50.48}


@pytest.mark.parametrize("name", BOUNDARIES)
def test_named_boundaries(name):
    found = build(boundary=name, min_width_angstrom=3.0)
    atoms = found.atoms
    far = ~found.near(5.0)
    first, distance, _ = neighbours(atoms)
    coordination = np.bincount(first, minlength=len(atoms))
    assert (coordination[far] == 8 + 6).all()
    assert (coordination[~far] != 14).any()
    assert distance.min() >= 0.65 * np.sqrt(3) / 2 * A0
    assert disorientation_seen(atoms, far) == pytest.approx(
        TEXTBOOK[found.coincidence.sigma], abs=0.01
    )
    assert found.misorientation_deg == pytest.approx(TEXTBOOK[found.coincidence.sigma], abs=0.01)
    assert found.coincidence.is_symmetric
    assert found.coincidence.kind == ("twist" if "twist" in name else "tilt")
    # the cell holds the atoms of its volume, without those removed and the room at the boundaries
    volume = atoms.get_volume() / (A0**3 / 2)
    assert len(atoms) + found.n_removed == pytest.approx(volume, abs=1e-6)
    assert found.area_angstrom2 * atoms.cell[2, 2] == pytest.approx(atoms.get_volume())


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.7, 1.1)])
def test_both_boundaries_are_one_and_the_same(name, shift):
    """The cell turns into itself by inversion in the middle of a grain, for any shift."""
    found = build(
        boundary=name, min_width_angstrom=3.0, shift_angstrom=shift, expansion_angstrom=0.2
    )
    atoms = found.atoms
    scaled = atoms.get_scaled_positions()
    grain = atoms.arrays["grain"]
    centre = scaled[grain == 0]
    residuals = []
    for other in centre:
        inverted = centre[0] + other - scaled
        apart = inverted[:, None] - scaled[None]
        apart -= np.rint(apart)
        nearest = np.linalg.norm(apart @ atoms.cell.array, axis=2)
        same_grain = grain[nearest.argmin(axis=1)] == grain
        residuals.append(nearest.min(axis=1).max() if same_grain.all() else np.inf)
    assert min(residuals) < 1e-9


def test_sigma_3_112_is_a_mirror_twin():
    """Atoms in the mirror plane belong to both grains: of two planes one half is the other's image."""
    found = build(boundary="sigma3-112", min_width_angstrom=3.0)
    atoms, plane = found.atoms, found.boundary_z_angstrom[0]
    mirror = plane - A0 / np.sqrt(6) / 2  # the lower grain's last plane
    near = np.abs(atoms.positions[:, 2] - mirror) < 6.0
    points = atoms.positions[near]
    mirrored = points * (1, 1, -1) + (0, 0, 2 * mirror)
    apart = mirrored[:, None] - atoms.positions[None]
    flat = atoms.cell.array[:2, :2]
    apart[..., :2] -= np.rint(apart[..., :2] @ np.linalg.inv(flat)) @ flat
    assert np.linalg.norm(apart, axis=2).min(axis=1).max() < 1e-9


#: H. Grimmer, W. Bollmann, D. H. Warrington, Acta Crystallographica A 30 (1974) 197, table of Σ to 25.
PUBLISHED_ANGLES = [
    ((1, 0, 0), 5, 36.87), ((1, 0, 0), 13, 22.62), ((1, 0, 0), 17, 28.07), ((1, 0, 0), 25, 16.26),
    ((1, 1, 0), 3, 70.53), ((1, 1, 0), 9, 38.94), ((1, 1, 0), 11, 50.48), ((1, 1, 0), 19, 26.53),
    ((1, 1, 1), 3, 60.00), ((1, 1, 1), 7, 38.21), ((1, 1, 1), 13, 27.80), ((1, 1, 1), 19, 46.83),
]  # fmt: skip


@pytest.mark.parametrize(("axis", "sigma", "angle"), PUBLISHED_ANGLES)
def test_angles_are_the_published_ones(axis, sigma, angle):
    assert min(abs(found - angle) for found in rotation_angles(axis, sigma)) < 0.006


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
@pytest.mark.parametrize(
    "plane", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 0), (3, 1, 0)]
)
def test_spacing_of_lattice_planes(lattice, plane):
    """Cullity's rules: bcc planes with an odd sum, fcc planes with mixed indices lie half as far."""
    found = layers(lattice, plane)
    mixed = len({h % 2 for h in plane}) > 1
    half = sum(plane) % 2 if lattice == "bcc" else mixed
    assert found.spacing == pytest.approx(1 / np.linalg.norm(plane) / (2 if half else 1))


def test_thickness_width_and_vacuum():
    found = build(boundary="sigma5-310", min_thickness_angstrom=30.0, min_width_angstrom=12.0)
    assert found.atoms.cell[2, 2] >= 60.0
    assert min(found.atoms.cell.lengths()[:2]) >= 12.0
    assert np.diff(np.sort(found.boundary_z_angstrom)) == pytest.approx(found.atoms.cell[2, 2] / 2)
    open_cell = build(boundary="sigma5-310", cell="vacuum", vacuum_angstrom=20.0)
    atoms = open_cell.atoms
    assert open_cell.n_boundaries == 1
    z = np.sort(atoms.positions[:, 2])
    assert atoms.cell[2, 2] - (z[-1] - z[0]) == pytest.approx(20.0)
    assert (z[0], atoms.cell[2, 0]) == pytest.approx((10.0, 0.0))
    below = atoms.positions[:, 2] < open_cell.boundary_z_angstrom[0]
    assert (atoms.arrays["grain"] == np.where(below, 0, 1)).all()
    assert boundary_distances(atoms).min() == pytest.approx(A0 / np.sqrt(10) / 4 * 2)


def test_overlapping_atoms_are_removed_from_the_upper_grain():
    kept = build(boundary="sigma5-210", overlap=0.0)
    cleared = build(boundary="sigma5-210", overlap=0.65)
    assert len(kept.atoms) == len(cleared.atoms) + cleared.n_removed
    assert (kept.atoms.arrays["grain"] == 0).sum() == (cleared.atoms.arrays["grain"] == 0).sum()
    limit = 0.65 * np.sqrt(3) / 2 * A0
    assert neighbours(kept.atoms)[1].min() < limit < neighbours(cleared.atoms)[1].min()


@pytest.mark.parametrize("name", ["sigma5-100-twist", "sigma5-310", "sigma3-111", "sigma9-114"])
def test_shifts_that_change_nothing_change_nothing(name):
    """Distances in the cell stay as they were by the displacement cell and by symmetry."""
    common = build(boundary=name).coincidence

    def distances(shift):
        atoms = build(
            boundary=name, shift_angstrom=tuple(shift), min_width_angstrom=3.0, overlap=0.0
        ).atoms
        return np.sort(neighbours(atoms, 1.5 * A0)[1])

    start = np.array([0.31, 0.12])
    reference = distances(start)
    for vector in common.displacement_cell * A0:
        assert distances(start + vector) == pytest.approx(reference)
    smallest = common.smallest_shift(start / A0) * A0
    assert distances(smallest) == pytest.approx(reference)
    assert np.linalg.norm(smallest) <= np.linalg.norm(start) + 1e-9
    equivalent = common.equivalent_shifts(start / A0) * A0
    assert len(equivalent) in {4, 8, 12}
    for shift in equivalent:
        assert distances(shift) == pytest.approx(reference)
    other = distances(start + np.array([0.2, 0.1]))
    assert len(other) != len(reference) or not np.allclose(other, reference)


def test_the_displacement_cell_of_the_twist():
    """a/√5 each way (W. Bollmann's displacement-shift-complete lattice of Σ5 [001])."""
    common = build(boundary="sigma5-100-twist").coincidence
    assert np.linalg.norm(common.displacement_cell, axis=1) == pytest.approx([5**-0.5] * 2)
    assert len(common.equivalent_shifts(np.zeros(2), exchange=False)) == 4


def test_asymmetric_boundary_and_other_crystals():
    found = build(axis=(0, 0, 1), sigma=5, plane=(1, 0, 0), min_width_angstrom=3.0)
    assert sorted(map(abs, found.coincidence.upper.plane)) == [0, 3, 4]
    assert not found.coincidence.is_symmetric
    copper = build(
        host="Cu", lattice="fcc", lattice_parameter_angstrom=3.6, boundary="sigma5-310",
        min_width_angstrom=3.0,
    )  # fmt: skip
    first, _, _ = neighbours(copper.atoms, 0.85 * 3.6)
    counts = np.bincount(first, minlength=len(copper.atoms))
    assert (counts[~copper.near(5.0)] == 12).all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"sigma": 4}, "sigma: expected an odd Σ"),
        ({"sigma": 7, "axis": [0, 0, 1]}, "Σ that rotations about .0 0 1. have, such as .*found 7"),
        ({"axis": [0, 0, 0]}, "axis: expected Miller indices that are not all zero"),
        ({"boundary": "sigma5-311"}, "expected one of sigma3-112.*found 'sigma5-311'"),
        (
            {"boundary": "sigma5-310", "sigma": 3},
            "either boundary: sigma5-310 or sigma, found both",
        ),
        ({"angle_deg": 40.0}, "expected an angle of Σ5 .0 0 1.: 36.87, .*found 40"),
        ({"plane": [3, 1]}, "plane: expected more entries, found 2"),
        ({"expansion_angstrom": -1.5}, "expected grains that do not overlap"),
        ({"min_thickness_angstrom": -1.0}, "expected a number above 0, found -1"),
        ({"overlap": 1.2}, "overlap"),
        (
            {"plane": [301, 37, 5]},
            "plane: expected one with a common cell of at most .* found .301 37 5.",
        ),
        ({"host": "W"}, "expected lattice_parameter_angstrom for the host W"),
    ],
)
def test_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        grain_boundary(validate(settings, GrainBoundaryConfig, source="gb.yaml"))


@pytest.mark.parametrize("name", BOUNDARIES)
def test_cells_are_those_of_pymatgen(name):
    from pymatgen.core.interface import GrainBoundaryGenerator

    common = build(boundary=name).coincidence
    primitive = primitive_vectors("bcc") / 2
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        lower, upper = GrainBoundaryGenerator.get_trans_mat(
            r_axis=common.axis, angle=common.angle_deg, trans_cry=primitive, lat_type="c",
            surface=common.lower.plane, max_search=20,
        )  # fmt: skip
    area = np.linalg.norm(np.cross(*(lower[:2] @ primitive)))
    assert common.area / area == pytest.approx(round(common.area / area))  # rectangles are wider
    rotation = np.linalg.solve(lower @ primitive, upper @ primitive).T
    np.testing.assert_allclose(
        common.orientations[1].T @ common.orientations[0], rotation, atol=1e-12
    )


@pytest.mark.parametrize(
    ("sigma", "plane"),
    [(17, (4, 1, 0)), (25, (7, 1, 0)), (41, (9, 1, 0)), (41, (5, 4, 0)), (85, (13, 1, 0))],
)
def test_symmetric_tilt_boundaries_of_high_indices(sigma, plane):
    """Mirrors at (h k 0) about [001]: a cell of 1 by √(h² + k²), Σ = h² + k² less factors of 2."""
    found, (h, k, _) = build(axis=(0, 0, 1), sigma=sigma, plane=plane), plane
    assert found.coincidence.is_symmetric
    assert found.coincidence.area == pytest.approx(np.hypot(h, k))
    atoms, far = found.atoms, ~found.near(5.0)
    coordination = np.bincount(neighbours(atoms)[0], minlength=len(atoms))
    assert (coordination[far] == 14).all()
    angle = 2 * np.degrees(np.arctan2(k, h))  # between (h k 0) of both grains, and [100]
    assert found.misorientation_deg == pytest.approx(min(angle, abs(90 - angle)), abs=1e-6)
