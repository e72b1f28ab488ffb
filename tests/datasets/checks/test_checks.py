"""Each check finds the fault that was planted for it, and nothing in clean data."""

import json
import re

import numpy as np
import pytest
from ase.build import bcc100, bcc110, bcc111
from ase.io.extxyz import write_xyz
from scipy.stats import ortho_group
from support.labelled import compute, relaxation, trajectory

from moalloy_md.datasets.checks.checking import CHECKS, check_dataset
from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.errors import ConfigError, DataError

SETTINGS = {"functional": "PBE", "cutoff_ev": 350.0, "spin": "none", "dft_code": "VASP"}
SETTINGS |= {"kpoint_spacing_per_angstrom": 0.25, "pseudopotentials": "Mo_pv:a W_pv:b"}


def frame(atoms, *, group, state="noneq", name=""):
    """A cell with labels under the dataset's names."""
    out = atoms.copy()
    out.info = {"REF_energy": atoms.get_potential_energy(), "REF_stress": atoms.get_stress()}
    out.info |= {"group": group, "state": state, "host": "Mo", "source": "vasprun.xml"} | SETTINGS
    out.info |= {"name": name} if name else {}
    out.arrays["REF_forces"] = atoms.get_forces()
    return out


def strain_series():
    """One doped, oblique cell under six modes of strain, each one turned another way."""
    start = relaxation(2, {0: "W", 3: "Ti"}, seed=5)[1]
    start.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]]) @ start.cell.array)
    cells = []
    for mode in range(6):
        for size in (-0.02, -0.01, 0.01, 0.02):
            strain = np.zeros((3, 3))
            i, j = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))[mode]
            strain[i, j] += size / 2
            strain[j, i] += size / 2
            turn = ortho_group.rvs(3, random_state=len(cells))
            atoms = start.copy()
            atoms.set_cell(start.cell.array @ (np.eye(3) + strain) @ turn, scale_atoms=True)
            cells.append(frame(compute(atoms), group="strain"))
    return cells


@pytest.fixture(scope="module")
def made():
    """Frames 0-19: MD of a cell with W; 20-39: relaxations; 40-63: a strain series."""
    frames = [
        frame(atoms, group=f"md-block{k // 10}", name=f"md-{k}")
        for k, atoms in enumerate(trajectory(20, {0: "W"}, scale=0.05))
    ]
    dopants = [{}, {0: "W"}, {0: "Ti"}, {0: "W", 5: "W"}, {0: "W", 9: "Ti"}]
    for k, decoration in enumerate(dopants):
        states = ["ideal", "noneq", "noneq", "relaxed"]
        steps = relaxation(4, decoration, seed=10 + k, end=0.02)
        for state, atoms in zip(states, steps, strict=True):
            out = frame(atoms, group=f"relax{k}", state=state)
            out.arrays["REF_forces"] -= out.arrays["REF_forces"].mean(axis=0)
            frames.append(out)
    return frames + strain_series()


@pytest.fixture
def clean(made):
    """Copies, to plant faults in."""
    return [atoms.copy() for atoms in made]


def check(tmp_path, frames, **settings):
    path = tmp_path / "data.extxyz"
    with path.open("w") as file:
        write_xyz(file, frames)
    return check_dataset(path, CheckConfig(**settings))


def the_one(report, name):
    """The only finding; it is of the check `name`."""
    (found,) = report.findings
    assert found.check == name
    assert found.file.endswith("data.extxyz")
    assert found.why and found.mend
    return found


def test_nothing_is_found_in_clean_data(tmp_path, clean):
    report = check(tmp_path, clean)
    assert report.findings == []
    assert (report.frames, report.atoms) == (64, 64 * 16)
    assert (report.energies, report.forces, report.stresses) == (64, 64, 64)
    (evidence,) = [line for line in report.evidence if "strain series" in line]
    assert "24 frames" in evidence


def plant_nan(atoms):
    atoms.arrays["REF_forces"][7, 1] = np.nan


def plant_no_energy(atoms):
    atoms.info["energy"] = atoms.info.pop("REF_energy")


def plant_no_forces(atoms):
    del atoms.arrays["REF_forces"]


def plant_infinite_energy(atoms):
    atoms.info["REF_energy"] = np.inf


@pytest.mark.parametrize(
    ("plant", "atom", "sentence"),
    [
        (plant_nan, 7, "expected a finite REF_forces"),
        (plant_no_energy, None, "expected REF_energy .* found energy instead"),
        (plant_no_forces, None, "expected the columns REF_forces"),
        (plant_infinite_energy, None, "expected a finite REF_energy"),
    ],
)
def test_labels_that_are_missing_or_no_numbers(tmp_path, clean, plant, atom, sentence):
    plant(clean[12])
    found = the_one(check(tmp_path, clean), "labels")
    assert (found.severity, found.frame, found.atom, found.name) == ("error", 12, atom, "md-12")
    assert re.search(sentence, found.found)


def test_stress_on_some_frames_only(tmp_path, clean):
    for atoms in clean[:5]:
        del atoms.info["REF_stress"]
    found = the_one(check(tmp_path, clean), "labels")
    assert found.severity == "warning"
    assert "5 of 64 frames have no REF_stress" in found.found


def test_a_virial_that_nothing_reads(tmp_path, clean):
    for atoms in clean:
        atoms.info["virials"] = -atoms.info.pop("REF_stress") * atoms.get_volume()
    found = the_one(check(tmp_path, clean), "unread-stress")
    assert (found.severity, found.frame) == ("warning", 0)
    assert "64 frames have virials and no REF_stress" in found.found


def test_a_damaged_file_is_checked_up_to_the_damage(tmp_path, clean):
    check(tmp_path, clean)
    path = tmp_path / "data.extxyz"
    path.write_text(path.read_text()[:-100])
    clean_findings = check_dataset(path).findings
    (found,) = [finding for finding in clean_findings if finding.check == "file"]
    assert (found.severity, found.frame) == ("error", 63)
    assert "Nothing after this place was checked" in found.found
    with pytest.raises(DataError, match="cannot be read"):
        check_dataset(tmp_path / "absent.extxyz")


@pytest.mark.parametrize(
    ("where", "distance", "severity"),
    [((0.5, 0.25, 0.0), 1.766, "warning"), ((0.25, 0.25, 0.0), 1.117, "error")],
    ids=["tetrahedral site", "off it"],
)
def test_atoms_on_top_of_each_other(tmp_path, clean, where, distance, severity):
    atoms = clean[24]
    atoms.positions[9] = atoms.positions[3] + 3.16 * np.array(where)
    found = the_one(check(tmp_path, clean, skip=["state", "group"]), "close-atoms")
    assert (found.severity, found.frame) == (severity, 24)
    assert f"are {distance:.3f} Å apart" in found.found
    assert found.atom == 3 or "and 9 (Mo)" in found.found


@pytest.mark.parametrize(("push", "severity"), [(0.05, "error"), (0.003, "warning")])
def test_forces_that_do_not_sum_to_zero(tmp_path, clean, push, severity):
    clean[25].arrays["REF_forces"] += [0, 0, push]
    report = check(tmp_path, clean, skip=["state"])
    found = the_one(report, "net-force")
    assert (found.severity, found.frame) == (severity, 25)
    assert f"{1000 * push:.2f} meV/Å an atom" in found.found


def test_forces_in_other_units(tmp_path, clean):
    forces = clean[6].arrays["REF_forces"]
    forces *= 25.7  # as if eV/Å had been taken for Ry/bohr
    found = next(f for f in check(tmp_path, clean).findings if f.check == "force-outlier")
    largest = np.linalg.norm(forces, axis=1)
    assert (found.severity, found.frame, found.atom) == ("warning", 6, int(largest.argmax()))
    assert f"{largest.max():.3g} eV/Å" in found.found


@pytest.mark.parametrize(("k", "off"), [(8, -8.0), (8, 1.5), (33, -8.0)])
def test_an_energy_that_is_off(tmp_path, clean, off, k):
    clean[k].info["REF_energy"] += off
    report = check(tmp_path, clean, skip=["stress"])
    found = the_one(report, "energy-outlier")
    assert (found.severity, found.frame) == ("warning", k)
    size = float(found.found.split("energy ")[1].split()[0]) / 1000
    assert size == pytest.approx(abs(off) / 16, rel=0.3)
    assert ("above" if off > 0 else "below") in found.found


@pytest.mark.parametrize(("kind", "severity"), [("sigma0", "error"), ("unstated", "warning")])
def test_energies_of_another_kind(tmp_path, clean, kind, severity):
    for atoms in clean[10:14]:
        atoms.info["energy_kind"] = kind
    found = the_one(check(tmp_path, clean), "energy-kind")
    assert (found.severity, found.frame) == (severity, 10)
    assert found.found.startswith("4 frames from vasprun.xml")


def test_reference_energies_that_nothing_determines(tmp_path, clean):
    """Every cell has 15 Mo and one dopant: energy can move from Mo to both dopants unseen."""
    frames = [*clean[:20], *clean[28:32]]
    found = the_one(check(tmp_path, frames, skip=["energy-outlier"]), "reference-energy")
    assert found.severity == "warning"
    assert found.frame is None
    assert "2 different compositions do not determine" in found.found
    assert "of Mo, Ti, W" in found.found


def disguise(atoms, seed=3):
    """The same labelled cell turned, mirrored, shifted, with atoms in another order."""
    rng = np.random.default_rng(seed)
    turn = ortho_group.rvs(3, random_state=rng)
    out = atoms.copy()
    out.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ atoms.cell.array @ turn)
    out.positions = atoms.positions @ turn + rng.uniform(-3, 3, 3)
    out.arrays["REF_forces"] = atoms.arrays["REF_forces"] @ turn
    del out.info["REF_stress"]
    out.wrap()
    return out[rng.permutation(len(out))]


@pytest.mark.parametrize(
    "k", [3, 21, 24, 45]
)  # MD, a perfect crystal's relaxation, ideal, strained
def test_a_cell_that_is_there_twice(tmp_path, clean, k):
    same_group, elsewhere, contradicting = (disguise(clean[k], seed) for seed in (1, 2, 3))
    elsewhere.info["group"] += "-b"
    elsewhere.info["name"] = "copy"
    contradicting.info["REF_energy"] += 0.1
    skip = ["labels", "group", "energy-outlier"]
    for copy, severity, text in (
        (same_group, "warning", "in the same group"),
        (elsewhere, "error", "in another group"),
        (contradicting, "error", "differs by 6.25 meV/atom"),
    ):
        found = the_one(check(tmp_path, [*clean, copy], skip=skip), "duplicate")
        assert (found.severity, found.frame) == (severity, 64)
        assert f"the same cell as frame {k}" in found.found and text in found.found


@pytest.mark.parametrize(("away", "is_same"), [(0.7e-4, True), (1.3e-4, False)])
def test_how_far_atoms_of_the_same_cell_may_be_apart(tmp_path, clean, away, is_same):
    """Every atom moves so far in a direction of its own; the limit is 1e-4 Å unless said."""
    copy = disguise(clean[3])
    moves = np.random.default_rng(0).normal(size=(len(copy), 3))
    copy.positions += away * moves / np.linalg.norm(moves, axis=1, keepdims=True)
    report = check(tmp_path, [*clean, copy], skip=["labels"])
    assert [finding.check for finding in report.findings] == ["duplicate"] * is_same


def test_a_displacement_makes_another_cell(tmp_path, clean):
    other = disguise(clean[3])
    other.positions[5] += [0.01, 0, 0]
    assert check(tmp_path, [*clean, other], skip=["labels"]).findings == []


@pytest.mark.parametrize(
    ("key", "value", "severity", "text"),
    [
        ("cutoff_ev", 500.0, "error", "different cutoff: 350.0 in 60 frames, 500.0 in 4 frames"),
        ("functional", "PBEsol", "error", "different functional: PBE in 60"),
        ("dft_code", "GPAW", "error", "different code"),
        ("spin", "polarised", "warning", "different spin: none in 60"),
        ("kpoint_spacing_per_angstrom", 0.6, "warning", "different k-point spacing"),
        ("pseudopotentials", "Mo_sv:a W_pv:b", "error", "different pseudopotential of Mo"),
        ("cutoff_ev", None, "warning", "4 frames do not tell their cutoff"),
    ],
)
def test_cells_of_different_settings(tmp_path, clean, key, value, severity, text):
    for atoms in clean[30:34]:
        atoms.info[key] = value
        if value is None:
            del atoms.info[key]
    found = the_one(check(tmp_path, clean), "mixed-settings")
    assert (found.severity, found.frame) == (severity, 30)
    assert text in found.found


def test_settings_that_are_nearly_the_same(tmp_path, clean):
    clean[3].info |= {
        "dft_code": "vasp",
        "functional": "pbe",
        "cutoff_ev": 350.2,
        "kpoint_spacing_per_angstrom": 0.28,
    }
    assert check(tmp_path, clean).findings == []


def reversed_sign(stress):
    return -stress


def kilobar(stress):
    return stress * 1602.18


def gigapascal_reversed(stress):
    return -stress * 160.218


def voigt_as_vasp_prints_it(stress):
    return stress[[0, 1, 2, 5, 3, 4]]


def pulay(stress):
    return stress + np.array([1, 1, 1, 0, 0, 0]) * 4 / 160.218


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (reversed_sign, "the sign is reversed"),
        (kilobar, "it is in kbar ("),
        (gigapascal_reversed, "it is in GPa with the sign reversed"),
        (pulay, "GPa off dE/dε, the same in all frames"),
    ],
)
def test_a_stress_that_is_not_the_derivative_of_the_energy(tmp_path, clean, fault, text):
    for atoms in clean:
        atoms.info["REF_stress"] = fault(atoms.info["REF_stress"])
    report = check(tmp_path, clean)
    assert {(f.check, f.severity) for f in report.findings} == {("stress", "error")}
    found = next(f for f in report.findings if "strain series" in f.found)
    assert found.frame == 40
    assert text in found.found
    if fault is pulay:
        assert float(found.found.split("stress is ")[1].split()[0]) == pytest.approx(4, abs=0.2)


def test_components_in_another_order(tmp_path):
    """Shears only: the order of the first three components is the same everywhere."""
    cells = []
    start = relaxation(2, {0: "W", 3: "Ti"}, seed=5)[1]
    for size in (-0.03, -0.02, -0.01, 0.01, 0.02, 0.03):
        atoms = start.copy()
        shear = np.array([[1, size, 0], [0, 1, -size], [0.5 * size, 0, 1]])
        atoms.set_cell(start.cell.array @ shear, scale_atoms=True)
        cells.append(frame(compute(atoms), group="shear"))
    assert not [f for f in check(tmp_path, cells).findings if f.check == "stress"]
    for atoms in cells:
        atoms.info["REF_stress"] = voigt_as_vasp_prints_it(atoms.info["REF_stress"])
    (found,) = [f for f in check(tmp_path, cells).findings if f.check == "stress"]
    assert found.severity == "error"


@pytest.mark.parametrize(
    ("factor", "text"), [(-1.0, "compression is counted positive"), (1602.18, "it is not in eV/Å³")]
)
def test_cells_of_different_volume_tell_sign_and_unit(tmp_path, factor, text):
    """No strain series: rattled cells at five volumes."""
    frames = []
    for k, volume in enumerate((0.94, 0.97, 1.0, 1.03, 1.06)):
        (atoms,) = trajectory(1, {0: "W"}, seed=k, scale=0.02)
        atoms.set_cell(atoms.cell.array * volume ** (1 / 3), scale_atoms=True)
        frames.append(frame(compute(atoms), group=f"g{k}"))
    report = check(tmp_path, frames)
    assert not [f for f in report.findings if f.check == "stress"]
    assert "sign and unit are right" in report.evidence[0]
    for atoms in frames:
        atoms.info["REF_stress"] *= factor
    (found,) = [f for f in check(tmp_path, frames).findings if f.check == "stress"]
    assert found.severity == "error"
    assert text in found.found


def test_slabs_of_several_faces_say_nothing_about_the_unit_of_the_stress(tmp_path):
    """The tension of a surface is spread over its vacuum: the larger that is, the less is left."""
    slabs = []
    for build in (bcc110, bcc100, bcc111):
        for vacuum in (4.0, 8.0):
            atoms = build("Mo", (1, 1, 4), a=3.165, vacuum=vacuum, periodic=True)
            atoms.symbols[0] = "W"
            atoms = compute(atoms)
            slabs.append(frame(atoms, group=f"{build.__name__}-{vacuum}"))
            tension = 0.3 * len(atoms) / atoms.get_volume()
            slabs[-1].info["REF_stress"] = np.array([tension, tension, 0, 0, 0, 0])
    assert not [f for f in check(tmp_path, slabs).findings if f.check in {"stress", "labels"}]


def test_states_that_forces_and_positions_contradict(tmp_path, clean):
    forces = clean[27].arrays["REF_forces"]
    assert clean[27].info["state"] == "relaxed"
    forces[4] += [0.2, 0, 0]
    forces[5] -= [0.2, 0, 0]
    found = the_one(check(tmp_path, clean), "state")
    assert (found.severity, found.frame) == ("warning", 27)
    assert found.atom in {4, 5}
    assert "state relaxed with a force of 0.2" in found.found
    forces[4] -= [0.2, 0, 0]
    forces[5] += [0.2, 0, 0]
    clean[24].positions[11] += [0, 0.08, 0]
    found = the_one(check(tmp_path, clean), "state")
    assert (found.frame, found.atom) == (24, 11)
    assert "off its bcc site" in found.found


def test_groups_that_leak_or_cannot_be_split(tmp_path, clean):
    for atoms in clean[5:8]:
        del atoms.info["group"]
    found = the_one(check(tmp_path, clean), "group")
    assert (found.severity, found.frame) == ("warning", 5)
    assert "3 frames name no group" in found.found


def test_one_decoration_in_two_groups(tmp_path, clean):
    clean[27].info["group"] = "again"
    found = the_one(check(tmp_path, clean), "group")
    assert "the same decoration Mo15W-bcc-" in found.found
    assert "'again', 'relax1'" in found.found


def test_a_group_with_different_dopants(tmp_path, clean):
    for atoms in clean[28:32]:
        atoms.info["group"] = "relax1"
    found = the_one(check(tmp_path, clean), "group")
    assert "group 'relax1' holds cells with different dopants (W; Ti)" in found.found


def test_checks_are_skipped_by_name(tmp_path, clean):
    clean[4].arrays["REF_forces"] += 0.1
    clean[5].arrays["REF_forces"][0] = np.nan
    assert check(tmp_path, clean, skip=["net-force", "labels"]).findings == []
    with pytest.raises(ConfigError, match=r"skip: expected checks among .*net-force.*'nett'"):
        check(tmp_path, clean, skip=["nett"])


def test_errors_come_first_and_all_is_in_the_json(tmp_path, clean):
    clean[30].info["state"] = "relaxed"
    clean[30].arrays["REF_forces"] += 0.1
    report = check(tmp_path, clean)
    assert [f.severity for f in report.findings] == ["error", "warning"]
    content = json.loads(json.dumps(report.to_json()))
    assert (content["n_errors"], content["n_warnings"]) == (1, 1)
    assert content["findings"][0].keys() >= {"file", "frame", "atom", "found", "why", "mend"}
    assert content["counts"] == {"net-force error": 1, "state warning": 1}
    assert content["labels"] == {"energy": 64, "forces": 64, "stress": 64}


def test_names_are_unique():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    assert all(check.why and check.mend for check in CHECKS)


def test_what_is_in_the_published_lists(shared, tmp_path):
    """Strains of x, y and z, and shears of either sign, of a cubic crystal are the same cells."""
    from moalloy_md.datasets.importers.config import ImportConfig
    from moalloy_md.datasets.importers.importing import import_files

    files = [shared / f"data/mvl_monbtaw/Mo_{name}.json" for name in ("Elastic", "Surface")]
    import_files(files, tmp_path / "data.extxyz", ImportConfig())
    report = check_dataset(tmp_path / "data.extxyz")
    assert report.n_errors == 0
    pairs = [f for f in report.findings if f.check == "duplicate"]
    # 20 strains in each of modes 2 and 3; of 60 shears only the ten sizes differ
    assert len(pairs) == 2 * 20 + 60 - 10
    assert any("121 frames" in line and "strain series" in line for line in report.evidence)
