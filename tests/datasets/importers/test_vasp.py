"""vasprun.xml and OUTCAR: every converged step, with F, forces and stress; ASE's readers as oracle."""

import gzip
from importlib import resources

import numpy as np
import pytest
from ase.geometry import find_mic
from ase.io import read
from support.labelled import compute, relaxation, trajectory
from support.vasp_files import SCF_TO_SIGMA0, outcar, vasprun

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.importers.importing import import_files
from moalloy_md.errors import DataError

STEPS = relaxation(4, {0: "W", 5: "Ti"}, end=0.01)
WRITERS = {"vasprun.xml": vasprun, "OUTCAR": outcar}


def imported(tmp_path, *paths, **settings):
    """Frames and summary of an import into a fresh file."""
    out = tmp_path / "data.extxyz"
    summary = import_files(paths or [tmp_path], out, ImportConfig(**settings), overwrite=True)
    return read_dataset(out), summary


@pytest.mark.parametrize("name", WRITERS)
def test_every_step_is_read_as_the_potential_gave_it(tmp_path, name):
    (tmp_path / name).write_text(WRITERS[name](STEPS))
    frames, _ = imported(tmp_path)
    assert len(frames) == len(STEPS)
    for frame, atoms in zip(frames, STEPS, strict=True):
        assert str(frame.atoms.symbols) == str(atoms.symbols)
        assert frame.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-7)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-6)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(), atol=1e-7)
        moved = find_mic(frame.atoms.positions - atoms.positions, atoms.cell)[0]
        np.testing.assert_allclose(moved, 0, atol=1e-5)
        np.testing.assert_allclose(frame.atoms.cell.array, atoms.cell.array, atol=1e-8)


@pytest.mark.parametrize(("name", "kind"), [("vasprun.xml", "vasp-xml"), ("OUTCAR", "vasp-out")])
def test_ase_reads_the_same(tmp_path, name, kind):
    (tmp_path / name).write_text(WRITERS[name](STEPS))
    frames, _ = imported(tmp_path)
    for frame, atoms in zip(frames, read(tmp_path / name, ":", format=kind), strict=True):
        free = atoms.get_potential_energy(force_consistent=True)
        assert frame.energy_ev == pytest.approx(free, abs=1e-9)
        # and that is not the energy that ASE gives when nothing is said
        assert atoms.get_potential_energy() - free == pytest.approx(SCF_TO_SIGMA0, abs=1e-6)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-12)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(), atol=1e-9)
        np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=2e-8)


def real_file(name):
    path = resources.files("ase") / "test" / "testdata" / "vasp" / name
    if not path.is_file():
        pytest.skip(f"this ASE was installed without its test data ({name})")
    return path


def test_a_real_outcar_as_ase_reads_it(tmp_path):
    path = real_file("OUTCAR_example_1")
    (frame,), _ = imported(tmp_path, path, host="Ni")
    atoms = read(path, format="vasp-out")
    assert frame.energy_ev == atoms.get_potential_energy(force_consistent=True)
    np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-8)
    np.testing.assert_allclose(frame.stress, atoms.get_stress(), rtol=1e-7)
    assert frame.atoms.info["functional"] == "PBE"
    assert frame.atoms.info["spin"] == "polarised"
    assert frame.atoms.info["cutoff_ev"] == 300.0


def test_a_real_vasprun_under_pressure_gives_the_energy_without_pv(tmp_path):
    path = real_file("vasprun_pstress.xml")
    (frame,), _ = imported(tmp_path, path, host="C")
    assert frame.energy_ev == pytest.approx(-20.24695937, abs=1e-7)  # of the last electronic step
    assert frame.stress is None


@pytest.mark.parametrize("name", WRITERS)
def test_pressure_is_kept_out_of_the_energy(tmp_path, name):
    (tmp_path / name).write_text(WRITERS[name](STEPS, tags={"PSTRESS": 50.0}))
    frames, _ = imported(tmp_path)
    assert frames[2].energy_ev == pytest.approx(STEPS[2].get_potential_energy(), abs=1e-6)
    assert frames[2].stress is None


@pytest.mark.parametrize("name", WRITERS)
def test_compression_makes_the_stress_more_negative_and_it_is_the_derivative(tmp_path, name):
    """Six strains, two ways each: dE/dε of the energies against the stress of the unstrained cell."""
    start = relaxation(2, {3: "W"})[1]
    size = 1e-3
    steps = [compute(start)]
    for i, j in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)):
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * size / 2
            strain[j, i] += sign * size / 2
            atoms = start.copy()
            atoms.set_cell(start.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            steps.append(compute(atoms))
    for volume in (0.97, 1.03):
        atoms = start.copy()
        atoms.set_cell(start.cell.array * volume ** (1 / 3), scale_atoms=True)
        steps.append(compute(atoms))
    (tmp_path / name).write_text(WRITERS[name](steps))
    frames, _ = imported(tmp_path)
    energies = np.array([frame.energy_ev for frame in frames])
    slope = (energies[1:13:2] - energies[2:13:2]) / (2 * size) / start.get_volume()
    np.testing.assert_allclose(frames[0].stress, slope, atol=2e-5)
    pressures = [-frame.stress[:3].mean() for frame in frames]
    assert pressures[-2] > pressures[0] > pressures[-1]


@pytest.mark.parametrize("name", WRITERS)
def test_states_and_groups_of_a_relaxation(tmp_path, name):
    for folder, end in (("done", 0.01), ("killed", 0.4)):
        (tmp_path / folder).mkdir()
        steps = relaxation(4, {0: "W", 5: "Ti"}, end=end, a=3.1 + end)
        (tmp_path / folder / name).write_text(WRITERS[name](steps))
    frames, summary = imported(tmp_path)
    states = [frame.state for frame in frames]
    assert states == ["ideal", "noneq", "noneq", "relaxed", "ideal", "noneq", "noneq", "noneq"]
    assert len({frame.group for frame in frames}) == 1  # the same decoration
    assert frames[0].group.startswith("Mo14TiW-bcc-")
    assert {frame.host for frame in frames} == {"Mo"}
    assert [frame.source for frame in frames[::4]] == [f"done/{name}", f"killed/{name}"]
    assert frames[1].name == "done-step1"
    assert summary.by_state == {"ideal": 2, "noneq": 5, "relaxed": 1}


def test_settings_are_recorded(tmp_path):
    (tmp_path / "vasprun.xml").write_text(vasprun(STEPS, tags={"ISPIN": 2}))
    (frame, *_), _ = imported(tmp_path)
    info = frame.atoms.info
    assert info["functional"] == "PBE"
    assert info["dft_code"] == "VASP"
    assert info["spin"] == "polarised"
    assert (info["cutoff_ev"], info["smearing_ev"]) == (350.0, 0.1)
    assert set(info["pseudopotentials"].split()) == {
        "Mo_pv:04Feb2005",
        "W_pv:04Feb2005",
        "Ti_pv:04Feb2005",
    }
    # 6.32 Å cell, 4 × 4 × 2: the widest spacing is along z
    assert info["kpoint_spacing_per_angstrom"] == pytest.approx(2 * np.pi / 6.32 / 2, abs=1e-4)
    assert info["energy_kind"] == "free"


def test_small_forces_count_on_free_atoms_only(tmp_path):
    steps = relaxation(3, {0: "W"}, end=0.01)
    steps[-1].calc.results["forces"][2, 1] = 0.8
    free = np.ones((16, 3), dtype=bool)
    (tmp_path / "vasprun.xml").write_text(vasprun(steps, selective=free))
    assert imported(tmp_path)[0][-1].state == "noneq"
    free[2, 1] = False
    (tmp_path / "vasprun.xml").write_text(vasprun(steps, selective=free))
    frames, _ = imported(tmp_path)
    assert frames[-1].state == "relaxed"
    assert frames[-1].forces[2, 1] == pytest.approx(0.8)


def test_a_trajectory_is_cut_into_blocks_with_gaps(tmp_path):
    steps = trajectory(11, {0: "W"})
    (tmp_path / "vasprun.xml").write_text(vasprun(steps, tags={"IBRION": 0}))
    frames, summary = imported(tmp_path, md_block=3, md_gap=2)
    assert [frame.group[-6:] for frame in frames] == ["block0"] * 3 + ["block1"] * 3 + ["block2"]
    kept = [0, 1, 2, 5, 6, 7, 10]
    for frame, k in zip(frames, kept, strict=True):
        assert frame.energy_ev == pytest.approx(steps[k].get_potential_energy(), abs=1e-7)
        assert frame.name.endswith(f"-step{k}")
    assert {frame.state for frame in frames} == {"noneq"}
    assert summary.groups == 3
    frames, summary = imported(tmp_path)
    assert len(frames) == 11
    assert summary.groups == 1
    assert any("--md-block" in remark for remark in summary.remarks)


@pytest.mark.parametrize("name", WRITERS)
def test_steps_whose_electrons_did_not_converge_are_left_out_and_named(tmp_path, name):
    loops = [5, 60, 5, 5]
    keywords = {"unconverged": (1,)} if name == "OUTCAR" else {}
    (tmp_path / name).write_text(WRITERS[name](STEPS, loops=loops, **keywords))
    frames, summary = imported(tmp_path)
    assert [frame.name[-5:] for frame in frames] == ["step0", "step2", "step3"]
    (remark,) = summary.remarks
    assert "step 1" in remark and "60" in remark and "without converging" in remark


def test_steps_of_the_machine_learned_force_field_are_left_out(tmp_path):
    (tmp_path / "vasprun.xml").write_text(vasprun(STEPS, loops=[5, 0, 0, 5]))
    frames, summary = imported(tmp_path)
    assert len(frames) == 2
    assert sum("machine-learned force field" in remark for remark in summary.remarks) == 2


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_run_that_was_killed_gives_its_finished_steps(tmp_path, name, packed):
    text = WRITERS[name](STEPS)
    marker = "<calculation>" if name == "vasprun.xml" else "Iteration    4("
    text = text[: text.rindex(marker) + 900]
    if packed:
        with gzip.open(tmp_path / f"{name}.gz", "wt") as file:
            file.write(text)
    else:
        (tmp_path / name).write_text(text)
    frames, _ = imported(tmp_path)
    assert len(frames) == 3


def test_the_outcar_stands_in_for_a_broken_vasprun(tmp_path):
    (tmp_path / "OUTCAR").write_text(outcar(STEPS))
    (tmp_path / "vasprun.xml").write_text(vasprun(STEPS))
    frames, _ = imported(tmp_path)
    assert {frame.source for frame in frames} == {"vasprun.xml"}
    assert len(frames) == 4
    (tmp_path / "vasprun.xml").write_text("")
    frames, summary = imported(tmp_path)
    assert len(frames) == 4
    assert any("OUTCAR was read instead" in remark for remark in summary.remarks)


def test_numbers_that_vasp_could_not_print_are_named(tmp_path):
    text = outcar(STEPS)
    last = text.rindex("-0.000001")
    (tmp_path / "OUTCAR").write_text(text)
    lines = text[:last].splitlines()
    row = next(k for k in range(len(lines) - 1, 0, -1) if lines[k].count(".") == 6)
    lines[row] = lines[row][:45] + " *************" + lines[row][59:]
    (tmp_path / "OUTCAR").write_text("\n".join(lines) + text[last:])
    with pytest.raises(DataError, match=r"OUTCAR: expected 6 numbers for positions.*\*\*\*"):
        imported(tmp_path)
    assert not (tmp_path / "data.extxyz").exists()


@pytest.mark.parametrize("text", ["", "<modeling>", "<html></html>", "no xml"])
def test_what_is_no_vasprun(tmp_path, text):
    (tmp_path / "vasprun.xml").write_text(text)
    with pytest.raises(
        DataError, match=r"vasprun\.xml.*(no XML|expected a vasprun|labelled cells)"
    ):
        imported(tmp_path)


def test_what_is_no_outcar(tmp_path):
    (tmp_path / "OUTCAR").write_text("hello\n")
    with pytest.raises(DataError, match=r"OUTCAR: expected an OUTCAR of VASP"):
        imported(tmp_path)
