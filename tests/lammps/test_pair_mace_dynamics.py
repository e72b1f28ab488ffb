"""Runs of many steps: energy is conserved, and a minimum is one for mace-torch too."""

import re
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from support import lmp
from support.cells import doped_cell

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")


def setup(potential, data):
    return f"""
units metal
atom_style atomic
read_data {data}
mass * 100.0
{potential.lines(TYPES)}
neighbor 1.0 bin
thermo_modify format float %.15g
"""


def run(text, folder, ranks=1):
    status, output = lmp.run_script(text, folder, ranks=ranks)
    assert status == 0, output[-2000:]
    return output


@pytest.fixture(scope="module")
def potential_of(random_potentials):
    """The same model for each style, with repulsion: random ones may let atoms meet."""
    return partial(random_potentials, elements=ELEMENTS, hidden="8x0e", zbl=True)


@pytest.fixture(scope="module")
def relaxed(potential_of, tmp_path_factory):
    """Data file of 54 atoms at rest."""
    folder = tmp_path_factory.mktemp("relaxed")
    lmp.write_data(doped_cell(ELEMENTS, n=3, seed=73), TYPES, folder)
    start = setup(potential_of("mace/native"), "data.lmp")
    run(start + "minimize 0 0.003 500 2000\nwrite_data relaxed.lmp nocoeff\n", folder)
    return folder / "relaxed.lmp"


@pytest.mark.parametrize(
    ("style", "ranks", "length_fs"),
    [("mace", 1, 120), ("mace/native", 1, 2500), ("mace/native", 2, 1000)],
    indirect=["style"],
)
def test_energy_is_conserved(style, ranks, length_fs, potential_of, relaxed, tmp_path):
    """In float64, at 300 K. TorchScript is hundreds of times slower, but 0.1 ps show a slope."""
    text = f"""{setup(potential_of(style), relaxed)}
velocity all create 600.0 17
fix move all nve
timestep 0.001
thermo_modify norm yes
fix energy all print 1 "$(step) $(etotal:%.15g)" file energy.txt screen no
run {length_fs}
"""
    output = run(text, tmp_path, ranks)
    step, energy = np.loadtxt(tmp_path / "energy.txt").T  # eV/atom
    slope = np.polyfit(step * 1e-3, energy * 1e3, 1)[0]  # meV/atom/ps
    assert len(step) == length_fs + 1
    assert abs(slope) < 0.1
    assert np.std(energy) * 1e3 < 0.05, "the steps of 1 fs are too long for it"
    if length_fs > 1000:
        assert int(re.search(r"Neighbor list builds = (\d+)", output)[1]) > 0


@pytest.mark.parametrize(("style", "ranks"), [("mace", 1), ("mace/native", 2)], indirect=["style"])
def test_minimum_is_one_for_mace_torch(style, ranks, potential_of, relaxed, tmp_path):
    potential = potential_of(style)
    text = f"""{setup(potential, relaxed)}
displace_atoms all random 0.02 0.02 0.02 4711
run 0
print "energy $(pe:%.15g)"
minimize 0 1e-4 200 500
dump end all custom 1 end.txt id type x y z fx fy fz
dump_modify end sort id format float %.17g
run 0
print "energy $(pe:%.15g)"
"""
    output = run(text, tmp_path, ranks)
    frame = lmp.last_frame(tmp_path / "end.txt")
    cell = doped_cell(ELEMENTS, n=3, seed=73).cell
    symbols = [TYPES[int(kind) - 1] for kind in frame[:, 1]]
    atoms = Atoms(symbols, positions=frame[:, 2:5], cell=cell, pbc=True)
    atoms.calc = potential.oracle
    energies = [float(e) for e in re.findall(r"^energy (.+)$", output, re.MULTILINE)]
    assert energies[-1] < energies[0] - 1e-3
    assert atoms.get_potential_energy() == pytest.approx(energies[-1], abs=1e-6)
    assert np.linalg.norm(atoms.get_forces()) < 2e-4  # eV/Å; LAMMPS stops at the norm 1e-4
    np.testing.assert_allclose(frame[:, 5:], atoms.get_forces(), atol=1e-6)
