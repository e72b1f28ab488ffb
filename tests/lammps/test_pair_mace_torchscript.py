"""What pair_style mace alone has: files of mace-torch, three layers, no_domain_decomposition."""

import re

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from support import lmp
from support.cells import doped_cell, two_atom_cell
from support.models import copy_of
from support.styles import Potential, assert_same

from moalloy_md.lammps import installation
from moalloy_md.lammps.installation import TORCH_MODEL

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")

#: Shell commands that find the lmp that started them.
OF_LMP = """p=$PPID
while [ "$(cat /proc/$p/comm)" != lmp ]; do p=$(awk '/^PPid/ {print $2}' /proc/$p/status); done
"""

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "style"),
    pytest.mark.parametrize("style", ["mace"], indirect=True),
]


@pytest.fixture(scope="module")
def of_mace_torch(random_potentials, tmp_path_factory):
    """A file as mace-torch's own ``mace_create_lammps_model`` writes it."""
    from moalloy_md.potentials.quiet import quiet_mace

    ours = random_potentials("mace", elements=ELEMENTS)
    with quiet_mace():
        from e3nn.util import jit
        from mace.calculators import LAMMPS_MACE

        file = tmp_path_factory.mktemp("mace-torch") / "model.model-lammps.pt"
        jit.compile(LAMMPS_MACE(copy_of(ours.model))).save(str(file))
    return Potential("mace", ours.model, file, ours.tolerance)


@pytest.mark.parametrize("ranks", [1, 2])
def test_files_of_mace_torch_run(of_mace_torch, tmp_path, ranks):
    atoms = doped_cell(ELEMENTS, n=3, seed=43)
    found = of_mace_torch.compute(atoms, tmp_path, TYPES, ranks=ranks, per_atom_stress=False)
    assert_same(found, of_mace_torch, atoms)


def test_files_of_mace_torch_have_no_stress_of_atoms(of_mace_torch, tmp_path):
    atoms = two_atom_cell()
    lmp.write_data(atoms, TYPES, tmp_path)
    text = lmp.script(atoms, TYPES, of_mace_torch.lines(TYPES))
    status, output = lmp.run_script(text, tmp_path)
    assert status != 0
    assert "Per MPI rank memory" not in output, "the run was started"
    assert "has no forces of edges, which per-atom stress needs" in output
    assert "moalloy export" in output


def test_three_layers_on_two_ranks(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS, hidden="8x0e", n_layers=3)
    atoms = doped_cell(ELEMENTS, n=2, seed=17).repeat((1, 1, 3))
    atoms.positions += np.random.default_rng(17).normal(scale=0.05, size=(len(atoms), 3))
    atoms.wrap()
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, before="processors 1 1 2")
    assert_same(found, potential, atoms)


def test_no_domain_decomposition_is_the_same_on_one_rank(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=47)
    found = potential.compute(atoms, tmp_path, TYPES, keywords="no_domain_decomposition")
    assert_same(found, potential, atoms)
    assert found.log.count("no domain decomposition") == 1


def test_says_once_what_it_runs_on(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=53)
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, run="run 0\nrun 0")
    lines = [line for line in found.log.splitlines() if line.startswith("pair_style mace:")]
    assert len(lines) == 2
    assert "forecast for a rank" in lines[1]
    assert "V Mo Ta W, r_max 4.5 A, 2 layers, float64 on cpu with 1 thread a rank" in lines[0]


@pytest.mark.parametrize("ranks", [1, 2])
def test_forecast(random_potential, tmp_path, ranks):
    """Against LAMMPS's own counts and the largest memory that a rank had in the end."""
    potential = random_potential(elements=ELEMENTS, hidden="32x0e", dtype="float32")
    atoms = doped_cell(ELEMENTS, n=6, seed=61)
    lmp.write_data(atoms, TYPES, tmp_path)
    text = lmp.script(atoms, TYPES, potential.lines(TYPES), run="run 3", per_atom_stress=False)
    (tmp_path / "look.sh").write_text(OF_LMP + "grep VmHWM /proc/$p/status\n")
    status, output = lmp.run_script(text + "shell sh look.sh\n", tmp_path, ranks=ranks)
    assert status == 0, output[-2000:]
    (line,) = [row for row in output.splitlines() if "forecast for a rank" in row]
    told = re.search(
        r"(\d+) atoms, (\d+) ghosts, (\d+) neighbours an atom, .* ([\d.]+) (MB|GB)", line
    )
    n_atoms, ghosts, neighbours = (int(told[k]) for k in (1, 2, 3))
    assert n_atoms == len(atoms) / ranks
    assert ghosts == pytest.approx(counted(output, "Nghost"), rel=0.15)
    edges = len(neighbor_list("i", atoms, float(potential.model.r_max))) / len(atoms)
    # 4.5 Å cuts through the third shell, which the mean density does not know
    assert neighbours == pytest.approx(edges, rel=0.25)
    megabytes = float(told[4]) * (1000 if told[5] == "GB" else 1)
    had = 1.024e-3 * max(int(kib) for kib in re.findall(r"VmHWM:\s+(\d+) kB", output))
    # on several ranks it is on the safe side
    assert 0.5 * megabytes < had < 1.2 * megabytes


def counted(output, name):
    """Mean over the ranks that LAMMPS prints after a run."""
    return float(re.search(rf"^{name}: +([\d.]+) ave", output, re.MULTILINE)[1])


def test_running_out_of_memory_says_what_to_change(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS, hidden="32x0e")
    atoms = doped_cell(ELEMENTS, n=6, seed=61)
    lmp.write_data(atoms, TYPES, tmp_path)
    # torch is loaded by then; what is left is too little for 432 atoms
    limit = "prlimit --pid $p --as=$(( $(ps -o vsz= -p $p) * 1024 + 200000000 ))\n"
    (tmp_path / "limit.sh").write_text(OF_LMP + limit)
    text = lmp.script(atoms, TYPES, potential.lines(TYPES), run="shell sh limit.sh\nrun 0")
    status, output = lmp.run_script(text, tmp_path)
    assert status != 0
    assert "memory ran out on cpu for 432 atoms and" in output
    assert "use fewer atoms, more nodes or devices" in output


def test_torch_that_is_not_there_is_a_sentence(torch_plugin, tmp_path, monkeypatch):
    """The plugin loads without it, and every other style of this lmp goes on."""
    monkeypatch.setattr(installation, "plugin_path", str)
    alone = tmp_path / torch_plugin.name
    alone.write_bytes(torch_plugin.read_bytes())
    text = f'plugin load "{alone}"\nprint "lmp works"\npair_style mace\n'
    status, output = lmp.run_script(text, tmp_path)
    assert status != 0
    assert "lmp works" in output
    assert "ERROR: pair_style mace: torch cannot be loaded" in output
    assert "run 'moalloy plugin build --force'" in output


def test_torch_keeps_its_own_blas(torch_plugin):
    """LAMMPS exports a slow dgemm_, which took the place of torch's: double precision took 1.5 times
    as long. Of the plugin's two libraries only the one that is opened with DEEPBIND needs torch."""
    assert b"libtorch" not in torch_plugin.read_bytes()
    assert b"libtorch_cpu.so" in (torch_plugin.parent / TORCH_MODEL).read_bytes()
