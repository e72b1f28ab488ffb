"""Frames: the dataset contract is read, held, written and hashed."""

import hashlib

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read
from ase.stress import voigt_6_to_full_3x3_stress
from hypothesis import given
from hypothesis import strategies as st

from moalloy_md.datasets.frames import (
    dataset_hash,
    frame_from_atoms,
    frame_hash,
    iter_dataset,
    read_dataset,
    write_dataset,
)
from moalloy_md.errors import DataError


def cell(symbols="MoWMo2", *, seed=0, **info):
    """A triclinic, off-origin, labelled cell without symmetry."""
    rng = np.random.default_rng(seed)
    box = np.array([[3.3, 0.4, -0.2], [0.1, 3.9, 0.3], [-0.5, 0.2, 6.1]])
    n = len(Atoms(symbols))
    atoms = Atoms(symbols, positions=rng.uniform(-2, 5, (n, 3)), cell=box, pbc=True)
    atoms.arrays["REF_forces"] = rng.normal(size=(n, 3))
    atoms.info.update({"REF_energy": -10.123456789012345 * n, "group": "g", "state": "noneq"})
    atoms.info.update(info)
    return atoms


def test_reads_what_a_user_wrote_by_hand(tmp_path):
    path = tmp_path / "hand.extxyz"
    path.write_text(
        "2\n"
        'Lattice="3 0 0 0 3.5 0 0.25 0 4" Properties=species:S:1:pos:R:3:REF_forces:R:3:tag:I:1 '
        'REF_energy=-21.5 REF_stress="1 2 3 4 5 6" group=relax7 state=relaxed shell=2 name=pair\n'
        "Mo 0 0 0 0.1 0.2 0.3 7\n"
        "Ti 1.5 1.75 2 -0.1 -0.2 -0.3 8\n"
    )
    (frame,) = read_dataset(path)
    assert frame.n_atoms == 2
    assert frame.energy_ev == -21.5
    np.testing.assert_array_equal(frame.forces, [[0.1, 0.2, 0.3], [-0.1, -0.2, -0.3]])
    np.testing.assert_array_equal(frame.stress, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(frame.atoms.cell.array[2], [0.25, 0, 4])
    assert (frame.host, frame.dopants, frame.elements) == ("Mo", {"Ti"}, {"Mo", "Ti"})
    assert (frame.group, frame.state, frame.name) == ("relax7", "relaxed", "pair")
    assert frame.source == "hand.extxyz"
    assert frame.atoms.info["shell"] == 2
    assert frame.atoms.arrays["tag"].tolist() == [7, 8]
    assert frame.atoms.calc is None


@pytest.mark.parametrize("shape", [(6,), (9,), (3, 3)])
def test_stress_is_brought_to_voigt_order(shape):
    voigt = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    stress = voigt if shape == (6,) else voigt_6_to_full_3x3_stress(voigt).reshape(shape)
    frame = frame_from_atoms(cell(REF_stress=stress))
    np.testing.assert_array_equal(frame.stress, voigt)


def test_noise_in_the_symmetry_of_a_stress_is_averaged():
    stress = voigt_6_to_full_3x3_stress([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    stress[0, 1] += 6e-5
    assert frame_from_atoms(cell(REF_stress=stress)).stress[5] == pytest.approx(0.06003)
    stress[0, 1] += 6e-5
    with pytest.raises(DataError, match="expected a symmetric REF_stress"):
        frame_from_atoms(cell(REF_stress=stress))


def test_another_host():
    frame = frame_from_atoms(cell("W3Mo", host="W"))
    assert frame.host == "W"
    assert frame.dopants == {"Mo"}


def test_what_is_not_said():
    atoms = cell()
    del atoms.info["group"], atoms.info["state"]
    frame = frame_from_atoms(atoms)
    assert (frame.host, frame.state, frame.stress, frame.source) == ("Mo", "noneq", None, "")
    assert not frame.has_named_group
    twin, other = frame_from_atoms(atoms), frame_from_atoms(cell(seed=1))
    other.atoms.info.pop("group")
    assert frame.group == twin.group != other.group
    assert frame.group.startswith("frame-")


@pytest.mark.parametrize(
    ("written", "expected"), [("17", "17"), ('"a b"', "a b"), ('"1 2"', "1 2"), ("1e3", "1000.0")]
)
def test_group_names_that_ase_takes_for_numbers(tmp_path, written, expected):
    path = tmp_path / "x.extxyz"
    write_dataset(path, [frame_from_atoms(cell())])
    path.write_text(path.read_text().replace("group=g", f"group={written}"))
    (frame,) = read_dataset(path)
    assert frame.has_named_group
    assert frame.group == expected
    again = tmp_path / "again.extxyz"
    write_dataset(again, [frame])
    assert read_dataset(again)[0].group == frame.group


def test_empty_entries_cannot_swallow_the_next_key(tmp_path):
    atoms = cell(name="", note=" ", nothing=None, empty=np.array([]), after="kept")
    atoms.info = {"group": "", **{k: v for k, v in atoms.info.items() if k != "group"}}
    write_dataset(tmp_path / "x.extxyz", [frame_from_atoms(atoms)])
    (frame,) = read_dataset(tmp_path / "x.extxyz")
    assert set(frame.atoms.info) == {"REF_energy", "state", "after", "host", "source"}
    assert (frame.state, frame.atoms.info["after"]) == ("noneq", "kept")
    assert not frame.has_named_group


def test_text_of_two_lines_would_break_the_file():
    with pytest.raises(DataError, match=r"cell 7: expected info\['note'\] to be one line"):
        frame_from_atoms(cell(note="two\nlines"), place="cell 7")


def test_the_callers_cell_is_left_alone():
    atoms = cell(REF_stress=np.eye(3))
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    frame = frame_from_atoms(atoms, source="x")
    frame.atoms.positions += 1
    assert atoms.calc is not None
    assert atoms.info["REF_stress"].shape == (3, 3)
    assert "host" not in atoms.info and "source" not in atoms.info
    np.testing.assert_array_equal(atoms.positions, cell().positions)


def test_keys_and_columns_of_others_survive(tmp_path):
    extra = {"shell": 3, "wall_s": 12.5, "note": "two words", "path_like": "a=b", "converged": True}
    atoms = cell(**extra)
    atoms.info["vector"] = np.array([1.5, -2.5])
    atoms.arrays["moments"] = np.array([[0.5, 0, 1], [1, 2, 3], [0, 0, 0], [9, 8, 7.0]])
    # ASE moves these three into a calculator when it reads them
    atoms.info["energy"] = -1.5
    atoms.info["stress"] = voigt_6_to_full_3x3_stress([1, 2, 3, 4, 5, 6])
    atoms.arrays["forces"] = np.full((4, 3), 0.25)
    first, second = tmp_path / "a.extxyz", tmp_path / "b.extxyz"
    write_dataset(first, [frame_from_atoms(atoms, source="vasp")])
    write_dataset(second, read_dataset(first))
    frames = read_dataset(second)
    info = frames[0].atoms.info
    assert {key: info[key] for key in extra} == extra
    assert info["vector"].tolist() == [1.5, -2.5]
    assert info["energy"] == -1.5
    np.testing.assert_array_equal(info["stress"], atoms.info["stress"])
    np.testing.assert_array_equal(frames[0].atoms.arrays["moments"], atoms.arrays["moments"])
    np.testing.assert_array_equal(frames[0].atoms.arrays["forces"], atoms.arrays["forces"])
    assert frames[0].source == "vasp"


def test_ase_and_mace_find_the_labels_under_their_names(tmp_path):
    frames = [frame_from_atoms(cell(seed=k)) for k in range(3)]
    write_dataset(tmp_path / "x.extxyz", frames)
    images = read(tmp_path / "x.extxyz", ":")
    for frame, image in zip(frames, images, strict=True):
        assert image.info["REF_energy"] == frame.energy_ev
        np.testing.assert_allclose(image.arrays["REF_forces"], frame.forces, atol=0.51e-8)
        np.testing.assert_allclose(image.positions, frame.atoms.positions, atol=0.51e-8)
        np.testing.assert_array_equal(image.cell.array, frame.atoms.cell.array)


NUMBER = st.floats(-1e4, 1e4, allow_nan=False)


@given(
    positions=st.lists(NUMBER, min_size=6, max_size=6),
    forces=st.lists(
        NUMBER | st.sampled_from([-1e-12, 0.5e-8, 1.5e-8, -0.0]), min_size=6, max_size=6
    ),
    energy=NUMBER,
)
def test_hash_survives_writing_and_reading(tmp_path_factory, positions, forces, energy):
    atoms = cell("MoV", REF_energy=energy)
    atoms.positions = np.reshape(positions, (2, 3))
    atoms.arrays["REF_forces"] = np.reshape(forces, (2, 3))
    frame = frame_from_atoms(atoms)
    path = tmp_path_factory.mktemp("hash") / "x.extxyz"
    write_dataset(path, [frame])
    assert read_dataset(path)[0].sha256 == frame.sha256


def test_hash_is_that_of_its_stated_text():
    atoms = Atoms("Mo", positions=[[-0.0, 0.123456789, -1e-10]], cell=[3, 4, 5], pbc=[1, 1, 0])
    atoms.arrays["REF_forces"] = np.array([[1.0, -2.0, 0.0]])
    atoms.info.update(REF_energy=-11.25, REF_stress=np.arange(6.0))
    text = (
        "Mo|[True, True, False]|True|"
        "3.00000000 0.00000000 0.00000000 0.00000000 4.00000000 0.00000000 0.00000000 0.00000000 "
        "5.00000000 0.00000000 0.12345679 0.00000000 -11.25000000 1.00000000 -2.00000000 "
        "0.00000000 0.00000000 1.00000000 2.00000000 3.00000000 4.00000000 5.00000000 "
    )
    assert frame_hash(frame_from_atoms(atoms)) == hashlib.sha256(text.encode()).hexdigest()


def _nudge(array, index):
    array[index] += 1e-6


CHANGES = {
    "species": lambda a: a.symbols.__setitem__(0, "Nb"),
    "cell": lambda a: _nudge(a.cell.array, (0, 1)),
    "periodicity": lambda a: a.pbc.__setitem__(2, False),
    "position": lambda a: _nudge(a.positions, (3, 2)),
    "energy": lambda a: a.info.update(REF_energy=a.info["REF_energy"] + 1e-6),
    "force": lambda a: _nudge(a.arrays["REF_forces"], (2, 1)),
    "stress": lambda a: _nudge(a.info["REF_stress"], 4),
    "no stress": lambda a: a.info.pop("REF_stress"),
    "order": lambda a: [_swap_first_two(array) for array in a.arrays.values()],
}


def _swap_first_two(array):
    array[[0, 1]] = array[[1, 0]]


def _hash_after(change):
    atoms = cell(REF_stress=np.arange(6.0))
    change(atoms)
    return frame_from_atoms(atoms).sha256


@pytest.mark.parametrize("what", CHANGES)
def test_hash_sees_structure_and_labels(what):
    assert _hash_after(CHANGES[what]) != _hash_after(lambda _: None)


def test_hash_does_not_see_names():
    names = {"group": "other", "state": "relaxed", "name": "n", "source": "s"}
    assert _hash_after(lambda a: a.info.update(names)) == _hash_after(lambda _: None)


def test_dataset_hash_is_of_the_set(tmp_path):
    frames = [frame_from_atoms(cell(seed=k)) for k in range(4)]
    path = tmp_path / "x.extxyz"
    write_dataset(path, frames)
    whole = dataset_hash(frames)
    assert dataset_hash(frames[::-1]) == dataset_hash(path) == dataset_hash(str(path)) == whole
    assert dataset_hash(frames[:3]) != whole
    assert dataset_hash([*frames, frames[0]]) != whole


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.extxyz"
    write_dataset(path, [frame_from_atoms(cell())])
    before = path.read_bytes()

    def fail(file, images):
        file.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("moalloy_md.datasets.frames.write_xyz", fail)
    with pytest.raises(
        DataError, match=r"x\.extxyz: cannot be written \(No space left on device\)"
    ):
        write_dataset(path, [frame_from_atoms(cell(seed=1))])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.extxyz"]


def test_nothing_to_write(tmp_path):
    with pytest.raises(DataError, match="at least one frame to write, found none"):
        write_dataset(tmp_path / "x.extxyz", [])
    assert not list(tmp_path.iterdir())


def test_read_in_steps(tmp_path):
    frames = [frame_from_atoms(cell(seed=k)) for k in range(4)]
    path = tmp_path / "x.extxyz"
    write_dataset(path, frames)
    seen = []

    def watch(items):
        for item in items:
            seen.append(item)
            yield item

    assert read_dataset(path, watch=watch) == seen
    assert [f.sha256 for f in seen] == [f.sha256 for f in frames]
    assert next(iter_dataset(path)).sha256 == frames[0].sha256
