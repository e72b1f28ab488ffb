"""in.minimize against LAMMPS's own EAM crystal of ASE, and after a kill."""

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.eam import EAM
from ase.optimize import LBFGS
from support.processes import Struck
from support.tungsten import potential, variables, write_crystal

from moalloy_md.errors import LammpsError
from moalloy_md.lammps.frames import read_frame
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_run
from moalloy_md.lammps.run import run_lammps
from moalloy_md.lammps.single_point import write_structure


def minimise(folder, *, on_step=None, **changes):
    options = variables(**{"steps": 400, "force": 1e-3, **changes})
    return run_lammps(input_file("in.minimize"), run_dir=folder, variables=options, on_step=on_step)


def the_end(folder):
    return read_frame_of(folder), read_run(folder)


def read_frame_of(folder):
    (folder / "minimized.dump").rename(folder / "0.dump")
    return read_frame(folder / "0.dump")


def test_a_vacancy_relaxes_as_in_ase(tmp_path):
    atoms = write_crystal(tmp_path)
    minimise(tmp_path)
    found, thermo = the_end(tmp_path)
    assert thermo.column("Fmax")[-1] <= 1e-3
    assert len(found) == len(atoms)
    atoms.calc = EAM(potential=str(potential()), form="alloy", elements=["W"])
    LBFGS(atoms, logfile=None).run(fmax=1e-3)
    assert thermo.column("PotEng")[-1] == pytest.approx(atoms.get_potential_energy(), abs=1e-3)
    found.calc = atoms.calc
    assert np.abs(found.get_forces()).max() < 3e-3  # digits of the dump


def test_the_cell_goes_to_zero_pressure(tmp_path):
    write_crystal(tmp_path, vacancy=False)
    minimise(tmp_path, cell="iso", bulk_modulus_gpa=310)
    found, thermo = the_end(tmp_path)
    assert abs(thermo.column("Press")[-1]) < 300
    assert thermo.column("Fmax")[-1] <= 1e-3
    edge = (2 * found.get_volume() / len(found)) ** (1 / 3)
    assert edge == pytest.approx(3.1652, abs=2e-3)  # the potential's own lattice parameter


def test_a_tilted_cell_keeps_its_angles(tmp_path):
    """Of a crystal in its primitive cell, 2 % too large; at the end it has the crystal's energy."""
    atoms = bulk("W", "bcc", a=1.02 * 3.1652) * (4, 4, 4)
    atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)
    write_structure(atoms, tmp_path / "structure.data", elements=["W"])
    minimise(tmp_path, cell="iso", bulk_modulus_gpa=310)
    found, thermo = the_end(tmp_path)
    assert abs(thermo.column("Press")[-1]) < 300
    np.testing.assert_allclose(found.cell.angles(), atoms.cell.angles(), atol=1e-4)
    np.testing.assert_allclose(found.cell.lengths(), found.cell.lengths()[0], rtol=1e-6)
    crystal = bulk("W", "bcc", a=3.1652)
    crystal.calc = EAM(potential=str(potential()), form="alloy", elements=["W"])
    energy = thermo.column("PotEng")[-1] / len(atoms)
    assert energy == pytest.approx(crystal.get_potential_energy(), abs=1e-5)


def test_the_height_alone_goes_to_zero_stress(tmp_path):
    """Stretched by 1 % across, it gets flatter by Poisson's ratio of a plane: 2 C12/C11."""
    atoms = bulk("W", "bcc", a=3.1652, cubic=True) * (3, 3, 4)
    atoms.set_cell(atoms.cell * [[1.01], [1.01], [1.0]], scale_atoms=True)
    write_structure(atoms, tmp_path / "structure.data", elements=["W"])
    minimise(tmp_path, cell="z", bulk_modulus_gpa=310)
    found, thermo = the_end(tmp_path)
    assert abs(thermo.column("Pzz")[-1]) < 300
    np.testing.assert_allclose(found.cell.lengths()[:2], atoms.cell.lengths()[:2], rtol=1e-9)
    strain = found.cell.lengths()[2] / (4 * 3.1652) - 1
    assert strain == pytest.approx(-0.01 * 2 * 204 / 522, rel=0.1)  # C12 and C11 of tungsten, GPa


def test_killed_it_goes_on(tmp_path):
    def strike(step, _):
        if step >= 5:
            raise Struck

    # so large that it is not over before it can be killed
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        write_crystal(folder, repeat=(16, 16, 16))
    with pytest.raises(Struck):
        minimise(parts, on_step=strike, restart_interval=2, force=1e-4)
    assert not (parts / "minimized.dump").exists()
    for folder in (whole, parts):
        minimise(folder, restart_interval=2, force=1e-4)
    starts = sorted(int(path.name.split(".")[1]) for path in parts.glob("log.*.lammps"))
    assert len(starts) == 2
    assert starts[1] >= 4
    energies = [the_end(folder)[1].column("PotEng")[-1] for folder in (whole, parts)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-4)


def test_steps_end_it_and_more_steps_go_on(tmp_path):
    write_crystal(tmp_path, repeat=(3, 3, 3))
    minimise(tmp_path, steps=3)
    _, thermo = the_end(tmp_path)
    assert thermo.steps[-1] == 3
    left = thermo.column("Fmax")[-1]
    assert left > 1e-3
    minimise(tmp_path, steps=3)  # nothing to do, and the structure is there again
    minimise(tmp_path, steps=400)
    _, thermo = the_end(tmp_path)
    assert thermo.column("Fmax")[-1] <= 1e-3 < left


def test_a_cell_that_finds_no_pressure_is_told(tmp_path):
    write_crystal(tmp_path, vacancy=False)
    with pytest.raises(LammpsError, match="give the bulk modulus"):
        minimise(tmp_path, cell="iso", bulk_modulus_gpa=140)
