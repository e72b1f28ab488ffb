"""Extended XYZ, ASE databases and trajectories; which files are found; what is written."""

import re

import numpy as np
import pytest
from ase.db import connect
from ase.io import write
from ase.io.trajectory import Trajectory
from ase.stress import voigt_6_to_full_3x3_stress
from support.labelled import bcc, compute, relaxation, trajectory
from support.vasp_files import outcar, vasprun

from moalloy_md.datasets.extxyz_count import count_frames
from moalloy_md.datasets.frames import read_dataset
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.importers.find import find_sources
from moalloy_md.datasets.importers.importing import import_files
from moalloy_md.errors import ConfigError, DataError

CELLS = [compute(atoms) for atoms in (bcc(2), bcc(2, {0: "W"}))] + trajectory(3, {1: "Ti"})


def imported(path, **settings):
    out = path.parent / "out" / "data.extxyz"
    summary = import_files([path], out, ImportConfig(**settings), overwrite=True)
    return read_dataset(out), summary


def check_labels(frames, cells=CELLS):
    assert len(frames) == len(cells)
    for frame, atoms in zip(frames, cells, strict=True):
        assert frame.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-8)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(), atol=1e-8)
        np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=1e-8)
        assert not {"energy", "free_energy", "forces", "stress"} & set(frame.atoms.info)
        assert "forces" not in frame.atoms.arrays


def test_what_ase_wrote_from_its_calculators(tmp_path):
    write(tmp_path / "a.extxyz", CELLS)
    check_labels(imported(tmp_path / "a.extxyz")[0])


def test_ase_database_with_key_value_pairs(tmp_path):
    with connect(tmp_path / "a.db") as database:
        for k, atoms in enumerate(CELLS):
            database.write(atoms, group=f"g{k}", state="noneq", functional="PBE")
    frames, _ = imported(tmp_path / "a.db")
    check_labels(frames)
    assert [frame.group for frame in frames] == [f"g{k}" for k in range(5)]
    assert frames[0].atoms.info["functional"] == "PBE"


def test_ase_trajectory_as_one_relaxation(tmp_path):
    steps = relaxation(4, {0: "W"}, end=0.01)
    with Trajectory(tmp_path / "a.traj", "w") as file:
        for atoms in steps:
            file.write(atoms)
    frames, _ = imported(tmp_path / "a.traj", frames_are="relaxation")
    check_labels(frames, steps)
    assert [frame.state for frame in frames] == ["ideal", "noneq", "noneq", "relaxed"]
    assert len({frame.group for frame in frames}) == 1


def test_an_md_file_is_cut(tmp_path):
    write(tmp_path / "a.extxyz", trajectory(6))
    frames, summary = imported(tmp_path / "a.extxyz", frames_are="md", md_block=2, md_gap=1)
    assert [frame.group for frame in frames] == ["a-block0"] * 2 + ["a-block1"] * 2
    assert summary.frames == 4


def renamed(names, *, virial=False):
    cells = []
    for atoms in CELLS:
        other = atoms.copy()
        other.info[names["energy"]] = atoms.get_potential_energy()
        other.arrays[names["forces"]] = atoms.get_forces()
        stress = voigt_6_to_full_3x3_stress(atoms.get_stress())
        other.info[names["stress"]] = -stress * atoms.get_volume() if virial else stress
        cells.append(other)
    return cells


def test_labels_under_other_names(tmp_path):
    names = {"energy": "dft_energy", "forces": "dft_force", "stress": "dft_stress"}
    write(tmp_path / "a.extxyz", renamed(names))
    keys = {f"{label}_key": name for label, name in names.items()}
    frames, _ = imported(tmp_path / "a.extxyz", **keys)
    check_labels(frames)
    assert not {"dft_energy", "dft_stress", "dft_force"} & (
        set(frames[0].atoms.info) | set(frames[0].atoms.arrays)
    )


def test_a_virial_becomes_a_stress(tmp_path):
    names = {"energy": "E", "forces": "F", "stress": "virial"}
    write(tmp_path / "a.extxyz", renamed(names, virial=True))
    check_labels(
        imported(tmp_path / "a.extxyz", energy_key="E", forces_key="F", virial_key="virial")[0]
    )


def without_free_energy():
    cells = []
    for atoms in CELLS:
        other = atoms.copy()
        other.info["energy"] = atoms.get_potential_energy() + 0.05
        other.arrays["REF_forces"] = atoms.get_forces()
        cells.append(other)
    return cells


def test_an_energy_that_may_be_extrapolated_to_zero_smearing_is_refused(tmp_path):
    path = tmp_path / "a.extxyz"
    write(path, without_free_energy())
    with pytest.raises(DataError, match=r"frame 0 .*found only energy, which ASE defines as"):
        imported(path)
    assert not (tmp_path / "out" / "data.extxyz").exists()
    frames, _ = imported(path, energy_key="energy")
    assert frames[0].energy_ev == pytest.approx(CELLS[0].get_potential_energy() + 0.05)
    cells = without_free_energy()
    for atoms, labelled in zip(cells, CELLS, strict=True):
        atoms.info["free_energy"] = labelled.get_potential_energy()
    write(path, cells)
    with pytest.raises(DataError, match=r"found energy = .* beside free_energy"):
        imported(path, energy_key="energy")
    assert imported(path)[0][0].energy_ev == pytest.approx(CELLS[0].get_potential_energy())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"energy_key": "E"}, r"frame 0 .*expected E \(energy_key\), found .*free_energy"),
        ({"forces_key": "F"}, r"frame 0 .*expected F \(forces_key\)"),
        ({"host": "W"}, r"frame 0 .*expected atoms of the host \(host=W\), found only Mo"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(tmp_path, settings, sentence):
    path = tmp_path / "a.extxyz"
    write(path, CELLS)
    with pytest.raises(DataError, match=sentence):
        imported(path, **settings)
    assert not list((tmp_path / "out").iterdir())


def test_bad_frames_are_left_out_on_request(tmp_path):
    path = tmp_path / "a.extxyz"
    write(path, CELLS)
    text = path.read_text()
    first = re.search(r"free_energy=(\S+)", text).group(1)
    path.write_text(text.replace(f"free_energy={first}", "free_energy=nan", 1))
    with pytest.raises(DataError, match=r"frame 0 .*finite REF_energy"):
        imported(path)
    frames, summary = imported(path, skip_bad=True)
    check_labels(frames, CELLS[1:])
    (remark,) = summary.remarks
    assert "left out" in remark and "frame 0" in remark


def test_states_and_groups_of_separate_cells(tmp_path):
    """On the sites: ideal; off them with small forces: relaxed; strained with none: noneq."""
    relaxed = relaxation(3, {0: "W"}, end=0.01)[-1]
    strained = bcc(1)
    strained.set_cell(strained.cell.array @ np.diag([1.02, 1, 1]), scale_atoms=True)
    cells = [compute(bcc(2, {3: "W"})), relaxed, compute(strained), CELLS[2]]
    write(tmp_path / "a.extxyz", cells)
    frames, summary = imported(tmp_path / "a.extxyz")
    assert [frame.state for frame in frames] == ["ideal", "relaxed", "noneq", "noneq"]
    assert frames[0].group == frames[1].group != frames[3].group
    assert frames[2].group == "Mo-bcc"
    assert summary.groups == 3


def test_groups_and_states_that_are_there_stay(tmp_path):
    cells = [atoms.copy() for atoms in CELLS]
    for k, (atoms, labelled) in enumerate(zip(cells, CELLS, strict=True)):
        atoms.info |= {"REF_energy": labelled.get_potential_energy(), "group": f"mine{k}"}
        atoms.info |= {"state": "relaxed", "host": "Mo", "source": "elsewhere", "name": f"n{k}"}
        atoms.arrays["REF_forces"] = labelled.get_forces()
    write(tmp_path / "a.extxyz", cells)
    frames, _ = imported(tmp_path / "a.extxyz")
    assert [(f.group, f.state, f.source, f.name) for f in frames] == [
        (f"mine{k}", "relaxed", "elsewhere", f"n{k}") for k in range(5)
    ]


def test_exact_copies_are_left_out_and_their_source_named(tmp_path):
    write(tmp_path / "a.extxyz", CELLS)
    write(tmp_path / "b.extxyz", CELLS[1:3])
    out = tmp_path / "out.extxyz"
    summary = import_files([tmp_path / "a.extxyz", tmp_path / "b.extxyz"], out, ImportConfig())
    assert (summary.frames, summary.copies) == (5, 2)
    assert "b.extxyz: 2 frames are exact copies of frames of a.extxyz: left out" in summary.remarks


def test_a_file_given_twice_is_read_once(tmp_path):
    write(tmp_path / "a.extxyz", CELLS)
    paths = [tmp_path / "a.extxyz", tmp_path]
    summary = import_files(paths, tmp_path / "x" / "out.extxyz", ImportConfig())
    assert summary.frames == 5
    assert any("given twice" in remark for remark in summary.remarks)


def test_what_a_folder_is_searched_for(tmp_path):
    steps = relaxation(2, {0: "W"})
    for name in (
        "W/1/vasprun.xml",
        "W/1/OUTCAR",
        "W/2/OUTCAR",
        "W/2/OUTCAR.1",
        "Ti/vasprun_md.xml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(vasprun(steps) if path.suffix == ".xml" else outcar(steps))
    write(tmp_path / "set.extxyz", CELLS)
    (tmp_path / "notes.json").write_text('{"a": 1}')
    (tmp_path / "INCAR").write_text("ENCUT = 350")
    found = {source.name: (source.run, source.format) for source in find_sources([tmp_path], print)}
    assert found == {
        "W/1/vasprun.xml": ("W/1", "vasprun"),
        "W/2/OUTCAR": ("W/2", "outcar"),
        "W/2/OUTCAR.1": ("W/2/1", "outcar"),
        "Ti/vasprun_md.xml": ("Ti/md", "vasprun"),
        "set.extxyz": ("set", "extxyz"),
    }


@pytest.mark.parametrize("kind", [vasprun, outcar])
def test_a_given_file_is_recognised_by_its_content(tmp_path, kind):
    path = tmp_path / "run17.out"
    path.write_text(kind(relaxation(2, {0: "W"})))
    assert imported(path)[1].frames == 2


def test_sources_that_cannot_be(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"a\.txt: expected vasprun\.xml or OUTCAR.*another kind"):
        find_sources([tmp_path / "a.txt"], print)
    with pytest.raises(DataError, match="expected a file or folder to import, found none"):
        find_sources([tmp_path / "b"], print)
    with pytest.raises(DataError, match="found no such file"):
        find_sources([tmp_path], print)


@pytest.mark.parametrize("name", ["a.db", "a.traj", "a.json", "a.xyz"])
def test_files_that_are_not_what_their_name_says(tmp_path, name):
    (tmp_path / name).write_text('{"nextid": 1, "ids" [' if name == "a.json" else "no such thing")
    with pytest.raises(DataError, match=rf"{re.escape(name)}.*expected"):
        import_files([tmp_path / name], tmp_path / "out.extxyz", ImportConfig())
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_nothing_is_overwritten_unless_asked(tmp_path):
    write(tmp_path / "a.extxyz", CELLS)
    out = tmp_path / "out.extxyz"
    out.write_text("precious")
    with pytest.raises(ConfigError, match="exists already"):
        import_files([tmp_path / "a.extxyz"], out, ImportConfig())
    assert out.read_text() == "precious"
    with pytest.raises(ConfigError, match="among the sources"):
        import_files([tmp_path / "a.extxyz"], tmp_path / "a.extxyz", ImportConfig(), overwrite=True)
    for _ in range(2):  # the result of the first is in the folder that the second searches
        assert import_files([tmp_path], out, ImportConfig(), overwrite=True).by_source == {
            "a.extxyz": 5
        }


def test_a_torn_file_leaves_nothing_behind(tmp_path):
    path = tmp_path / "a.extxyz"
    write(path, CELLS)
    path.write_text(path.read_text()[:-40])
    assert count_frames(path) in {None, 5}
    with pytest.raises(DataError, match="frame 4"):
        imported(path)
    assert not list((tmp_path / "out").iterdir())


def test_frames_are_counted_by_their_lines(tmp_path):
    path = tmp_path / "a.extxyz"
    write(path, CELLS)
    assert count_frames(path) == 5
    path.write_text("\n".join(path.read_text().splitlines()[:-3]))
    assert count_frames(path) is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"md_gap": 3}, "expected md_block beside md_gap"),
        ({"stress_key": "a", "virial_key": "b"}, "stress_key or virial_key"),
        ({"host": "Qq"}, "expected a chemical symbol"),
    ],
)
def test_settings_that_make_no_sense(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ImportConfig(**settings)
