"""The bundled DFT set is what was computed, and says what it is."""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from moalloy_md.datasets.bundled import bundled_path, load_bundled

FRAMES = load_bundled()
README = (bundled_path().parent / "README.md").read_text()


def original():
    shared = os.environ.get("MOALLOY_SHARED")
    path = Path(shared or ".") / "dft" / "mo_dopants_pbe.extxyz"
    if shared is None or not path.exists():
        pytest.skip("MOALLOY_SHARED does not lead to dft/mo_dopants_pbe.extxyz")
    return path


def test_every_cell_is_there_with_the_same_bits():
    images = read(original(), ":")
    assert len(FRAMES) == len(images)
    for frame, image in zip(FRAMES, images, strict=True):
        assert frame.energy_ev == image.info["REF_energy"]
        np.testing.assert_array_equal(frame.forces, image.arrays["REF_forces"])
        np.testing.assert_array_equal(frame.atoms.positions, image.positions)
        np.testing.assert_array_equal(frame.atoms.numbers, image.numbers)
        np.testing.assert_array_equal(frame.atoms.cell.array, image.cell.array)
        added = {"host": "Mo", "source": "mo_dopants_pbe.extxyz"}
        assert frame.atoms.info == image.info | added


def test_the_readme_says_how_it_was_bundled():
    (program,) = re.findall(r"^    sed '(.*)' as_computed\.extxyz$", README, flags=re.MULTILINE)
    made = subprocess.run(["sed", program, original()], capture_output=True, check=True)
    assert made.stdout == bundled_path().read_bytes()


def test_the_contract_is_held_without_defaults():
    for frame in FRAMES:
        assert {"REF_energy", "host", "group", "state", "source"} <= set(frame.atoms.info)
        assert {"name", "shell", "wall_s"} <= set(frame.atoms.info)
        assert frame.n_atoms == 16
        assert frame.atoms.pbc.all()
        assert frame.stress is None
    assert len({frame.name for frame in FRAMES}) == len({frame.sha256 for frame in FRAMES}) == 53


def test_a_group_is_one_decoration():
    decorations = {}
    for frame in FRAMES:
        decorations.setdefault(frame.group, set()).add(str(frame.atoms.symbols))
    assert all(len(found) == 1 for found in decorations.values())


def test_the_shell_key_is_the_geometry():
    """Independent of plan.py: distance of the two dopants over a0 = V^(1/3)/2, nearest image."""
    shells = {1: np.sqrt(3) / 2, 2: 1.0, 3: np.sqrt(2)}
    for frame in FRAMES:
        host = frame.atoms
        sites = [i for i, symbol in enumerate(host.symbols) if symbol != "Mo"]
        assert (len(sites) == 2) == (frame.atoms.info["shell"] > 0)
        if len(sites) == 2:
            a0 = host.get_volume() ** (1 / 3) / 2
            distance = host.get_distance(*sites, mic=True) / a0
            assert distance == pytest.approx(shells[frame.atoms.info["shell"]], abs=0.1)


def test_forces_follow_from_symmetry_and_sum_to_zero():
    pure = next(frame for frame in FRAMES if frame.name == "Mo16-vol0")
    assert np.abs(pure.forces).max() < 1e-6
    for frame in FRAMES:  # GPAW's grid breaks translation by a few meV/Å at most
        assert np.abs(frame.forces.sum(axis=0)).max() < 0.1


def test_the_readme_counts():
    n_dopants = Counter(len(set(f.atoms.symbols) - {"Mo"}) for f in FRAMES)
    atoms = Counter(sum(s != "Mo" for s in f.atoms.symbols) for f in FRAMES)
    states = Counter(f.state for f in FRAMES)
    assert f"{len(FRAMES)} bcc cells of 16 atoms" in README
    assert f"| pure Mo | {n_dopants[0]} (" in README
    assert f"| one dopant | {atoms[1]} (" in README
    assert f"| two equal dopants | {atoms[2] - n_dopants[2]} (" in README
    assert f"| two different dopants | {n_dopants[2]} (" in README
    assert f"{states['ideal']} cells are `ideal`, {states['noneq']} are `noneq`" in README
    assert f"they form {len({f.group for f in FRAMES})} groups" in README
    for state in ("ideal", "noneq"):
        mean = np.mean([np.abs(f.forces).mean() for f in FRAMES if f.state == state])
        assert f"{1000 * mean:.0f} meV/Å in" in README
