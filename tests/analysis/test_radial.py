"""g(r) against a count of pairs by ASE, shells against known distances, and the picture."""

import io

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list
from matplotlib.image import imread
from support.frames import write_dump

from moalloy_md.analysis.pictures import draw_dopants
from moalloy_md.analysis.radial import bcc_shells, radial_distribution
from moalloy_md.errors import DataError


def crystal(*, repeat=(3, 4, 3), seed=3):
    atoms = bulk("Mo", "bcc", a=3.15, cubic=True) * repeat
    atoms.rattle(0.08, rng=np.random.default_rng(seed))
    atoms.symbols[::7] = "Re"
    atoms.positions += [0.4, 1.1, -0.3]
    atoms.wrap()
    return atoms


def test_mean_over_frames_is_what_ase_counts(tmp_path):
    """The cutoff is more than half of the shortest edge: images count."""
    frames = [crystal(seed=k) for k in (1, 2)]
    files = [write_dump(atoms, tmp_path / str(k), step=k) for k, atoms in enumerate(frames)]
    found = radial_distribution(files, cutoff_angstrom=6.0, n_bins=60)
    edges = np.linspace(0, 6.0, 61)
    density = len(frames[0]) / frames[0].get_volume()
    shells = 4 / 3 * np.pi * np.diff(edges**3) * density
    counts = [
        np.histogram(neighbor_list("d", atoms, 6.0), edges)[0] / len(atoms) for atoms in frames
    ]
    assert found.n_frames == 2
    np.testing.assert_allclose(found.distances_angstrom, (edges[1:] + edges[:-1]) / 2, atol=1e-9)
    # OVITO takes 4 π r² dr for the shell's volume, which differs by (dr/r)²/12
    np.testing.assert_allclose(found.values, np.mean(counts, axis=0) / shells, rtol=5e-3, atol=1e-3)


def test_shells_of_bcc():
    a = 3.2
    expected = a * np.sqrt([0.75, 1.0, 2.0, 2.75, 3.0, 4.0])
    np.testing.assert_allclose(bcc_shells(a, cutoff_angstrom=2.1 * a), expected)


def test_frames_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="expected frames of a trajectory, found none"):
        radial_distribution([], cutoff_angstrom=5.0)
    with pytest.raises(DataError, match="found no such file"):
        radial_distribution([tmp_path / "0.dump"], cutoff_angstrom=5.0)
    (tmp_path / "cut.dump").write_text("ITEM: TIMESTEP\n0\nITEM: NUMBER")
    with pytest.raises(DataError, match="found one that it refuses"):
        radial_distribution([tmp_path / "cut.dump"], cutoff_angstrom=5.0)


def test_dopants_stand_out(tmp_path):
    """With dopants the picture has reddish dots that it lacks without; both show many atoms."""

    def reddish(atoms, name):
        png = draw_dopants(write_dump(atoms, tmp_path / name), host="Mo", size=(240, 180))
        pixels = imread(io.BytesIO(png))[..., :3]
        assert pixels.shape[:2] == (180, 240)
        assert np.mean(pixels.min(axis=-1) < 0.9) > 0.2, "nothing was drawn"
        return np.mean(pixels[..., 0] - pixels[..., 2] > 0.2)

    doped, pure = crystal(), crystal()
    pure.symbols[:] = "Mo"
    assert reddish(pure, "pure") == 0
    assert reddish(doped, "doped") > 0.02
