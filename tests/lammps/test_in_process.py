"""LAMMPS inside Python: our helper, and the example that uses it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from support.cells import doped_cell
from support.lmp import write_data
from support.styles import STYLES

from moalloy_md.errors import ConfigError, LammpsError
from moalloy_md.lammps import in_process
from moalloy_md.potentials.native import NativeCalculator

TYPES = ("Mo", "W")


def in_child(program):
    """LAMMPS, once loaded, stays in a process; a child keeps it out of the other tests."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("style", [STYLES], indirect=True, ids=["both"])
def test_both_styles_and_a_swap(style, random_potentials, tmp_path):
    """Energies of both styles agree, before and after the types of two atoms were exchanged."""
    write_data(doped_cell(TYPES, n=2, seed=97), TYPES, tmp_path)
    files = {name: random_potentials(name, elements=TYPES).file for name in STYLES}
    program = f"""
from moalloy_md.lammps.in_process import open_lammps
for style, file in { ({k: str(v) for k, v in files.items()})!r}.items():
    with open_lammps(threads=2) as lmp:
        lmp.commands_string(f'''
            units metal
            atom_modify map yes
            read_data {tmp_path / "data.lmp"}
            mass * 100.0
            pair_style {{style}}
            pair_coeff * * {{file}} Mo W
            run 0 post no
        ''')
        types = lmp.numpy.extract_atom("type")
        first = lmp.get_thermo("pe")
        mo, w = (types.tolist().index(kind) for kind in (1, 2))
        types[mo], types[w] = 2, 1
        lmp.command("run 0 post no")
        print(style, first, lmp.get_thermo("pe"), lmp.extract_setting("nthreads"))
"""
    answer = in_child(program)
    assert answer.returncode == 0, answer.stderr[-2000:]
    rows = [line.split() for line in answer.stdout.splitlines()]
    assert [row[0] for row in rows] == list(STYLES)
    energies = np.array([[float(x) for x in row[1:3]] for row in rows])
    np.testing.assert_allclose(energies[0], energies[1], atol=1e-6, rtol=0)
    assert abs(energies[0, 0] - energies[0, 1]) > 1e-3
    assert [row[3] for row in rows] == ["2", "2"]


def test_an_error_of_lammps_is_an_exception(tmp_path):
    answer = in_child("""
from moalloy_md.lammps.in_process import open_lammps
lmp = open_lammps()
try:
    lmp.command("pair_style nonsense")
except Exception as error:
    print("caught", error)
""")
    assert "caught" in answer.stdout, answer.stderr
    assert "nonsense" in answer.stdout


def test_coefficients_that_fail_leave_those_of_before(style, random_potential, tmp_path):
    """A caught error must not leave a style without a model: energies of zero, or a crash."""
    write_data(doped_cell(TYPES, n=2, seed=97), TYPES, tmp_path)
    potential = random_potential(elements=TYPES)
    for names in ("nowhere Mo W", f"{potential.file} Mo Re"):
        answer = in_child(f"""
from moalloy_md.lammps.in_process import open_lammps
with open_lammps() as lmp:
    lmp.commands_list(["units metal", "read_data {tmp_path / "data.lmp"}", "mass * 100.0"])
    lmp.commands_list(["pair_style {style}", "pair_coeff * * {potential.file} Mo W"])
    lmp.command("run 0 post no")
    first = lmp.get_thermo("pe")
    try:
        lmp.command("pair_coeff * * {names}")
    except Exception as error:
        print("caught", error)
    lmp.command("run 0 post no")
    print("same", first != 0 and lmp.get_thermo("pe") == first)
""")
        assert answer.returncode == 0, (names, answer.stderr[-2000:])
        assert "caught" in answer.stdout, names
        assert "same True" in answer.stdout, (names, answer.stdout)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="threads of 1 or more, found 0"):
        in_process.open_lammps(threads=0)
    monkeypatch.setattr(in_process, "native_plugin", lambda: tmp_path / "no")
    monkeypatch.setattr(in_process, "torch_plugin", lambda: tmp_path / "no")
    with pytest.raises(LammpsError, match="found none: run: moalloy plugin build"):
        in_process.open_lammps()
    monkeypatch.undo()
    monkeypatch.setattr(in_process, "mpi_folder", lambda: tmp_path)
    with pytest.raises(LammpsError, match=r"cannot be loaded into Python.*lammps\[mpi\]"):
        in_process.open_lammps()


def test_example(tmp_path, random_potentials):
    """The example, on a bundle of the least that it needs."""
    import json

    from moalloy_md.bundle import FORMAT, KIND, NATIVE
    from moalloy_md.rundir import MANIFEST, sha256

    potential = random_potentials("mace/native", elements=TYPES, hidden="8x0e", zbl=True)
    (tmp_path / NATIVE).write_bytes(potential.file.read_bytes())
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "elements": list(TYPES),
        "files": {NATIVE: sha256(tmp_path / NATIVE)},
        "native": {"file": NATIVE},
    }
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    script = Path(__file__).parents[2] / "examples" / "03_lammps_in_python" / "run.py"
    answer = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False
    )
    rows = re.findall(r"^a = (\S+) Å +E = (\S+) eV/atom$", answer.stdout, flags=re.MULTILINE)
    assert len(rows) == 7, answer.stderr
    assert answer.returncode == 0, answer.stderr
    calculator = NativeCalculator(potential.file)
    for lattice_parameter, energy in rows:
        atoms = bulk("Mo", "bcc", a=float(lattice_parameter))
        atoms.calc = calculator
        assert float(energy) == pytest.approx(atoms.get_potential_energy(), abs=2e-3)
    assert len({energy for _, energy in rows}) == 7
