"""Slabs against ASE's, voids against the volume of a sphere."""

import numpy as np
import pytest
from ase.build import bcc100, bcc110, bcc111, bulk, fcc111, surface
from ase.neighborlist import neighbor_list

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError
from moalloy_md.structures.slabs import SlabConfig, slab
from moalloy_md.structures.voids import VoidConfig, void

A0 = 3.1625


def build_slab(**settings):
    return slab(validate(settings, SlabConfig, source="slab.yaml"))


def build_void(**settings):
    return void(validate(settings, VoidConfig, source="void.yaml"))


def neighbours_by_layer(atoms):
    """Neighbours in the first two shells of an atom of each layer, from the lowest up."""
    first = neighbor_list("i", atoms, 1.2 * A0)
    counts = np.bincount(first, minlength=len(atoms))
    heights = atoms.positions[:, 2].round(3)
    return [sorted(set(counts[heights == z].tolist())) for z in np.unique(heights)]


def from_ase(plane, n_layers):
    """The same number of lattice planes by ASE."""
    build = {(1, 0, 0): bcc100, (1, 1, 0): bcc110, (1, 1, 1): bcc111}.get(plane)
    if build is not None:
        return build("Mo", (1, 1, n_layers), a=A0, vacuum=8.0)
    return surface(bulk("Mo", "bcc", a=A0, cubic=True), plane, n_layers, vacuum=8.0)


@pytest.mark.parametrize("plane", [(1, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 2)])
def test_slabs_are_those_of_ase(plane):
    ours, theirs = build_slab(plane=plane, n_layers=12), from_ase(plane, 12)
    theirs.pbc = True
    heights = np.unique(ours.positions[:, 2].round(6))
    assert len(heights) == 12
    assert np.diff(heights) == pytest.approx(ours.info["layer_spacing_angstrom"])
    assert np.ptp(theirs.positions[:, 2]) == pytest.approx(np.ptp(heights))
    area = np.linalg.norm(np.cross(theirs.cell[0], theirs.cell[1]))
    assert len(ours) / ours.info["area_angstrom2"] == pytest.approx(len(theirs) / area)
    assert neighbours_by_layer(ours) == neighbours_by_layer(theirs)
    assert ours.cell[2, 2] - np.ptp(heights) == pytest.approx(16.0)
    assert ours.cell.angles() == pytest.approx([90, 90, 90])


def test_wide_slabs_and_fcc():
    wide = build_slab(plane=[2, 2, 0], n_layers=4, min_width_angstrom=9.0, vacuum_angstrom=10.0)
    assert min(wide.cell.lengths()[:2]) >= 9.0
    assert wide.info["plane"] == [1, 1, 0]
    copper = build_slab(
        host="Cu", lattice="fcc", lattice_parameter_angstrom=3.6, plane=[1, 1, 1], n_layers=5
    )
    theirs = fcc111("Cu", (1, 1, 5), a=3.6, vacuum=8.0)
    assert np.ptp(copper.positions[:, 2]) == pytest.approx(np.ptp(theirs.positions[:, 2]))
    area = np.linalg.norm(np.cross(theirs.cell[0], theirs.cell[1]))
    assert len(copper) / copper.info["area_angstrom2"] == pytest.approx(len(theirs) / area)


@pytest.mark.parametrize("radius", [8.0, 12.0, 16.0])
@pytest.mark.parametrize("centre", [(0.5, 0.5, 0.5), (0.03, 0.91, 0.47)])
def test_a_void_takes_the_atoms_of_its_sphere(radius, centre):
    """4π/3 r³ of the density, but for the surface: Gauss's sphere problem."""
    atoms = build_void(repeat=12, radius_angstrom=radius, centre=centre)
    expected = 4 / 3 * np.pi * radius**3 * 2 / A0**3
    on_surface = 4 * np.pi * radius**2 * (A0**3 / 2) ** (1 / 3) * 2 / A0**3
    assert abs(atoms.info["n_removed"] - expected) < 0.25 * on_surface
    assert len(atoms) == 2 * 12**3 - atoms.info["n_removed"]
    edge = 12 * A0
    apart = atoms.positions - np.array(centre) * edge
    apart -= edge * np.rint(apart / edge)
    assert np.linalg.norm(apart, axis=1).min() >= radius


@pytest.mark.parametrize(
    ("build", "settings", "sentence"),
    [
        (build_slab, {"plane": [0, 0, 0]}, "Miller indices that are not all zero"),
        (build_slab, {"n_layers": 0}, "n_layers: expected a number of 1 or more, found 0"),
        (build_slab, {"vacuum_angstrom": 0.0}, "vacuum_angstrom"),
        (build_void, {}, "radius_angstrom: expected a value"),
        (
            build_void,
            {"radius_angstrom": 9.0, "repeat": 5},
            "up to 6.3 Å in this supercell, found 9",
        ),
        (
            build_void,
            {"radius_angstrom": 0.5, "repeat": 5, "centre": [0.45, 0.5, 0.5]},
            "removes atoms, 0.5 Å about .* removes none",
        ),
        (
            build_void,
            {"radius_angstrom": 9.0, "repeat": 100_000},
            r"repeat: .* fit into the memory, found 2,000,000,000,000,000, which take about 240,000,000 GB",
        ),
        (build_slab, {"n_layers": 10**15}, "n_layers, .* found [12],000,000,000,000,000, which"),
    ],
)
def test_refused(build, settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(**settings)
