"""Voronoi polycrystals: volumes, density, and what OVITO's template matching sees in each grain."""

from itertools import product

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError
from moalloy_md.structures.lattice import cubic_rotations
from moalloy_md.structures.polycrystal import PolycrystalConfig, polycrystal

A0 = 3.1625
NEAREST = np.sqrt(3) / 2 * A0
PROPER = [o for o in cubic_rotations() if np.linalg.det(o) > 0]


def build(**settings):
    return polycrystal(validate(settings, PolycrystalConfig, source="polycrystal.yaml"))


@pytest.fixture(scope="module")
def made():
    return build(size_angstrom=[62.0, 55.0, 70.0], n_grains=5, random_seed=4)


def deep_inside(made, depth=6.0):
    """Atoms farther than `depth` from all planes between the grain's seed and others, images too."""
    box = made.atoms.cell.lengths()
    images = np.array(list(product((-1, 0, 1), repeat=3))) * box
    seeds = (images[:, None] + made.seeds_angstrom[None]).reshape(-1, 3)
    squared = ((made.atoms.positions[:, None] - seeds[None]) ** 2).sum(axis=2)
    own = squared.argmin(axis=1)
    between = np.linalg.norm(seeds[own][:, None] - seeds[None], axis=2)
    between[between == 0] = np.inf
    heights = (squared - squared.min(axis=1, keepdims=True)) / (2 * between)
    heights[np.arange(len(own)), own] = np.inf
    return heights.min(axis=1) > depth


def test_volumes_and_density(made):
    """Voronoi cells fill the box; atoms are those of the volume but for what the boundaries cost."""
    volume = made.atoms.get_volume()
    assert made.volumes_angstrom3.sum() == pytest.approx(volume)
    counts = np.bincount(made.atoms.arrays["grain"])
    perfect = made.volumes_angstrom3 * 2 / A0**3
    assert counts.sum() + made.n_removed == pytest.approx(perfect.sum(), rel=0.01)
    # each grain's volume fraction is its part of the atoms
    assert counts / counts.sum() == pytest.approx(perfect / perfect.sum(), abs=0.03)
    assert 0.93 < len(made.atoms) / perfect.sum() < 1.0


def test_each_atom_belongs_to_the_nearest_seed(made):
    box = made.atoms.cell.lengths()
    apart = made.atoms.positions[:, None] - made.seeds_angstrom[None]
    apart -= box * np.rint(apart / box)
    nearest = np.linalg.norm(apart, axis=2).argmin(axis=1)
    assert (nearest == made.atoms.arrays["grain"]).all()
    assert (made.atoms.positions >= 0).all()
    assert (made.atoms.positions < box).all()


def test_no_atoms_are_close_and_the_inside_is_bcc(made):
    distances = neighbor_list("d", made.atoms, NEAREST - 0.01)
    assert distances.min() >= 0.7 * NEAREST  # across the box's faces too
    inside = deep_inside(made)
    assert inside.sum() > 1000
    first = neighbor_list("i", made.atoms, 1.2 * A0)
    assert (np.bincount(first, minlength=len(made.atoms))[inside] == 8 + 6).all()


def test_template_matching_sees_the_grains_as_they_were_turned(made):
    """OVITO's structure types and orientations, against the rotations that were drawn."""
    modifiers = pytest.importorskip("ovito.modifiers")
    from ovito.io.ase import ase_to_ovito
    from ovito.pipeline import Pipeline, StaticSource

    pipeline = Pipeline(source=StaticSource(data=ase_to_ovito(made.atoms)))
    matching = modifiers.PolyhedralTemplateMatchingModifier(output_orientation=True)
    pipeline.modifiers.append(matching)
    particles = pipeline.compute().particles
    inside = deep_inside(made)
    types = np.array(particles["Structure Type"])
    assert (types[inside] == int(modifiers.PolyhedralTemplateMatchingModifier.Type.BCC)).all()
    quaternions = np.array(particles["Orientation"])
    grain = made.atoms.arrays["grain"]
    for number, expected in enumerate(made.orientations):
        chosen = np.flatnonzero(inside & (grain == number))
        assert len(chosen) > 50
        seen = Rotation.from_quat(quaternions[chosen[0]]).as_matrix()
        largest = max(np.trace(seen.T @ expected @ o) for o in PROPER)
        assert np.degrees(np.arccos(np.clip((largest - 1) / 2, -1, 1))) < 0.1


def test_one_grain_along_the_axes_is_the_perfect_crystal():
    found = build(size_angstrom=6 * A0, n_grains=1, orientations_deg=[[0.0, 0.0, 0.0]])
    assert len(found.atoms) == 2 * 6**3
    assert found.n_removed == 0
    distances = np.sort(found.atoms.get_distances(0, range(1, 432), mic=True))
    assert distances[:14] == pytest.approx([NEAREST] * 8 + [A0] * 6)


def test_a_single_turned_grain_meets_its_own_image():
    found = build(size_angstrom=30.0, n_grains=1, random_seed=2)
    assert found.n_removed > 0
    assert neighbor_list("d", found.atoms, NEAREST - 0.01).min() >= 0.7 * NEAREST


def test_given_seeds_and_orientations():
    """Bunge's Euler angles: after a turn by φ1 about z, [100] lies at φ1 from x."""
    seeds = [[0.25, 0.5, 0.5], [0.75, 0.5, 0.5]]
    found = build(size_angstrom=40.0, seeds=seeds, orientations_deg=[[30, 0, 0], [0, 45, 0]])
    assert found.seeds_angstrom == pytest.approx(np.array(seeds) * 40)
    assert found.orientations[0] @ [1, 0, 0] == pytest.approx(
        [np.cos(np.pi / 6), np.sin(np.pi / 6), 0]
    )
    assert found.orientations[1] @ [0, 1, 0] == pytest.approx([0, np.sqrt(0.5), np.sqrt(0.5)])
    assert found.volumes_angstrom3 == pytest.approx([32000.0, 32000.0])
    x = found.atoms.positions[:, 0]
    assert ((x < 20) == (found.atoms.arrays["grain"] == 0)).all()


def test_seeds_of_the_generator():
    settings = {"size_angstrom": 30.0, "n_grains": 3}
    first, again, other = (build(**settings, random_seed=k) for k in (1, 1, 2))
    assert first.atoms == again.atoms
    assert len(first.atoms) != len(other.atoms) or not np.allclose(
        first.atoms.positions, other.atoms.positions
    )


@pytest.mark.slow
def test_a_million_atoms_take_a_minute_and_little_memory():
    import resource
    import time

    start = time.monotonic()
    found = build(size_angstrom=253.0, n_grains=30)
    assert len(found.atoms) > 980_000
    assert time.monotonic() - start < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 < 2.0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "size_angstrom: expected a value"),
        ({"size_angstrom": -5.0}, "edges of more than 0"),
        (
            {"size_angstrom": 30.0, "n_grains": 2, "seeds": [[0.1, 0.1, 0.1]]},
            "one for each of 2 grains",
        ),
        (
            {"size_angstrom": 30.0, "seeds": [[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]},
            "seeds: expected different points, found two at one place",
        ),
        ({"size_angstrom": 30.0, "seeds": [[1.1, 0.1, 0.1]]}, "fractions of the box from 0 to 1"),
        (
            {"size_angstrom": 6.0, "n_grains": 40},
            "expected grains that hold atoms, grain .* holds none",
        ),
        ({"size_angstrom": 30.0, "overlap": 1.0}, "expected a number below 1, found 1"),
        (
            {"size_angstrom": 1e6},
            r"size_angstrom: expected atoms that fit .* found 63,\d{3},\d{3},",
        ),
        ({"size_angstrom": 30.0, "grains": 3}, "unknown key 'grains': did you mean 'n_grains'"),
    ],
)
def test_refused(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build(**settings)
