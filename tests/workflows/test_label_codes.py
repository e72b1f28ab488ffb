"""Labelling by codes in processes of their own: crashes, GPAW, and a stand-in for VASP."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from support import teachers
from support.cells import doped_cell
from support.labelling import cells, config

from moalloy_md.datasets.checks.checking import check_dataset
from moalloy_md.datasets.frames import read_dataset, write_dataset
from moalloy_md.errors import RunDirectoryError
from moalloy_md.structures.files import write_cells
from moalloy_md.workflows.label.labellers import LabelFailure, pseudopotential_files
from moalloy_md.workflows.label.workflow import label

TESTS = Path(__file__).parents[1]
FAKE_VASP = TESTS / "support" / "fake_vasp.py"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", "RuntimeError: not converged after 120 iterations"),
        ("crash", "process ended with status -6"),
        ("silent", "process ended with status 0:\nnothing was printed"),
    ],
)
def test_a_code_that_crashes_takes_only_its_cell(tmp_path, how, reason):
    write_cells(tmp_path / "cells.extxyz", cells(2)[::-1])
    moody = config(
        target="support.teachers:Moody", arguments={"how": how}, timeout_s=100,
        environment={"PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    result = label(tmp_path / "cells.extxyz", moody, tmp_path / "data.extxyz")
    assert result.n_labelled == 1
    (failure,) = result.failures
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(failure.reason)


def test_a_code_that_hangs_is_ended(tmp_path):
    write_cells(tmp_path / "cells.extxyz", cells(1))
    hangs = config(
        target="support.teachers:Moody", arguments={"how": "sleep"}, timeout_s=0.5,
        environment={"PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    result = label(tmp_path / "cells.extxyz", hangs, tmp_path / "data.extxyz")
    assert result.failures[0].reason == "not finished after 0.5 s (timeout_s): ended"
    assert result.wall_s < 30  # it would sleep for 60 s


@pytest.fixture
def potcars(tmp_path):
    for element in ("Mo", "W", "Fe"):
        folder = tmp_path / "pp" / "potpaw_PBE" / element
        folder.mkdir(parents=True)
        (folder / "POTCAR").write_text(f"  PAW_PBE {element} 01Jan2000\n")
    return tmp_path / "pp"


def test_vasp_by_its_written_inputs_and_its_units(tmp_path, potcars):
    """The stand-in labels like Lennard-Jones, in VASP's order, units and signs."""
    images = cells(1)
    magnetic = doped_cell(("Mo", "Fe"), n=2, seed=9)
    magnetic.info.update(name="iron", host="Mo", group="iron", state="noneq")
    magnetic.set_initial_magnetic_moments([3.0 if x == "Fe" else 0.0 for x in magnetic.symbols])
    write_cells(tmp_path / "cells.extxyz", [*images, magnetic])
    vasp = config(
        "vasp", command=f"{sys.executable} {FAKE_VASP}", pseudopotentials=str(potcars),
        settings={
            "xc": "PBE", "encut": 400, "kpts": [3, 3, 2], "gamma": True, "ismear": 1, "sigma": 0.1
        },
    )  # fmt: skip
    result = label(tmp_path / "cells.extxyz", vasp, tmp_path / "data.extxyz")
    assert result.failures == ()
    frames = read_dataset(tmp_path / "data.extxyz")
    for frame in frames:
        atoms = frame.atoms.copy()
        atoms.calc = teachers.lennard_jones()
        assert frame.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-7)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(), atol=1e-9)
        info = frame.atoms.info
        assert (info["calculator"], info["functional"], info["cutoff_ev"]) == ("vasp", "PBE", 400)
    files = {f.name: f for f in (result.folder / "files").iterdir()}
    first, iron = (
        next(path for name, path in files.items() if name.startswith(start))
        for start in ("cell_0", "iron")
    )
    incar = (first / "INCAR").read_text()
    assert "ENCUT = 400" in incar
    assert "GGA = PE" in incar
    assert "ISPIN" not in incar
    assert (first / "KPOINTS").read_text().split()[-6:-3] == ["3", "3", "2"]
    species = (first / "POSCAR").read_text().splitlines()[5].split()
    assert (first / "POTCAR").read_text().split()[1::3] == species
    lines = dict(
        line.strip().split(" = ") for line in (iron / "INCAR").read_text().splitlines()[1:]
    )
    assert lines["ISPIN"] == "2"
    order = [str(x) for x in read(iron / "POSCAR").symbols]
    expanded = [
        float(moment)
        for count, moment in (word.split("*") for word in lines["MAGMOM"].split())
        for _ in range(int(count))
    ]
    assert expanded == [3.0 if x == "Fe" else 0.0 for x in order]
    # The stand-in gives the k-th atom of POSCAR the moment (k + 1)/10.
    moments = frames[1].atoms.arrays["REF_magmoms"]
    assert sorted(moments) == pytest.approx([0.1 * (k + 1) for k in range(16)])
    of_iron = [0.1 * (k + 1) for k, x in enumerate(order) if x == "Fe"]
    assert sorted(moments[np.array(magnetic.symbols) == "Fe"]) == pytest.approx(of_iron)


def test_vasp_that_does_not_converge_has_failed(tmp_path, potcars):
    write_cells(tmp_path / "cells.extxyz", cells(1))
    vasp = config(
        "vasp", command=f"touch unconverged; {sys.executable} {FAKE_VASP}",
        pseudopotentials=str(potcars), settings={"xc": "PBE", "kpts": [1, 1, 1]},
    )  # fmt: skip
    result = label(tmp_path / "cells.extxyz", vasp, tmp_path / "data.extxyz")
    assert "did not reach self-consistency" in result.failures[0].reason


def put_potcars(folder, elements, *, date):
    for element in elements:
        (folder / "potpaw_PBE" / element).mkdir(parents=True, exist_ok=True)
        potcar = folder / "potpaw_PBE" / element / "POTCAR"
        potcar.write_text(f"  PAW_PBE {element} {date}\n")
    return folder


def by_vasp(potcars, source, out, **options):
    vasp = config(
        "vasp", command=f"{sys.executable} {FAKE_VASP}", pseudopotentials=str(potcars),
        settings={"xc": "PBE", "kpts": [1, 1, 1]},
    )  # fmt: skip
    return label(source, vasp, out, **options)


def test_labels_of_two_pseudopotentials_are_not_mixed(tmp_path):
    """By their content, whatever their folder is called; cells of more elements may come later."""
    old = put_potcars(tmp_path / "old", ("Mo", "W"), date="01Jan2000")
    new = put_potcars(tmp_path / "new", ("Mo", "W"), date="02Feb2002")
    source, out = tmp_path / "cells.extxyz", tmp_path / "data.extxyz"
    write_cells(source, cells(2))
    assert by_vasp(old, source, out, limit=1).n_new == 1
    before = out.read_bytes()
    with pytest.raises(RunDirectoryError, match=r"the pseudopotential Mo of .*old.* finds .*new"):
        by_vasp(new, source, out)
    assert out.read_bytes() == before
    moved = tmp_path / "moved"
    old.rename(moved)
    assert by_vasp(moved, source, out).n_new == 1
    source.unlink()
    write_cells(source, cells(2) + cells(1, start=2, elements=("Mo", "Ta")))
    put_potcars(moved, ("Ta",), date="03Mar2003")
    assert by_vasp(moved, source, out).n_new == 1
    taken = [frame.atoms.info["pseudopotentials"].split() for frame in read_dataset(out)]
    assert taken == [
        ["Mo:01Jan2000", "W:01Jan2000"], ["Mo:01Jan2000"], ["Mo:01Jan2000", "Ta:03Mar2003"]
    ]  # fmt: skip
    source.unlink()
    write_cells(source, cells(1, start=4))
    b = by_vasp(new, source, tmp_path / "b.extxyz").out
    write_dataset(tmp_path / "both.extxyz", [*read_dataset(out), *read_dataset(b)])
    found = check_dataset(tmp_path / "both.extxyz").findings
    mixed = [finding.found for finding in found if finding.check == "mixed-settings"]
    assert any(text.startswith("different pseudopotential of Mo: Mo:01") for text in mixed), mixed


def test_vasp_without_pseudopotentials_is_refused_before_it_starts(tmp_path):
    write_cells(tmp_path / "cells.extxyz", cells(2))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabelFailure, match="No pseudopotential for Mo"):
        by_vasp(tmp_path / "empty", tmp_path / "cells.extxyz", tmp_path / "data.extxyz")
    put_potcars(tmp_path / "empty", ("Mo", "W"), date="01Jan2000")
    by_vasp(tmp_path / "empty", tmp_path / "cells.extxyz", tmp_path / "data.extxyz")


def test_gpaw_setups_are_told_apart_by_their_content(tmp_path):
    """A stand-in with GPAW's list of folders: the first that has a name counts, bases do not."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "Mo.PBE.gz").write_text(str(folder))
        (folder / "Mo.dzp.basis.gz").write_text(str(folder))
    (second / "W.PBE.gz").write_text("tungsten")
    (second / "Ta.PBE.gz").write_text("tantalum")
    (tmp_path / "gpaw.py").write_text(f"setup_paths = [{str(first)!r}, {str(second)!r}]\n")
    gpaw = config(
        "gpaw", settings={}, interpreter=[sys.executable], environment={"PYTHONPATH": str(tmp_path)}
    ).calculator  # fmt: skip
    found = pseudopotential_files(gpaw, cells(2), tmp_path / "asked")
    assert {name: Path(x["path"]).parent.name for name, x in found.items()} == {
        "Mo.PBE.gz": "first", "W.PBE.gz": "second"
    }  # fmt: skip
    digest = hashlib.sha256(b"tungsten").hexdigest()
    assert found["W.PBE.gz"]["sha256"] == digest
    assert pseudopotential_files(gpaw, [], tmp_path / "asked") == {}


def python_with_gpaw():
    """A Python that has GPAW: ours, or the operating system's."""
    for python in (sys.executable, "/usr/bin/python3"):
        if Path(python).exists():
            test = subprocess.run([python, "-c", "import gpaw"], capture_output=True, check=False)
            if test.returncode == 0:
                return python
    pytest.skip("GPAW is not installed, neither in this Python nor in /usr/bin/python3")


def test_gpaw(tmp_path):
    """A real DFT calculation; GPAW's own log says what the free energy is."""
    python = python_with_gpaw()
    atoms = doped_cell(("Mo", "W"), n=1, seed=4, rattle=0.05)
    atoms.info.update(name="MoW", host="Mo", group="MoW", state="noneq")
    write_cells(tmp_path / "cells.extxyz", [atoms])
    gpaw = config(
        "gpaw", interpreter=[python], environment={"OMP_NUM_THREADS": "1"},
        settings={
            "mode": {"name": "pw", "ecut": 200}, "xc": "LDA", "kpts": {"size": [1, 1, 1]},
            "occupations": {"name": "fermi-dirac", "width": 0.3},
            "convergence": {"energy": 1e-3, "density": 1e-3},
        },
    )  # fmt: skip
    result = label(tmp_path / "cells.extxyz", gpaw, tmp_path / "data.extxyz")
    assert result.failures == ()
    (frame,) = read_dataset(tmp_path / "data.extxyz")
    (folder,) = (result.folder / "files").iterdir()
    log = (folder / "gpaw.txt").read_text()
    said = {
        line.split(":")[0]: float(line.split(":")[1])
        for line in log.splitlines()
        if line.startswith(("Free energy:", "Extrapolated:"))
    }
    assert frame.energy_ev == pytest.approx(said["Free energy"], abs=2e-6)
    assert abs(said["Free energy"] - said["Extrapolated"]) > 1e-3
    info = frame.atoms.info
    assert (info["calculator"], info["functional"], info["cutoff_ev"]) == ("gpaw", "LDA", 200)
    assert {title.split(":")[0] for title in info["pseudopotentials"].split()} == {"Mo", "W"}
    assert frame.stress is not None
    assert np.abs(frame.forces).max() > 0.01
