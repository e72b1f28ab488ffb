import subprocess
import sys
import types

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from support.frames import write_dump as dump

from moalloy_md.analysis import ovito_support
from moalloy_md.analysis.crystal import bcc_lattice_parameter, crystal_series
from moalloy_md.analysis.ovito_support import OvitoError, load_ovito
from moalloy_md.analysis.statistics import estimate_mean
from moalloy_md.errors import DataError


def bcc(*, repeat=(5, 4, 6), displacement=0.0, seed=3):
    atoms = bulk("Mo", "bcc", a=3.15, cubic=True) * repeat
    atoms.rattle(displacement, rng=np.random.default_rng(seed))
    atoms.positions += [0.4, 1.1, -0.3]
    atoms.wrap()
    return atoms


def test_bcc_with_thermal_motion_is_bcc(tmp_path):
    # 0.09 Å is the root mean square displacement of Mo at 300 K along one axis, and more
    found = crystal_series([dump(bcc(displacement=0.09), tmp_path / "a", step=1200)])
    assert found.steps == [1200]
    assert found.bcc[0] > 0.99
    assert found.fcc[0] == found.hcp[0] == 0


def test_other_crystals_are_not_bcc(tmp_path):
    fcc = bulk("Cu", "fcc", a=3.61, cubic=True) * (4, 4, 3)
    hcp = bulk("Ti", "hcp", a=2.95, c=4.69, orthorhombic=True) * (6, 4, 4)
    files = [dump(atoms, tmp_path / name) for name, atoms in (("fcc", fcc), ("hcp", hcp))]
    found = crystal_series(files)
    np.testing.assert_array_equal(found.fcc, [1, 0])
    np.testing.assert_array_equal(found.hcp, [0, 1])
    np.testing.assert_array_equal(found.bcc, [0, 0])


def test_a_molten_cell_is_no_crystal(tmp_path):
    found = crystal_series([dump(bcc(displacement=0.8), tmp_path / "a")])
    assert found.bcc[0] < 0.05


def test_a_vacancy_spoils_its_fourteen_neighbours(tmp_path):
    """The bcc template holds 8 nearest and 6 second neighbours; each misses the vacancy."""
    atoms = bcc()
    del atoms[77]
    found = crystal_series([dump(atoms, tmp_path / "a")])
    assert found.bcc[0] == pytest.approx(1 - 14 / len(atoms), abs=1e-12)


def test_frames_keep_their_order_and_a_file_may_hold_several(tmp_path):
    one = dump(bcc(), tmp_path / "1", step=5)
    two = dump(bcc(displacement=0.8), tmp_path / "2", step=7)
    both = tmp_path / "both"
    both.write_text(one.read_text() + two.read_text())
    apart, together = crystal_series([one, two]), crystal_series([both])
    np.testing.assert_array_equal(apart.steps, [5, 7])
    np.testing.assert_array_equal(together.steps, [5, 7])
    np.testing.assert_array_equal(apart.bcc, together.bcc)
    assert apart.bcc[0] == 1
    np.testing.assert_array_equal(crystal_series([two, one]).steps, [7, 5])


def test_the_cutoff_decides(tmp_path):
    file = dump(bcc(displacement=0.25), tmp_path / "a")
    strict, loose = (crystal_series([file], rmsd_cutoff=cutoff).bcc[0] for cutoff in (0.05, 0.3))
    assert strict < 0.2
    assert loose > 0.8


def test_frames_that_cannot_be_read_are_named(tmp_path):
    whole = dump(bcc(), tmp_path / "whole")
    cut = tmp_path / "cut"
    cut.write_text(whole.read_text()[:900])
    other = tmp_path / "other"
    write(other, bcc(), format="extxyz")
    with pytest.raises(DataError, match=r"(?s)cut: expected a LAMMPS dump .*line 44.*goes on"):
        crystal_series([whole, cut])
    with pytest.raises(DataError, match="other: expected a LAMMPS dump"):
        crystal_series([other])
    with pytest.raises(DataError, match="missing: expected a LAMMPS dump file, found no such"):
        crystal_series([tmp_path / "missing"])
    with pytest.raises(DataError, match="found none"):
        crystal_series([])


def test_ovito_says_nothing_on_the_screen_beside_torch(tmp_path):
    file = dump(bcc(), tmp_path / "a")
    program = (
        "import torch; from pathlib import Path; "
        "from moalloy_md.analysis.crystal import crystal_series; "
        f"print(crystal_series([Path({str(file)!r})]).bcc[0])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1.0\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            ImportError("libEGL.so.1: cannot open shared object file: No such file or directory"),
            r"libEGL\.so\.1 is missing.*apt-get install libegl1 libgl1 libglib2\.0-0",
        ),
        (ModuleNotFoundError("No module named 'ovito'", name="ovito"), "pip install 'ovito"),
        (ImportError("version mismatch"), "OVITO cannot be loaded: version mismatch"),
    ],
)
def test_what_ovito_misses_is_named(monkeypatch, problem, message):
    class Refuse:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "ovito":
                raise problem

    for name in [name for name in sys.modules if name.split(".")[0] == "ovito"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refuse(), *sys.meta_path])
    with pytest.raises(OvitoError, match=message):
        load_ovito()


def test_ovito_loads_without_a_display(monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    assert isinstance(load_ovito(), types.ModuleType)
    assert ovito_support.os.environ["QT_QPA_PLATFORM"] == "offscreen"


def test_lattice_parameter_is_that_of_the_cell():
    atoms = bcc(repeat=(5, 4, 6))
    volumes = np.full(40, atoms.get_volume())
    found = bcc_lattice_parameter(volumes, n_atoms=len(atoms))
    assert found.value == pytest.approx(3.15, rel=1e-12)
    assert found.error == 0


def test_its_error_is_that_of_the_series_of_lattice_parameters():
    """For small fluctuations the propagated error equals that of a = (2V/N)^(1/3) itself."""
    rng = np.random.default_rng(4)
    volumes = 2036.0 + np.convolve(5 * rng.standard_normal(4000), np.ones(7) / 7, "valid")
    found = bcc_lattice_parameter(volumes, n_atoms=128, discard=0)
    direct = estimate_mean((2 * volumes / 128) ** (1 / 3), discard=0)
    assert found.value == pytest.approx(direct.value, rel=1e-5)
    assert found.error == pytest.approx(direct.error, rel=1e-3)
    assert found.n_effective == pytest.approx(direct.n_effective, rel=1e-3)


@pytest.mark.parametrize(
    ("volumes", "n_atoms", "message"),
    [
        (np.full(50, 31.0), 0, "at least one atom, found 0"),
        ([31.0] * 49 + [-1.0], 2, "expected positive volumes"),
        ([31.0] * 5, 2, "the volume: expected at least"),
    ],
)
def test_volumes_that_cannot_be_are_refused(volumes, n_atoms, message):
    with pytest.raises(DataError, match=message):
        bcc_lattice_parameter(volumes, n_atoms=n_atoms)
